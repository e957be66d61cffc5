package state

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/disk"
)

func TestTheStateThatARunLeftIsKept(t *testing.T) {
	root := t.TempDir()
	s := New(context.Background(), backend.NewLocal(root, disk.NewSyncer()))
	if err := s.Keep("dev", "run-0"); err != nil {
		t.Fatalf("an environment without a state: %v", err)
	}
	st, err := s.Create("dev", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Keep("dev", "run-1"); err != nil {
		t.Fatal(err)
	}
	st.Instances["source.a"] = &Instance{Address: "source.a"}
	if err := s.Save(st); err != nil {
		t.Fatal(err)
	}
	if err := s.Keep("dev", "run-2"); err != nil {
		t.Fatal(err)
	}
	for run, want := range map[string]int{"run-1": 0, "run-2": 1} {
		if left, err := s.Kept("dev", run); err != nil || len(left.Instances) != want {
			t.Errorf("%s left %v, %v", run, left, err)
		}
	}
	if names, err := s.List(); err != nil || len(names) != 1 {
		t.Errorf("kept states are taken for environments: %v, %v", names, err)
	}

	if err := s.Drop("dev", "run-1"); err != nil {
		t.Fatal(err)
	}
	for env, run := range map[string]string{"dev": "run-1", "other": "run-2", "": "run-2"} {
		if _, err := s.Kept(env, run); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s in %q: %v", run, env, err)
		}
		if err := s.Drop(env, run); err != nil {
			t.Error(err)
		}
	}
	if err := s.Delete(st); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(root, "envs", "dev", "runs", "*")); err != nil || len(left) > 0 {
		t.Errorf("a deleted environment leaves %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(root, "envs", "dev", "state.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
