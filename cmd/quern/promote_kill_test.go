package main

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sandbox is a folder in which a test runs quern.
type sandbox struct {
	t   *testing.T
	dir string
}

func newSandbox(t *testing.T) *sandbox { return &sandbox{t, t.TempDir()} }

func (s *sandbox) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sandbox) quern(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(binaries, "quern"), args...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "HOME="+s.dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *sandbox) must(args ...string) string {
	s.t.Helper()
	out, err := s.quern(s.t.Context(), args...)
	if err != nil {
		s.t.Fatalf("quern %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// promotedStages is the number of stages that a promotion moves at once.
const promotedStages = 20

func promotable(t *testing.T) *sandbox {
	s := newSandbox(t)
	s.write("main.quern.hcl", fmt.Sprintf(`
variable "threshold" {
  default = 1
}

source "csv" "rows" {
  path = "rows.csv"
}

transform "filter" "some" {
  for_each = toset([for i in range(%d) : "k${i}"])
  input    = source.rows
  where    = row.n >= var.threshold + tonumber(trimprefix(each.key, "k")) * 0
}

deploy "directory" "rows" {
  artifact = source.rows
  path     = "serve/${quern.environment}"
}
`, promotedStages))
	return s
}

// TestPromotionsAreOneWrite kills promotions and rollbacks at random moments. Whatever
// the moment, the environment refers to all old results or to all new ones, a second
// attempt succeeds, and the results are intact.
func TestPromotionsAreOneWrite(t *testing.T) {
	s := promotable(t)
	write := func(version int) { s.write("rows.csv", fmt.Sprintf("n\n%d\n%d\n", version, version+1)) }
	write(1)
	s.must("apply", "-env=dev", "-auto-approve")
	s.must("promote", "dev", "prod", "-auto-approve")
	list := func(env string) string { return s.must("artifact", "list", "-env="+env) }
	versions := map[string]bool{list("prod"): true} // all results that existed together
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	changed := 0
	for round := range 20 {
		write(round + 2)
		s.must("apply", "-env=dev", "-auto-approve")
		old, now := list("prod"), list("dev")
		versions[now] = true
		args := []string{"promote", "dev", "prod", "-auto-approve"}
		if round%4 == 3 {
			args = []string{"rollback", "-env=prod", "-auto-approve"}
		}
		ctx, kill := context.WithCancel(t.Context())
		go func() { // a run is recorded right before the state is written
			before := runs(s.dir)
			for ctx.Err() == nil && runs(s.dir) == before {
				time.Sleep(100 * time.Microsecond)
			}
			time.Sleep(time.Duration(random.Int64N(int64(120 * time.Millisecond))))
			kill()
		}()
		_, _ = s.quern(ctx, args...)
		kill()
		left := list("prod")
		if left != old {
			changed++
		}
		if !versions[left] || args[0] == "promote" && left != old && left != now {
			t.Fatalf("round %d: quern %s left prod with neither all old nor all new results:\n%s", round, args[0], left)
		}
		if out := s.must("artifact", "verify", "-env=prod"); strings.Contains(out, "damaged") {
			t.Fatal(out)
		}
	}
	t.Logf("%d of 20 killed commands had changed everything", changed)
	s.must("promote", "dev", "prod", "-auto-approve")
	if is, want := list("prod"), list("dev"); is != want {
		t.Errorf("prod has\n%s\nand dev\n%s", is, want)
	}
	if out := s.must("promote", "dev", "prod", "-auto-approve"); !strings.Contains(out, "No changes.") {
		t.Error(out)
	}
	served, err := os.ReadDir(filepath.Join(s.dir, "serve"))
	if err != nil || len(served) == 0 {
		t.Error(served, err)
	}
}

// TestEnvironmentsAreCreatedAtOnce creates an environment from one with a million rows.
// Nothing is copied, so it takes little time and space.
func TestEnvironmentsAreCreatedAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs a million rows")
	}
	s := newSandbox(t)
	s.write("main.quern.hcl", `
source "csv" "rows" {
  path = "rows.csv"
}

transform "filter" "even" {
  input = source.rows
  where = row.n % 2 == 0
}
`)
	var rows strings.Builder
	rows.WriteString("n,text\n")
	for i := range 1_000_000 {
		fmt.Fprintf(&rows, "%d,text %d\n", i, i)
	}
	s.write("rows.csv", rows.String())
	s.must("apply", "-env=dev", "-auto-approve")
	before := usage(t, s.dir)
	if before < 1<<20 {
		t.Fatalf("the store has only %d bytes", before)
	}
	started := time.Now()
	out := s.must("env", "create", "pr-123", "-from=dev", "-expires-in=72h")
	took := time.Since(started)
	if !strings.Contains(out, `Created environment "pr-123" with 2 instances of environment "dev".`) {
		t.Error(out)
	}
	grown := usage(t, s.dir) - before
	t.Logf("created in %v with %d bytes, next to %d", took, grown, before)
	if grown > 100_000 {
		t.Errorf("the environment takes %d bytes", grown)
	}
	if out := s.must("plan", "-env=pr-123"); !strings.Contains(out, "No changes.") {
		t.Error(out)
	}
}

// usage returns the size of all files in a folder.
func usage(t *testing.T, dir string) int64 {
	t.Helper()
	total := int64(0)
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}
