package pending_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/backend/backendtest"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/pending"
)

const definition = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

var dev, prod = pending.Owner{Environment: "dev", Address: "label.x"}, pending.Owner{Environment: "prod", Address: "label.x"}

func key(n byte) pending.Key { return pending.Key{n} }

func open(t *testing.T, s *pending.Store, by pending.Owner, fresh bool) *pending.Log {
	t.Helper()
	l, err := s.Open(definition, by, fresh)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wait(t *testing.T, l *pending.Log, token string, rows ...byte) {
	t.Helper()
	var answers []pending.Answer
	for _, n := range rows {
		answers = append(answers, pending.Answer{Key: key(n), Reason: "for " + token, Token: []byte(token), CheckAfter: time.Hour})
	}
	if err := l.Wait(answers); err != nil {
		t.Fatal(err)
	}
}

func token(l *pending.Log, n byte) string {
	r, _ := l.Get(key(n))
	return string(r.Token)
}

func closeLog(t *testing.T, l *pending.Log, all bool) {
	t.Helper()
	if err := l.Close(all); err != nil {
		t.Fatal(err)
	}
}

func objects(t *testing.T, b backend.Backend) int {
	n := 0
	for _, err := range b.List(context.Background(), "pending/") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func newStore() (*pending.Store, backend.Backend) {
	b := backendtest.NewMemory()
	return pending.New(context.Background(), b), b
}

// A process that is killed has not closed its log.
func TestTokensAreKeptAsSoonAsTheyArrive(t *testing.T) {
	s, _ := newStore()
	first := open(t, s, dev, false)
	wait(t, first, "a", 1, 2)
	wait(t, first, "b", 3)
	wait(t, first, "c", 2) // replaces a
	again := open(t, s, dev, false)
	if token(again, 1) != "a" || token(again, 2) != "c" || token(again, 3) != "b" || token(again, 4) != "" {
		t.Errorf("the tokens are %q, %q, %q, %q", token(again, 1), token(again, 2), token(again, 3), token(again, 4))
	}
	was, _ := first.Get(key(2))
	is, ok := again.Get(key(2))
	if !ok || !reflect.DeepEqual(is, was) || is.Reason != "for c" || is.CheckAfter.Sub(is.Since) != time.Hour {
		t.Errorf("row 2 is %+v, and was %+v", is, was)
	}
}

func TestClosingALogReplacesItsObjectsByOne(t *testing.T) {
	s, b := newStore()
	l := open(t, s, dev, false)
	wait(t, l, "a", 1, 2, 3)
	wait(t, l, "b", 4)
	l.Done(key(1))
	l.Failed(key(2))
	closeLog(t, l, true)
	if n := objects(t, b); n != 1 {
		t.Errorf("%d objects", n)
	}
	l = open(t, s, dev, false)
	if token(l, 1) != "" || token(l, 2) != "" || token(l, 3) != "a" || token(l, 4) != "b" {
		t.Errorf("the tokens are %q, %q, %q, %q", token(l, 1), token(l, 2), token(l, 3), token(l, 4))
	}
	for n := range byte(5) {
		l.Done(key(n))
	}
	closeLog(t, l, true)
	if n := objects(t, b); n != 0 {
		t.Errorf("%d objects remain of a log without rows", n)
	}
	closeLog(t, open(t, s, dev, false), true)
	if n := objects(t, b); n != 0 {
		t.Errorf("%d objects of a stage that never waits", n)
	}
}

func TestStagesWithOneDefinitionShareTokens(t *testing.T) {
	s, _ := newStore()
	l := open(t, s, dev, false)
	wait(t, l, "a", 1)
	closeLog(t, l, true)
	other := open(t, s, prod, false)
	if token(other, 1) != "a" {
		t.Error("the other environment submits the row again")
	}
	other.Failed(key(1))
	closeLog(t, other, true)
	if l := open(t, s, dev, false); token(l, 1) != "" {
		t.Error("a token counts although the row has failed since")
	}
	if l, err := s.Open("sha256:b"+definition[8:], dev, false); err != nil || !l.Empty() {
		t.Errorf("another definition has rows: %v", err)
	}
}

// The results of a run that fails may be lost, and with them what became of rows.
func TestAnAbandonedLogForgetsOnlyRowsThatFailed(t *testing.T) {
	s, _ := newStore()
	wait(t, open(t, s, dev, false), "a", 1, 2, 3)
	l := open(t, s, dev, false)
	l.Failed(key(1))
	l.Done(key(2))
	wait(t, l, "b", 4)
	if err := l.Abandon(); err != nil {
		t.Fatal(err)
	}
	l = open(t, s, dev, false)
	if token(l, 1) != "" || token(l, 2) != "a" || token(l, 3) != "a" || token(l, 4) != "b" {
		t.Errorf("the tokens are %q, %q, %q, %q", token(l, 1), token(l, 2), token(l, 3), token(l, 4))
	}
}

func TestAFreshRunUsesItsOwnTokensOnly(t *testing.T) {
	s, _ := newStore()
	wait(t, open(t, s, dev, false), "a", 1, 2)
	l := open(t, s, dev, true)
	if _, ok := l.Get(key(1)); ok {
		t.Error("it uses an earlier token")
	}
	wait(t, l, "b", 1)
	if token(l, 1) != "b" {
		t.Error("it does not use its own token")
	}
	closeLog(t, l, false)
	if l := open(t, s, dev, false); token(l, 1) != "b" || token(l, 2) != "a" {
		t.Errorf("then the tokens are %q and %q", token(l, 1), token(l, 2))
	}
}

func TestARowWaitsSinceItsFirstAnswer(t *testing.T) {
	s, b := newStore()
	l := open(t, s, dev, false)
	wait(t, l, "a", 1)
	closeLog(t, l, true)
	first, _ := l.Get(key(1))
	time.Sleep(time.Until(first.Since.Add(time.Second + time.Millisecond)))
	l = open(t, s, dev, false)
	wait(t, l, "a", 1)
	if again, _ := l.Get(key(1)); again.Since != first.Since || !again.CheckAfter.After(first.CheckAfter) {
		t.Errorf("%+v, then %+v", first, again)
	}
	if n := objects(t, b); n != 1 {
		t.Errorf("a known token was written again: %d objects", n)
	}
}

func TestSweepForgetsRowsThatNobodyAsksFor(t *testing.T) {
	s, b := newStore()
	l := open(t, s, dev, false)
	wait(t, l, "a", 1, 2)
	closeLog(t, l, true)
	time.Sleep(2 * time.Millisecond)
	l = open(t, s, dev, false)
	wait(t, l, "a", 1) // row 2 changed
	wait(t, l, "b", 3)
	closeLog(t, l, true)
	l = open(t, s, prod, false)
	wait(t, l, "c", 4)
	closeLog(t, l, false)

	devWaits := func(by pending.Owner, rows string) bool { return by == dev && rows == definition }
	if n, err := s.Sweep(time.Now().Add(-time.Hour), devWaits, false); n != 0 || err != nil {
		t.Errorf("%d young rows were forgotten: %v", n, err)
	}
	future := time.Now().Add(time.Hour)
	if n, err := s.Sweep(future, devWaits, true); n != 2 || err != nil {
		t.Errorf("a dry run counts %d rows: %v", n, err)
	}
	if n, err := s.Sweep(future, devWaits, false); n != 2 || err != nil {
		t.Errorf("%d rows were forgotten: %v", n, err)
	}
	l = open(t, s, dev, false)
	if token(l, 1) != "a" || token(l, 2) != "" || token(l, 3) != "b" || token(l, 4) != "" || objects(t, b) != 1 {
		t.Errorf("the tokens are %q, %q, %q, %q", token(l, 1), token(l, 2), token(l, 3), token(l, 4))
	}
	if n, err := s.Sweep(future, devWaits, false); n != 0 || err != nil {
		t.Errorf("a second sweep forgets %d rows: %v", n, err)
	}
}

// A run that did not go over all rows says nothing about the others.
func TestSweepKeepsRowsThatAnInterruptedRunDidNotReach(t *testing.T) {
	s, _ := newStore()
	l := open(t, s, dev, false)
	wait(t, l, "a", 1, 2)
	closeLog(t, l, true)
	time.Sleep(2 * time.Millisecond)
	l = open(t, s, dev, false)
	wait(t, l, "a", 1)
	closeLog(t, l, false)
	n, err := s.Sweep(time.Now().Add(time.Hour), func(pending.Owner, string) bool { return true }, false)
	if n != 0 || err != nil {
		t.Errorf("%d rows were forgotten: %v", n, err)
	}
}

func TestADamagedLogIsAnErrorOnce(t *testing.T) {
	s, b := newStore()
	wait(t, open(t, s, dev, false), "a", 1)
	for o, err := range b.List(context.Background(), "pending/") {
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Put(context.Background(), o.Key, backend.Bytes("{}")); err != nil {
			t.Fatal(err)
		}
	}
	var damaged *document.Damaged
	if _, err := s.Open(definition, dev, false); !errors.As(err, &damaged) || damaged.Aside == "" {
		t.Errorf("the damage is reported as %v", err)
	}
	if l := open(t, s, dev, false); !l.Empty() {
		t.Error("a damaged log has rows")
	}
}

func TestASummaryNamesTheReasonsOfMostRows(t *testing.T) {
	var all pending.Tally
	if all.Summary(3) != nil {
		t.Error("nothing waits")
	}
	now := time.Now()
	for n := range 1500 {
		all.Add(pending.Row{Reason: string(rune('a' + n)), Since: now.Add(time.Duration(n)), CheckAfter: now.Add(time.Hour - time.Duration(n))})
	}
	all.Add(pending.Row{Reason: "b", Since: now.Add(time.Hour)})
	got := all.Summary(2000)
	if got.Rows != 1501 || got.Total != 2000 || len(got.For) != 10 || got.For[0] != (pending.Reason{Text: "b", Rows: 2}) || got.More != 1490 {
		t.Errorf("%+v", got)
	}
	if !got.Since.Equal(now) || !got.CheckAfter.Equal(now.Add(time.Hour-1499)) {
		t.Errorf("since %s, check after %s", got.Since, got.CheckAfter)
	}
}
