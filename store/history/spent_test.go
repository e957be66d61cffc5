package history_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/history"
)

func TestWhatAnEnvironmentSpentSinceATime(t *testing.T) {
	dir := t.TempDir()
	runs := history.New(context.Background(), backend.NewLocal(dir, disk.NewSyncer()), dir)
	month := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	put := func(at time.Time, env string, status string, spent *llm.Spend, instances ...history.Instance) {
		t.Helper()
		id, err := runs.NewID(at)
		if err != nil {
			t.Fatal(err)
		}
		if err := runs.Put(&history.Run{ID: id, Environment: env, Started: at, Status: status, Spent: spent, Instances: instances}); err != nil {
			t.Fatal(err)
		}
	}
	of := func(cost float64) history.Instance { return history.Instance{Spend: &llm.Spend{Cost: cost, Calls: 1}} }
	put(month.Add(-time.Second), "prod", history.Done, nil, of(1000))
	put(month, "prod", history.Done, nil, of(1), of(2))
	put(month.Add(time.Hour), "dev", history.Done, nil, of(100))
	put(month.Add(2*time.Hour), "prod", history.Failed, nil, of(4))
	put(month.Add(3*time.Hour), "prod", history.Running, &llm.Spend{Cost: 8}) // it was killed
	got, err := runs.Spent("prod", month)
	if err != nil || got.Cost != 15 || got.Calls != 3 {
		t.Errorf("%+v, %v", got, err)
	}

	id := fmt.Sprintf("%s-00000000", month.Add(4*time.Hour).Format("20060102-150405"))
	if err := os.WriteFile(filepath.Join(dir, "runs", id+".json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := runs.Spent("prod", month); err == nil {
		t.Error("a record that cannot be read counts as nothing")
	}
}
