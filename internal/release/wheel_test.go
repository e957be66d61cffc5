package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/quern-dev/quern/internal/version"
)

// largestWheel is the most bytes that a user should have to download.
const largestWheel = 60_000_000

func TestAWheelSaysWhereItRuns(t *testing.T) {
	for platform, want := range map[string]string{
		"linux/amd64":  "py3-none-manylinux_2_28_x86_64",
		"linux/arm64":  "py3-none-manylinux_2_28_aarch64",
		"darwin/amd64": "py3-none-macosx_12_0_x86_64",
		"darwin/arm64": "py3-none-macosx_12_0_arm64",
	} {
		parsed, err := parseTarget(platform)
		if err != nil {
			t.Fatal(err)
		}
		if got := wheelTag(parsed); got != want {
			t.Errorf("%s: got %s", platform, got)
		}
	}
}

func TestAnArchiveIsUnpackedWithItsModes(t *testing.T) {
	path, files := filepath.Join(t.TempDir(), "a.tar.gz"), t.TempDir()
	content := fstest.MapFS{"quern": {Data: []byte("program"), Mode: 0o755}, "sbom/quern.cdx.json": {Data: []byte("{}"), Mode: 0o644}}
	if err := os.CopyFS(files, content); err != nil {
		t.Fatal(err)
	}
	if err := packFile(path, files, "quern_1", time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := unpackFile(dir, path); err != nil {
		t.Fatal(err)
	}
	for name, want := range content {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != string(want.Data) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode()&0o111 != want.Mode&0o111 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// wheels returns the folder QUERN_TEST_WHEEL, the names of its wheels for this
// machine, starting with quern's own, and the program of a tool that releases are
// built with.
func wheels(t *testing.T) (dir string, names []string, tool func(name string) string) {
	t.Helper()
	dir = os.Getenv("QUERN_TEST_WHEEL")
	if dir == "" {
		t.Skip("QUERN_TEST_WHEEL is not set: make test-wheel")
	}
	for i, p := range programs {
		name := strings.ReplaceAll(p.name, "-", "_")
		if i == 0 {
			name = "quern_dev"
		}
		names = append(names, name+"-"+version.Number+"-"+wheelTag(target{runtime.GOOS, runtime.GOARCH})+".whl")
	}
	tools := filepath.Dir(os.Getenv("QUERN_RELEASE_PYTHON"))
	return dir, names, func(name string) string { return filepath.Join(tools, name) }
}

func TestWheelsAreSmallValidAndReproducible(t *testing.T) {
	dir, names, tool := wheels(t)
	// A second time, from the same archive in another folder.
	again := t.TempDir()
	archive := archiveName(target{runtime.GOOS, runtime.GOARCH}) + ".tar.gz"
	if err := os.Symlink(filepath.Join(dir, archive), filepath.Join(again, archive)); err != nil {
		t.Fatal(err)
	}
	t.Chdir("../..")
	if err := wheelCommand(t.Context(), []string{"-dir", again}); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s has %d bytes", name, info.Size())
		if info.Size() > largestWheel {
			t.Errorf("%s has %d bytes, more than %d", name, info.Size(), largestWheel)
		}
		if out, err := exec.Command(tool("twine"), "check", "--strict", path).CombinedOutput(); err != nil {
			t.Errorf("twine: %v\n%s", err, out)
		}
		first, err := digest(path)
		second, err2 := digest(filepath.Join(again, name))
		if err := errors.Join(err, err2); err != nil || string(first) != string(second) {
			t.Errorf("two wheels %s of one archive differ (%v)", name, err)
		}
	}
}

// The wheels bring everything: an empty environment runs the README's pipeline,
// and no Go is on the machine's path.
func TestAWheelRunsTheReadme(t *testing.T) {
	dir, names, tool := wheels(t)
	path := filepath.Join(dir, names[0])
	home, environment := t.TempDir(), filepath.Join(t.TempDir(), "venv")
	for _, args := range [][]string{
		{tool("python"), "-m", "venv", environment},
		{filepath.Join(environment, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--find-links", dir, path},
		{filepath.Join(environment, "bin", "pip"), "check"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	example := filepath.Join(t.TempDir(), "banking77")
	copyExample(t, example)
	run := func(env []string, args ...string) string {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Env = t.TempDir(), append(env, "HOME="+home, "PATH=/usr/bin:/bin")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	clean := func(args ...string) string { return run(nil, args...) }
	// uv needs the machine's settings of the network.
	uv := func(args ...string) string { return run(os.Environ(), args...) }
	program := filepath.Join(environment, "bin", "quern")
	if out := clean(program, "version"); !strings.HasPrefix(out, "quern "+version.Number+" on ") {
		t.Errorf("got %s", out)
	}
	checkReadme(t, "../..", clean(program, "-chdir="+example, "apply", "-auto-approve"))
	if out := clean(filepath.Join(environment, "bin", "python"), "-c", "from quern import plugin; print(plugin.Plugin.__name__)"); out != "Plugin\n" {
		t.Errorf("got %s", out)
	}
	// Without an installation, as a user of uv does. The plan finds what the other
	// program computed.
	if out := uv(tool("uvx"), "--find-links", dir, "--from", path, "quern", "-chdir="+example, "plan"); !strings.Contains(out, "No changes") {
		t.Errorf("got %s", out)
	}
	// uv links the program from another folder.
	uv(tool("uv"), "tool", "install", "--quiet", "--find-links", dir, path)
	if out := clean(filepath.Join(home, ".local", "bin", "quern"), "-chdir="+example, "plan"); !strings.Contains(out, "No changes") {
		t.Errorf("got %s", out)
	}
	// A program with large libraries is an extra of the package.
	uv(filepath.Join(environment, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--find-links", dir, "quern-dev[documents]=="+version.Number)
	pages := t.TempDir()
	for name, text := range map[string]string{
		"main.quern.hcl": "source \"html\" \"pages\" {\n  path = \"*.html\"\n}\n",
		"a.html":         "<html><body><p>" + strings.Repeat("A page about wheels. ", 20) + "</p></body></html>",
	} {
		if err := os.WriteFile(filepath.Join(pages, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out := clean(program, "-chdir="+pages, "apply", "-auto-approve"); !strings.Contains(out, "(1 row)") {
		t.Errorf("got %s", out)
	}
}

// copyExample copies the files of the README's pipeline that are in Git.
func copyExample(t *testing.T, dir string) {
	t.Helper()
	const root = "../../examples/banking77"
	files, err := output(t.Context(), root, nil, "git", "ls-files", "-z")
	if err != nil {
		t.Fatal(err)
	}
	for file := range strings.SplitSeq(strings.TrimRight(files, "\x00"), "\x00") {
		if err := copyFile(filepath.Join(dir, file), filepath.Join(root, file)); err != nil {
			t.Fatal(err)
		}
	}
}
