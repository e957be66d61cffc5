package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// movedInstances is the number of instances that move at once.
const movedInstances = 1000

// gates is a pipeline with many instances, whose stage has a name and may have moved
// from another one.
func gates(name, from string) string {
	text := fmt.Sprintf(`
gate %q {
  for_each      = toset([for i in range(%d) : "k${i}"])
  condition     = true
  error_message = "No."
}
`, name, movedInstances)
	if from != "" {
		text += fmt.Sprintf(`
moved {
  for_each = gate_keys
  from     = gate.%s[each.key]
  to       = gate.%s[each.value]
}
`, from, name)
		text = strings.Replace(text, "gate_keys", fmt.Sprintf(`{ for i in range(%d) : "k${i}" => "k${i}" }`, movedInstances), 1)
	}
	return text
}

// TestMovesAreOneWrite kills applies that move many instances at random moments
// (Terraform #21265: a large state mv lost resources).
// Whatever the moment, the state has all instances, with either all old or all new
// addresses, and its serial grows by one with each move.
func TestMovesAreOneWrite(t *testing.T) {
	dir := t.TempDir()
	quern := func(ctx context.Context, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, filepath.Join(binaries, "quern"), args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "main.quern.hcl"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	must := func(args ...string) string {
		out, err := quern(t.Context(), args...)
		if err != nil {
			t.Fatalf("quern %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	write(gates("a", ""))
	must("apply", "-auto-approve")
	names := [2]string{"a", "b"}
	write(gates(names[1], names[0]))
	if out := must("apply", "-auto-approve"); !strings.Contains(out, `gate.a["k0"] has moved to gate.b["k0"]`) || !strings.Contains(out, "Plan: 1,000 to move, 1,000 unchanged.") {
		t.Fatal(out)
	}
	if serial := must("state", "pull"); !strings.Contains(serial, `"serial": 2,`) {
		t.Fatal("the moves were not one write")
	}

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	moved := 0
	for range 20 {
		names[0], names[1] = names[1], names[0]
		write(gates(names[1], names[0]))
		ctx, kill := context.WithCancel(t.Context())
		go func() { // a run is recorded right before the state is written
			before := runs(dir)
			for ctx.Err() == nil && runs(dir) == before {
				time.Sleep(100 * time.Microsecond)
			}
			time.Sleep(time.Duration(random.Int64N(int64(120 * time.Millisecond))))
			kill()
		}()
		_, _ = quern(ctx, "apply", "-auto-approve")
		kill()
		list := must("state", "list")
		old, now := strings.Count(list, "gate."+names[0]+"["), strings.Count(list, "gate."+names[1]+"[")
		if strings.Count(list, "\n") != movedInstances || old != 0 && now != 0 {
			t.Fatalf("%d instances with old and %d with new addresses", old, now)
		}
		if now == 0 { // try again from there
			names[0], names[1] = names[1], names[0]
			continue
		}
		moved++
	}
	t.Logf("%d of 20 killed applies had moved everything", moved)
	write(gates(names[1], ""))
	if out := must("plan"); !strings.Contains(out, "No changes.") {
		t.Error(out)
	}
}

// runs is the number of files that describe runs.
func runs(dir string) int {
	all, _ := filepath.Glob(filepath.Join(dir, ".quern", "runs", "*"))
	return len(all)
}
