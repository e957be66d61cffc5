package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/datatest"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/state"
)

// smallDisk is a file system of its own with little room, or skips the test
// where none can be made.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skip("mount a small file system:", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskIsReportedAndLeavesTheStoreIntact(t *testing.T) {
	dir := filepath.Join(smallDisk(t, "2m"), "store")
	fill(t, dir)
	s := open(t, dir)

	full := func(what string, err error) {
		t.Helper()
		var f *disk.Full
		if !errors.As(err, &f) {
			t.Errorf("%s on a full disk: %v", what, err)
		}
	}
	full("writing rows", writeUntilFull(s.Blobs.Create, t))
	takeAllRoom(t, dir)
	noise := data.Schema{{Name: "b", Type: "int64"}}
	w := dataset.NewWriter(s.Blobs, noise)
	r := rand.New(rand.NewPCG(1, 1))
	var err error
	for i := 0; err == nil && i < 200; i++ {
		err = w.Write(context.Background(), datatest.Batch(r, noise, 4096))
	}
	if err == nil {
		_, err = w.Close()
	}
	w.Abort()
	full("writing a dataset", err)

	_, err = commitStage(s, "b")
	full("committing a stage", err)
	st, err := s.States().Load("dev")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		address := fmt.Sprint("transform.", i)
		st.Instances[address] = &state.Instance{Address: address}
	}
	full("saving a state", s.States().Save(st))

	if err := os.Remove(filepath.Join(dir, "tmp", "ballast")); err != nil {
		t.Fatal(err)
	}
	if err := readEverything(dir); err != nil {
		t.Errorf("the store is not sound: %v", err)
	}
	if _, err := commitStage(open(t, dir), "b"); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := open(t, dir).States().Save(st); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func writeUntilFull[W interface {
	Write([]byte) (int, error)
	Abort()
}](create func() (W, error), t *testing.T) error {
	t.Helper()
	w, err := create()
	if err != nil {
		return err
	}
	defer w.Abort()
	for range 64 {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return err
		}
	}
	return nil
}

// takeAllRoom leaves not a byte.
func takeAllRoom(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "tmp", "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 4096, 512, 1} {
		for {
			if _, err := f.Write(make([]byte, size)); err != nil {
				break
			}
		}
	}
}
