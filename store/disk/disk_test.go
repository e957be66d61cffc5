package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestOnePublisherOfANewFileWins(t *testing.T) {
	s, path := NewSyncer(), filepath.Join(t.TempDir(), "file")
	var wg sync.WaitGroup
	won := make(chan string, 16)
	for i := range 16 {
		wg.Go(func() {
			text := fmt.Sprint("text ", i)
			err := s.PublishNew(path, strings.NewReader(text), 0o444)
			if err == nil {
				won <- text
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
			if err := s.Flush(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(won)
	got, err := os.ReadFile(path)
	if err != nil || len(won) != 1 || string(got) != <-won {
		t.Errorf("%q, %v", got, err)
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Error("temporary files are left")
	}
}

func TestFlushWaitsForWhatWasDeferredBefore(t *testing.T) {
	s, dir := NewSyncer(), t.TempDir()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 20 {
				path := filepath.Join(dir, fmt.Sprint(i, "-", k))
				if err := s.Publish(path, strings.NewReader("x"), 0o644); err != nil {
					t.Error(err)
				}
				if err := s.Flush(); err != nil {
					t.Error(err)
				}
				s.mu.Lock()
				if _, waits := s.pending[path]; waits {
					t.Error("a flushed file still waits")
				}
				s.mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(s.pending) > 0 || s.busy {
		t.Error("something is left to do")
	}
}

func TestAFailedSyncIsNeverForgotten(t *testing.T) {
	s := NewSyncer()
	s.failed = errors.New("the disk broke")
	s.Defer(filepath.Join(t.TempDir(), "x"))
	for range 2 {
		if err := s.Flush(); err == nil {
			t.Error("a later flush succeeds")
		}
	}
}

func TestAFullDiskIsReported(t *testing.T) {
	err := Explain(fmt.Errorf("write: %w", syscall.ENOSPC))
	var full *Full
	if !errors.As(err, &full) || !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if again := Explain(fmt.Errorf("outer: %w", err)); !errors.As(again, &full) {
		t.Error(again)
	}
	if other := errors.New("other"); Explain(other) != other || Explain(nil) != nil {
		t.Error("other errors are changed")
	}
}
