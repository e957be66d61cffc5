package rowwise

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/pending"
)

// outside is a service that the plugin submits texts to.
type outside struct {
	b *bench
	// submitted counts the submissions of a text. ready are the texts that are
	// done; failed are those that the service has failed.
	submitted     map[string]int
	ready, failed map[string]bool
	polls         int
}

func newOutside(b *bench) *outside {
	o := &outside{b: b, submitted: map[string]int{}, ready: map[string]bool{}, failed: map[string]bool{}}
	b.fault = o.ask
	return o
}

// ask submits a text that comes without a token, and polls one that has a token.
func (o *outside) ask(text string) *pluginv1.RowError {
	token := o.b.tokens[text]
	if token == "" {
		o.submitted[text]++
		return o.waits(fmt.Sprintf("%s/%d", text, o.submitted[text]))
	}
	o.polls++
	switch id, n, _ := strings.Cut(token, "/"); {
	case id != text || n != fmt.Sprint(o.submitted[text]):
		return &pluginv1.RowError{Message: fmt.Sprintf("%q got the token %q", text, token)}
	case o.failed[text]:
		return &pluginv1.RowError{Message: "it expired"}
	case !o.ready[text]:
		return o.waits(token)
	}
	return nil
}

func (o *outside) waits(token string) *pluginv1.RowError {
	after := 60.0
	return &pluginv1.RowError{Message: "in progress", Pending: &pluginv1.PendingRow{Token: []byte(token), CheckAfterSeconds: &after}}
}

// run runs a stage as a new process does.
func (o *outside) run(s Stage) *Result {
	o.b.t.Helper()
	o.b.tokens = nil
	return o.b.run(s)
}

// want checks how often the texts were submitted.
func (o *outside) want(times int, texts []string) {
	o.b.t.Helper()
	for _, t := range texts {
		if o.submitted[t] != times {
			o.b.t.Fatalf("%q was submitted %d times, not %d", t, o.submitted[t], times)
		}
	}
}

func TestPendingRowsAreSubmittedOnceAndAskedForAgain(t *testing.T) {
	b := newBench(t)
	o := newOutside(b)
	rows := texts(1, 70_000)
	s := upper(b.dataset(rows))
	if len(s.Input.Shards) < 2 {
		t.Fatal("the test needs several shards")
	}
	r := o.run(s)
	if r.Manifest != nil || r.Pending == nil || r.Pending.Rows != 70_000 || r.Pending.Total != 70_000 || r.New+r.Reused+r.Failed != 0 {
		t.Fatalf("%+v, %+v", r, r.Pending)
	}
	if f := r.Pending.For; len(f) != 1 || f[0] != (pending.Reason{Text: "in progress", Rows: 70_000}) || r.Pending.Since.IsZero() || !r.Pending.CheckAfter.After(r.Pending.Since) {
		t.Errorf("%+v", r.Pending)
	}
	o.want(1, rows)

	for _, t := range rows[:69_990] {
		o.ready[t] = true
	}
	r = o.run(s)
	if r.Manifest != nil || r.Pending.Rows != 10 || r.New != 69_990 {
		t.Fatalf("%+v, %+v", r, r.Pending)
	}
	// Rows that are done are not asked for again.
	o.polls = 0
	r = o.run(s)
	if o.polls != 10 || r.Pending.Rows != 10 || r.New != 0 || r.Reused != 69_990 {
		t.Fatalf("%d polls; %+v, %+v", o.polls, r, r.Pending)
	}
	for _, t := range rows {
		o.ready[t] = true
	}
	if r = o.run(s); r.Pending != nil || r.New != 10 || r.Reused != 69_990 {
		t.Fatalf("%+v", r)
	}
	b.wantUpper(r.Manifest, rows)
	o.want(1, rows)
	if log, err := b.waits.Open(s.Definition, s.Owner, false); err != nil || !log.Empty() {
		t.Errorf("tokens of rows that are done are kept: %v", err)
	}
}

func TestAChangedRowIsSubmittedAndTheOthersAreNot(t *testing.T) {
	b := newBench(t)
	o := newOutside(b)
	rows := texts(1, 1000)
	o.run(upper(b.dataset(rows)))
	edited := slices.Clone(rows)
	edited[500] = "edited"
	r := o.run(upper(b.dataset(edited)))
	if r.Pending.Rows != 1000 {
		t.Errorf("%+v", r.Pending)
	}
	o.want(1, append(rows, "edited"))
	// The change is undone: the first submission still counts.
	o.run(upper(b.dataset(rows)))
	o.want(1, append(rows, "edited"))
}

func TestEqualRowsWaitTogether(t *testing.T) {
	b := newBench(t)
	o := newOutside(b)
	var rows []string
	for i := range 3000 {
		rows = append(rows, fmt.Sprint("text ", i%10))
	}
	s := upper(b.dataset(rows))
	if r := o.run(s); r.Pending.Rows != 3000 || len(o.submitted) != 10 {
		t.Errorf("%d submitted, %+v", len(o.submitted), r.Pending)
	}
	for t := range o.submitted {
		o.ready[t] = true
	}
	r := o.run(s)
	if r.Pending != nil {
		t.Fatalf("%+v", r.Pending)
	}
	b.wantUpper(r.Manifest, rows)
	o.want(1, slices.Sorted(maps.Keys(o.submitted)))
}

// A job that has failed is submitted again by the next apply, even if the stage
// failed because of it, and its rows' earlier tokens are not used.
func TestARowThatFailedIsSubmittedAgain(t *testing.T) {
	for _, allowed := range []int64{0, 1000} {
		b := newBench(t)
		o := newOutside(b)
		rows := texts(1, 1000)
		s := upper(b.dataset(rows))
		s.MaxErrors = allowed
		o.run(s)
		o.failed[rows[7]] = true
		b.tokens = nil
		r, err := Run(t.Context(), s, b.services())
		var many *TooManyErrors
		if allowed == 0 && !errors.As(err, &many) || allowed > 0 && (err != nil || r.Failed != 1 || r.Pending.Rows != 999) {
			t.Fatalf("%+v: %v", r, err)
		}
		delete(o.failed, rows[7])
		o.run(s)
		o.want(1, slices.Delete(slices.Clone(rows), 7, 8))
		o.want(2, rows[7:8])
	}
}

func TestATemporaryFailureKeepsTheToken(t *testing.T) {
	b := newBench(t)
	o := newOutside(b)
	rows := texts(1, 20)
	s := upper(b.dataset(rows))
	s.MaxErrors = 20
	o.run(s)
	down := 4
	b.fault = func(text string) *pluginv1.RowError {
		if text == rows[3] && down > 0 {
			down--
			return &pluginv1.RowError{Message: "503", Temporary: true}
		}
		return o.ask(text)
	}
	for _, t := range rows {
		o.ready[t] = true
	}
	if r := o.run(s); r.Failed != 1 || r.Pending != nil {
		t.Fatalf("%+v", r)
	}
	if r := o.run(s); r.Failed != 0 || r.New != 1 {
		t.Fatalf("%+v", r)
	}
	o.want(1, rows)
}

func TestPendingRowsAndFailuresAreDifferent(t *testing.T) {
	b := newBench(t)
	newOutside(b)
	rows := texts(1, 100)
	s := upper(b.dataset(rows))
	ask := b.fault
	b.fault = func(text string) *pluginv1.RowError {
		if text == rows[0] {
			return &pluginv1.RowError{Message: "bad"}
		}
		return ask(text)
	}
	_, err := Run(t.Context(), s, b.services())
	var many *TooManyErrors
	if !errors.As(err, &many) || many.Failed != 1 || len(many.Failures) != 1 || many.Failures[0].Message != "bad" {
		t.Errorf("%v: %+v", err, many)
	}
}

// What the plugin has answered is kept whatever happens next.
func TestTokensSurviveACrash(t *testing.T) {
	b := newBench(t)
	o := newOutside(b)
	rows := texts(1, 5000)
	s := upper(b.dataset(rows))
	sent := 0
	apply := b.respond
	b.respond = func(rec arrow.RecordBatch) ([]*pluginv1.MapResponse, error) {
		if sent++; sent > 3 {
			return nil, errCrash
		}
		return newFake(t.Context(), b.apply).once(rec)
	}
	b.tokens = nil
	if _, err := Run(t.Context(), s, b.services()); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	if len(o.submitted) == 0 || len(o.submitted) == len(rows) {
		t.Fatalf("%d rows were submitted before the crash", len(o.submitted))
	}
	b.respond = apply
	o.run(s)
	o.want(1, rows)
}

func TestAFreshRunSubmitsAgain(t *testing.T) {
	b := newBench(t)
	o := newOutside(b)
	rows := texts(1, 100)
	s := upper(b.dataset(rows))
	o.run(s)
	s.Fresh = true
	o.run(s)
	o.want(2, rows)
	s.Fresh = false
	o.run(s)
	o.want(2, rows)
}

func TestPendingRowsOfAnExpansionProduceNothing(t *testing.T) {
	b := newBench(t)
	rows := sentences(1, 500)
	s := words(b.dataset(rows))
	b.splits(1 << 20)
	whole, again := b.respond, false
	b.respond = func(rec arrow.RecordBatch) ([]*pluginv1.MapResponse, error) {
		answers, err := whole(rec)
		for _, a := range answers {
			for i := range a.GetCounts() {
				if i%2 == 0 && !again {
					a.Errors = append(a.Errors, &pluginv1.RowError{Row: int64(i), Message: "wait", Pending: &pluginv1.PendingRow{}})
				}
			}
		}
		return answers, err
	}
	r := b.run(s)
	if r.Pending == nil || r.Pending.Rows < 200 || r.Manifest != nil {
		t.Fatalf("%+v", r)
	}
	again = true
	if r = b.run(s); r.Pending != nil {
		t.Fatalf("%+v", r.Pending)
	}
	b.wantWords(r.Manifest, rows)
}

func TestTokensAreGuarded(t *testing.T) {
	b := newBench(t)
	s := upper(b.dataset([]string{"a"}))
	pendingWith := func(reason, token string) {
		b.fault = func(string) *pluginv1.RowError {
			return &pluginv1.RowError{Message: reason, Pending: &pluginv1.PendingRow{Token: []byte(token)}}
		}
	}
	secret := errors.New("a secret")
	svc := b.services()
	svc.GuardToken = func(token []byte) error {
		if string(token) == "hunter2" {
			return secret
		}
		return nil
	}
	svc.Redact = func(text string) string { return strings.ReplaceAll(text, "hunter2", "(sensitive value)") }
	pendingWith("wait", "hunter2")
	if _, err := Run(t.Context(), s, svc); !errors.Is(err, secret) {
		t.Errorf("a secret token: %v", err)
	}
	pendingWith("wait", strings.Repeat("x", mostToken+1))
	var faulty *Faulty
	if _, err := Run(t.Context(), s, svc); !errors.As(err, &faulty) || !strings.Contains(faulty.What, "4097") {
		t.Errorf("a long token: %v", err)
	}
	pendingWith("with hunter2 "+strings.Repeat("ä", 2000), strings.Repeat("x", mostToken))
	r, err := Run(t.Context(), s, svc)
	if err != nil {
		t.Fatal(err)
	}
	if text := r.Pending.For[0].Text; !strings.HasPrefix(text, "with (sensitive value) ää") || len(text) > mostReason || !strings.HasSuffix(text, "ä…") {
		t.Errorf("the reason is %q", text)
	}
}
