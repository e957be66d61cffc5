package state_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quern-dev/quern/store/state"
)

var me = state.Owner{User: "ann", Command: "quern apply"}

// lockVariable makes the test program take a lock and keep it until it is
// killed.
const lockVariable = "QUERN_TEST_LOCK"

func TestMain(m *testing.M) {
	if dir := os.Getenv(lockVariable); dir != "" {
		s := open(dir)
		if _, err := s.Lock(context.Background(), "dev", state.Owner{User: "bob", Command: "quern apply"}, 0, nil); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("locked")
		select {}
	}
	os.Exit(m.Run())
}

func lock(t *testing.T, s *state.Store) *state.Lease {
	t.Helper()
	l, err := s.Lock(context.Background(), "dev", me, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestALeaseKeepsOthersOutUntilItIsReleased(t *testing.T) {
	s, dir := newStore(t)
	l := lock(t, s)
	var locked *state.Locked
	_, err := open(filepath.Dir(dir)).Lock(context.Background(), "dev", me, 0, nil)
	if !errors.As(err, &locked) || locked.Holder.User != "ann" || locked.Holder.PID != os.Getpid() {
		t.Fatal(err)
	}
	if h, err := s.Holder("dev"); err != nil || h == nil || h.ID != l.Holder().ID {
		t.Error(h, err)
	}
	for range 2 {
		if err := l.Release(); err != nil {
			t.Error(err)
		}
	}
	if h, err := s.Holder("dev"); err != nil || h != nil {
		t.Error(h, err)
	}
	l = lock(t, s)
	if l.TookOver != nil {
		t.Error("a released lease is taken over")
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
}

func TestALeaseIsWaitedFor(t *testing.T) {
	s, _ := newStore(t)
	l := lock(t, s)
	var told atomic.Int32
	second, err := s.Lock(context.Background(), "dev", me, time.Minute, func(h state.Holder) {
		told.Add(1)
		if h.ID != l.Holder().ID {
			t.Error("it is told of another holder")
		}
		if err := l.Release(); err != nil {
			t.Error(err)
		}
	})
	if err != nil || told.Load() != 1 {
		t.Fatal(told.Load(), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := s.Lock(ctx, "dev", me, time.Minute, func(state.Holder) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
}

func TestNoTwoProcessesHaveTheLease(t *testing.T) {
	_, dir := newStore(t)
	var wg sync.WaitGroup
	var inside, times atomic.Int32
	for range 6 {
		wg.Go(func() {
			s := open(filepath.Dir(dir))
			for range 3 {
				l, err := s.Lock(context.Background(), "dev", me, time.Minute, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) > 1 {
					t.Error("two have the lease")
				}
				times.Add(1)
				inside.Add(-1)
				if err := l.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if times.Load() != 18 {
		t.Errorf("the lease was had %d times", times.Load())
	}
}

func TestTheLeaseOfAKilledProcessIsTakenOverImmediately(t *testing.T) {
	s, dir := newStore(t)
	other := exec.Command(os.Args[0], "-test.run=^$")
	other.Env = append(os.Environ(), lockVariable+"="+filepath.Dir(dir))
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "locked\n" {
		t.Fatal(line, err)
	}
	var locked *state.Locked
	if _, err := s.Lock(context.Background(), "dev", me, 0, nil); !errors.As(err, &locked) || locked.Holder.User != "bob" {
		t.Fatal(err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	other.Wait()
	l := lock(t, s)
	if l.TookOver == nil || l.TookOver.PID != other.Process.Pid {
		t.Errorf("taken over from %v", l.TookOver)
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
}

func TestALeaseOnAllEnvironmentsKeepsEverybodyOut(t *testing.T) {
	s, dir := newStore(t)
	other := open(filepath.Dir(dir))
	try := func(env string) error {
		l, err := other.Lock(context.Background(), env, me, 0, nil)
		l.Release()
		return err
	}
	one := lock(t, s)
	var locked *state.Locked
	if err := try(state.AllEnvironments); !errors.As(err, &locked) || locked.Environment != "dev" {
		t.Fatalf("it is taken although an environment without a state is in use: %v", err)
	}
	one.Release()
	all, err := s.Lock(context.Background(), state.AllEnvironments, me, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for env, says := range map[string]string{
		"dev": `environment "dev" is being changed by `, "new": `environment "new" is being changed by `, state.AllEnvironments: "the store is being changed by ",
	} {
		if err := try(env); !errors.As(err, &locked) || locked.Holder.ID != all.Holder().ID || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%s can be used meanwhile: %v", env, err)
		}
	}
	if names, err := s.List(); err != nil || len(names) > 0 {
		t.Errorf("environments: %q, %v", names, err)
	}
	if err := all.Release(); err != nil {
		t.Fatal(err)
	}
	for _, env := range []string{"dev", "new", state.AllEnvironments} {
		if err := try(env); err != nil {
			t.Error(err)
		}
	}
}

func TestALeaseOfALiveProcessIsNotEnded(t *testing.T) {
	s, _ := newStore(t)
	l := lock(t, s)
	all := func(env, id string) error {
		_, _, err := s.ForceUnlock(t.Context(), env, id, nil)
		return err
	}
	var alive *state.Alive
	if err := all("dev", l.Holder().ID); !errors.As(err, &alive) || !strings.Contains(err.Error(), "runs on this machine") {
		t.Error(err)
	}
	if err := all("dev", "other"); err == nil || errors.As(err, &alive) {
		t.Error("another ID:", err)
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
	if err := all("dev", l.Holder().ID); err == nil || !strings.Contains(err.Error(), "is not locked") {
		t.Error("what is not locked is unlocked:", err)
	}
}
