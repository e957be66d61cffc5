package scaffold_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/quern-dev/quern/registry/scaffold"
)

func TestANewPluginsTestsPass(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	for _, kind := range []string{"source", "transform", "label", "train", "evaluate", "deploy"} {
		t.Run(kind, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "plugin")
			files, err := scaffold.Write(dir, scaffold.Options{Language: scaffold.Go, Kind: kind, Name: "acme", Replace: "../.."})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.IsSorted(files) || !slices.Contains(files, "go.mod") || !slices.Contains(files, "README.md") {
				t.Errorf("got files %v", files)
			}
			args := []string{"test", "./..."}
			if kind != "label" {
				args = append(args, "-skip", "TestTheProgramStarts") // linking is slow
			}
			cmd := exec.CommandContext(t.Context(), "go", args...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOPROXY=off", "GOWORK=off")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("go %v: %s\n%s", args, err, out)
			}
			if out, err := exec.CommandContext(t.Context(), "gofmt", "-l", dir).Output(); err != nil || len(out) > 0 {
				t.Errorf("not formatted: %s (%v)", out, err)
			}
		})
	}
}

func TestAPluginForAReleaseNeedsOnlyTidying(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugin")
	if _, err := scaffold.Write(dir, scaffold.Options{Language: scaffold.Go, Kind: "label", Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if want := "module quern-plugin-acme\n\ngo 1.26\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestMistakesAreErrorsAndWriteNothing(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "fresh")
	for name, c := range map[string]struct {
		dir string
		o   scaffold.Options
	}{
		"kind":    {fresh, scaffold.Options{Language: scaffold.Go, Kind: "gate", Name: "acme"}},
		"name":    {fresh, scaffold.Options{Language: scaffold.Go, Kind: "label", Name: "Acme Inc"}},
		"folder":  {full, scaffold.Options{Language: scaffold.Go, Kind: "label", Name: "acme"}},
		"replace": {fresh, scaffold.Options{Language: scaffold.Go, Kind: "label", Name: "acme", Replace: full}},
		"a model": {fresh, scaffold.Options{Language: scaffold.Go, Kind: "model", Name: "acme"}},
		"python":  {fresh, scaffold.Options{Language: scaffold.Python, Kind: "label", Name: "acme", Replace: "../.."}},
		"perl":    {fresh, scaffold.Options{Language: "perl", Kind: "label", Name: "acme"}},
	} {
		if _, err := scaffold.Write(c.dir, c.o); err == nil {
			t.Errorf("%s: there is no error", name)
		}
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("something was written")
	}
}
