package gc_test

import (
	"context"
	"testing"
	"time"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/batches"
	"github.com/quern-dev/quern/store/gc"
)

// However short the grace, a batch stays as long as its provider has the answers.
func TestBatchesAreKeptForAMonth(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const definition = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	now := time.Now()
	const day = 24 * time.Hour
	for _, age := range []time.Duration{29 * day, 31 * day} {
		if err := s.Batches.Save(&batches.Batch{Name: batches.NewName(), Definition: definition, Begun: now.Add(-age)}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := gc.Collect(context.Background(), s, gc.Options{Now: now})
	if err != nil || got.Batches != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	if left, err := s.Batches.Of(definition); err != nil || len(left) != 1 || !left[0].Begun.Equal(now.Add(-29*day)) {
		t.Errorf("left %+v, %v", left, err)
	}
}
