package state

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/process"
)

func TestALeaseThatSomebodyElseTookIsLost(t *testing.T) {
	s := New(context.Background(), backend.NewLocal(t.TempDir(), disk.NewSyncer()))
	l, err := s.Lock(context.Background(), "dev", Owner{}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if !l.beat(time.Now()) {
		t.Error("a lease is lost for no reason")
	}
	if err := s.backend.Delete(context.Background(), object("dev", leaseFile), backend.Any); err != nil {
		t.Fatal(err)
	}
	if l.beat(time.Now()) {
		t.Error("a lease that was taken away goes on")
	}
}

func TestARecordFromAnotherHostIsValidUntilItExpires(t *testing.T) {
	// Where the system's locks do not reach, the record alone keeps others
	// out; nobody can tell whether a process on another host lives.
	root := t.TempDir()
	s := New(context.Background(), backend.NewLocal(root, disk.NewSyncer()))
	write := func(expires time.Time) {
		doc := leaseDoc{Format: LeaseFormat, Process: process.Identity{Host: "elsewhere", PID: 1},
			Holder: Holder{Owner: Owner{User: "bob", Host: "elsewhere"}, ID: "id", Expires: expires}}
		text, err := document.Encode(doc)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(root, "envs", "dev"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "envs", "dev", leaseFile), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(time.Now().Add(time.Hour))
	if _, err := s.Lock(context.Background(), "dev", Owner{}, 0, nil); err == nil {
		t.Fatal("a lease that has not expired is taken over")
	}
	write(time.Now().Add(-time.Second))
	l, err := s.Lock(context.Background(), "dev", Owner{}, 0, nil)
	if err != nil || l.TookOver == nil || l.TookOver.Host != "elsewhere" {
		t.Fatal(l, err)
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
}
