package history_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/process"
)

func newStore(t *testing.T) (*history.Store, string) {
	root := t.TempDir()
	dir := filepath.Join(root, "runs")
	return history.New(context.Background(), backend.NewLocal(root, disk.NewSyncer()), dir), dir
}

func TestRunsAreListedNewestFirst(t *testing.T) {
	s, _ := newStore(t)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var ids []string
	for _, after := range []time.Duration{0, time.Millisecond, time.Hour} {
		id, err := s.NewID(start.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		if err := s.Put(&history.Run{ID: id, Status: history.Done, Instances: []history.Instance{{Address: "label.a"}}}); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := s.List()
	if err != nil || len(runs) != 3 || runs[0].ID != ids[2] || runs[2].ID != ids[0] || runs[0].Instances[0].Address != "label.a" {
		t.Fatal(runs, err)
	}
	if _, err := s.Get("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, id := range []string{"", "../x", strings.Repeat("x", 65)} {
		if _, err := s.Get(id); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Error(id, err)
		}
	}
}

// A clock can be wrong, and set back. What "log" and "rollback" call the run before must
// be the run before.
func TestRunsAreInTheOrderInWhichTheyStarted(t *testing.T) {
	s, _ := newStore(t)
	if err := s.Put(&history.Run{ID: "foreign", Status: history.Done}); err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 2, 3, 4, 59, 999999999, time.UTC)
	var ids []string
	for _, after := range []time.Duration{0, 0, -time.Hour, time.Nanosecond, -24 * time.Hour, 0, time.Hour, 0, 0} {
		id, err := s.NewID(start.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		if err := s.Put(&history.Run{ID: id, Started: start.Add(after), Status: history.Done}); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.IsSorted(ids) || ids[0][:15] != "20260102-030459" || ids[6][:15] != "20260102-040459" {
		t.Error(ids)
	}
}

func TestARunWhoseProcessEndedReadsAsInterrupted(t *testing.T) {
	s, dir := newStore(t)
	r := &history.Run{ID: "run", Status: history.Running}
	if err := s.Put(r); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get("run"); err != nil || got.Status != history.Running {
		t.Fatal(got, err)
	}
	ended := exec.Command(os.Args[0], "-test.run=^$")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	gone := process.Self()
	gone.PID = ended.Process.Pid
	r.Process = &gone
	text, err := document.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "run.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get("run"); err != nil || got.Status != history.Interrupted {
		t.Error(got, err)
	}
}

func TestADamagedRecordDoesNotHideTheOthers(t *testing.T) {
	s, dir := newStore(t)
	for _, id := range []string{"a", "b"} {
		if err := s.Put(&history.Run{ID: id, Status: history.Done}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "a.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	runs, err := s.List()
	var damaged *document.Damaged
	if len(runs) != 1 || !errors.As(err, &damaged) {
		t.Error(runs, err)
	}
}
