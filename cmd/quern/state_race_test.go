package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// refusal matches what a command says that finds a lease or another state.
var refusal = regexp.MustCompile(`is being changed by (\S+@\S+ \(process \d+, quern state (mv|push), since .*\); .* end its lease with "quern state unlock -env=default [0-9a-f]{16}"|a command that has just started; wait for it with -lock-timeout)|` +
	`has changed since it was read \(serial \d+, now \d+\): run this command again|` +
	`has no instance source\.[ab]|the current state is newer|but its content is different`)

// TestWritersOfAStateLoseNoChange pulls, edits, pushes, and moves at the same time, with
// and without leases, and kills some of the commands. Each command that succeeds raises
// the serial by one. If one overwrote the change of another, the last serial would be
// too low.
func TestWritersOfAStateLoseNoChange(t *testing.T) {
	s := newSandbox(t)
	s.write("rows.csv", "n\n1\n")
	s.write("main.quern.hcl", "source \"csv\" \"a\" {\n  path = \"rows.csv\"\n}\n")
	s.must("apply", "-auto-approve")
	first := s.serial(s.must("state", "pull"))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)

	var succeeded, refused, killed atomic.Int64
	var all sync.WaitGroup
	for writer := range 4 {
		random := rand.New(rand.NewPCG(seed, uint64(writer)))
		all.Go(func() {
			for range 4 * crashes(t) {
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if random.IntN(4) == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(random.Int64N(int64(200*time.Millisecond))))
				}
				out, err := s.quern(ctx, s.change(writer, random)...)
				switch {
				case err == nil && strings.Contains(out, "is already the same"): // another push was faster
				case err == nil:
					succeeded.Add(1)
				case ctx.Err() != nil:
					killed.Add(1)
				case refusal.MatchString(strings.Join(strings.Fields(strings.ReplaceAll(out, "│", "")), " ")):
					refused.Add(1)
				default:
					t.Errorf("%v\n%s", err, out)
				}
				cancel()
			}
		})
	}
	all.Wait()
	t.Logf("%d commands succeeded, %d were refused, and %d were killed", succeeded.Load(), refused.Load(), killed.Load())
	changes := s.serial(s.must("state", "pull")) - first
	if least, most := succeeded.Load(), succeeded.Load()+killed.Load(); changes < least || changes > most {
		t.Errorf("the serial was raised %d times by %d to %d commands", changes, least, most)
	}
	s.must("apply", "-auto-approve") // nobody has the lease
}

// change returns the arguments of a command that raises the serial of the state by one.
func (s *sandbox) change(writer int, random *rand.Rand) []string {
	lock := fmt.Sprintf("-lock=%t", random.IntN(2) == 0)
	if random.IntN(2) == 0 {
		names := []string{"source.a", "source.b"}
		from := random.IntN(2)
		return []string{"state", "mv", lock, names[from], names[1-from]}
	}
	text, err := s.quern(s.t.Context(), "state", "pull")
	var st map[string]any
	if err == nil {
		err = json.Unmarshal([]byte(text), &st)
	}
	if err != nil {
		s.t.Errorf("pull: %v\n%s", err, text)
		return nil
	}
	name := fmt.Sprintf("pushed%d.json", writer)
	st["serial"] = s.serial(text) + 1
	edited, err := json.Marshal(st)
	if err != nil {
		s.t.Error(err)
	}
	s.write(name, string(edited))
	return []string{"state", "push", lock, name}
}

// serial returns the serial of a pulled state.
func (s *sandbox) serial(text string) int64 {
	var st struct{ Serial int64 }
	if err := json.Unmarshal([]byte(text), &st); err != nil || st.Serial == 0 {
		s.t.Errorf("%v in\n%s", err, text)
	}
	return st.Serial
}
