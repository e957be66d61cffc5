package state

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/process"
)

// leaseOf writes a lease of a process.
func leaseOf(t *testing.T, s *Store, env string, of process.Identity, renewed time.Time) {
	t.Helper()
	doc := leaseDoc{Format: LeaseFormat, Process: of, Holder: Holder{Owner: Owner{User: "bob", Host: of.Host}, ID: "id", Renewed: renewed, Expires: time.Now().Add(time.Hour)}}
	_, version, err := s.readLease(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	text, err := document.Encode(doc)
	if err == nil {
		_, err = s.backend.Swap(t.Context(), object(env, leaseFile), version, backend.Bytes(text))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestALeaseIsEndedWithProofThatItsHolderIsGone(t *testing.T) {
	watch = 50 * time.Millisecond
	t.Cleanup(func() { watch = 3 * heartbeat })
	s := New(t.Context(), backend.NewLocal(t.TempDir(), disk.NewSyncer()))
	self, now := process.Self(), time.Now().UTC()
	ended, rebooted, elsewhere := self, self, process.Identity{Host: "elsewhere", PID: 1}
	ended.Start = "1"
	rebooted.Boot = "another"
	if self.Machine == "" { // nothing proves a restart then
		rebooted.Boot, rebooted.Start = self.Boot, "1"
	}
	for _, test := range []struct {
		name    string
		of      process.Identity
		renewed time.Time
		proof   string
	}{
		{"another process has its ID now", ended, now, "has ended on this machine"},
		{"the machine was started again", rebooted, now, "has ended on this machine"},
		{"it does not renew", elsewhere, now, "it did not renew the lease for 50ms"},
		{"it has not renewed for long", elsewhere, now.Add(-48 * time.Hour), "for the last time on"},
	} {
		for _, env := range []string{"dev", AllEnvironments} {
			leaseOf(t, s, env, test.of, test.renewed)
			if _, proof, err := s.ForceUnlock(t.Context(), "dev", "id", nil); err != nil || !strings.Contains(proof, test.proof) {
				t.Errorf("%s: %q, %v", test.name, proof, err)
			}
			if record, _, err := s.readLease(t.Context(), env); record != nil || err != nil {
				t.Errorf("%s: it is still locked (%v)", test.name, err)
			}
		}
	}
}

func TestALeaseThatIsRenewedElsewhereIsNotEnded(t *testing.T) {
	s := New(t.Context(), backend.NewLocal(t.TempDir(), disk.NewSyncer()))
	contained, namesake := process.Self(), process.Self()
	contained.Namespace, contained.PID = "pid:[1]", 1
	namesake.Machine, namesake.Boot = "another", "another"
	now := time.Now().UTC()
	watch = time.Millisecond
	t.Cleanup(func() { watch = 3 * heartbeat })
	for name, of := range map[string]process.Identity{
		"on another host":                       {Host: "elsewhere", PID: 1},
		"in a container":                        contained,
		"on another machine with the same name": namesake,
	} {
		leaseOf(t, s, "dev", of, now)
		if h, err := s.Holder("dev"); h == nil || err != nil {
			t.Errorf("%s: the holder is %v, %v", name, h, err)
		}
		if l, _, err := s.tryLock(t.Context(), "dev", Owner{User: "ann"}); l != nil || err != nil {
			t.Fatalf("%s: the lease is taken over (%v)", name, err)
		}
		_, _, err := s.ForceUnlock(t.Context(), "dev", "id", func(Holder) { leaseOf(t, s, "dev", of, now.Add(heartbeat)) })
		var alive *Alive
		if !errors.As(err, &alive) || !strings.Contains(err.Error(), "just renewed") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
