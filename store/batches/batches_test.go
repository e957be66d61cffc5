package batches_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/backend/backendtest"
	"github.com/quern-dev/quern/store/batches"
	"github.com/quern-dev/quern/store/document"
)

const one, other = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

func batch(definition string, begun time.Time) *batches.Batch {
	return &batches.Batch{Name: batches.NewName(), Definition: definition, Model: "model.m", Environment: "dev", Begun: begun.UTC(), Keys: []batches.Key{{1}, {2}}}
}

func save(t *testing.T, s *batches.Store, b *batches.Batch) *batches.Batch {
	t.Helper()
	if err := s.Save(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestABatchIsRecordedTwiceAndForgotten(t *testing.T) {
	s := batches.New(context.Background(), backendtest.NewMemory())
	b := save(t, s, batch(one, time.Now()))
	save(t, s, batch(other, time.Now()))
	for _, token := range []string{"", "token"} {
		if token != "" {
			b.Token = []byte(token)
			save(t, s, b)
		}
		got, err := s.Of(one)
		if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], b) {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	for range 2 {
		if err := s.Remove(b); err != nil {
			t.Error(err)
		}
	}
	if got, err := s.Of(one); err != nil || len(got) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestADamagedBatchIsAnErrorOnce(t *testing.T) {
	mem := backendtest.NewMemory()
	s := batches.New(context.Background(), mem)
	save(t, s, batch(one, time.Now()))
	for o, err := range mem.List(context.Background(), "batches/") {
		if err == nil {
			err = mem.Put(context.Background(), o.Key, backend.Bytes("{}"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var damaged *document.Damaged
	if _, err := s.Of(one); !errors.As(err, &damaged) || damaged.Aside == "" {
		t.Errorf("got %v", err)
	}
	if got, err := s.Of(one); err != nil || len(got) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSweepForgetsOldBatches(t *testing.T) {
	s := batches.New(context.Background(), backendtest.NewMemory())
	now := time.Now()
	save(t, s, batch(one, now.Add(-2*time.Hour)))
	young := save(t, s, batch(one, now))
	for _, dryRun := range []bool{true, false} {
		if n, err := s.Sweep(now.Add(-time.Hour), dryRun); n != 1 || err != nil {
			t.Errorf("%d batches, %v", n, err)
		}
	}
	if got, err := s.Of(one); err != nil || len(got) != 1 || got[0].Name != young.Name {
		t.Errorf("got %+v, %v", got, err)
	}
}
