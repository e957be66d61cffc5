package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quern-dev/quern/internal/reference"
)

// pythonProject is a pipeline whose plugin is the Python package in plugins/demo,
// and an index with the package that it depends on.
type pythonProject struct {
	t     *testing.T
	dir   string
	index *httptest.Server
	env   []string
	// hashes makes the index publish hashes, as PyPI does.
	hashes bool
	// hold makes the index wait before it sends the next wheel, and asked says so.
	asked chan string
	hold  chan chan struct{}
}

// installers runs a test with pip and with uv, if "make references" has installed it.
func installers(t *testing.T, test func(t *testing.T, p *pythonProject)) {
	t.Helper()
	if exec.Command("python3", "-c", "import tomllib, venv, ensurepip").Run() != nil {
		t.Skip("Python 3.11 with venv is not installed")
	}
	t.Run("pip", func(t *testing.T) { test(t, newPythonProject(t, "")) })
	t.Run("uv", func(t *testing.T) {
		uv := filepath.Join(filepath.Dir(reference.Interpreter(t)), "uv")
		if _, err := os.Stat(uv); err != nil {
			t.Skip(`uv is not installed; run "make references"`)
		}
		test(t, newPythonProject(t, uv))
	})
}

const pythonConfiguration = `
quern {
  required_plugins {
    test = { source = "./plugins/demo" }
  }
}

source "csv" "texts" {
  path = "a.csv"
}

label "test_upper" "loud" {
  input = source.texts
  text  = row.text
}
`

// The plugin is the test program in Go, started by a package that has to find its
// dependency.
const pythonModule = `
import os
import greeting
import importlib.metadata

def main():
    os.environ["TEST_PLUGIN_VERSION"] = importlib.metadata.version("demo")
    os.execv(%q, ["quern-plugin-test"])
`

const pythonMetadata = `
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "demo"
version = "1.2.0"
requires-python = ">=3.11"
dependencies = ["greeting"]

[project.scripts]
quern-plugin-demo = "demo:main"
`

func newPythonProject(t *testing.T, uv string) *pythonProject {
	p := &pythonProject{t: t, dir: t.TempDir(), asked: make(chan string, 100), hold: make(chan chan struct{}, 1)}
	backend, err := os.ReadFile("testdata/python/backend.py")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"main.quern.hcl": pythonConfiguration, "a.csv": "text\nhello\n",
		"plugins/demo/pyproject.toml": pythonMetadata, "plugins/demo/backend.py": string(backend),
		"plugins/demo/src/demo/__init__.py": fmt.Sprintf(pythonModule, filepath.Join(binaries, "quern-plugin-test")),
		"greeting/pyproject.toml":           "[project]\nname = \"greeting\"\nversion = \"2.0\"\n", "greeting/backend.py": string(backend),
		"greeting/src/greeting.py": "WORD = 'hi'\n", "wheels/index.html": "",
		// What must not be used.
		"poison/greeting.py": "raise SystemExit('PYTHONPATH leaks')\n",
	} {
		p.write(name, text)
	}
	build := exec.Command("python3", "backend.py", "../wheels")
	build.Dir = filepath.Join(p.dir, "greeting")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build a wheel: %v\n%s", err, out)
	}
	p.start("127.0.0.1:0")
	p.env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "PIP_") || strings.HasPrefix(v, "UV_") || strings.HasPrefix(v, "PATH=")
	})
	path := binaries
	if uv != "" {
		// Not its folder, which contains a Python, too.
		p.write("uv/README", "")
		if err := os.Symlink(uv, filepath.Join(p.dir, "uv", "uv")); err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(p.dir, "uv") + ":" + path
	}
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(folder, "uv")); err != nil {
			path += ":" + folder
		}
	}
	poison := filepath.Join(p.dir, "poison")
	p.env = append(p.env, "NO_COLOR=1", "PATH="+path, "XDG_CACHE_HOME="+filepath.Join(p.dir, ".cache"), "QUERN_PLUGIN_PATH="+binaries,
		"PIP_INDEX_URL="+p.index.URL+"/simple", "UV_DEFAULT_INDEX="+p.index.URL+"/simple", "UV_HTTP_RETRIES=0", "PIP_RETRIES=0",
		"VIRTUAL_ENV="+poison, "PYTHONPATH="+poison, "PIP_TARGET="+poison, "PIP_USER=1", "UV_TARGET="+poison, "UV_PROJECT_ENVIRONMENT="+poison)
	return p
}

// start starts the index at an address.
func (p *pythonProject) start(address string) {
	p.t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.index = &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(p.serve)}}
	p.index.Start()
	p.t.Cleanup(p.index.Close)
}

func (p *pythonProject) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pythonProject) read(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, filepath.FromSlash(name)))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

func (p *pythonProject) replace(name, old, now string) {
	p.t.Helper()
	text := p.read(name)
	if !strings.Contains(text, old) {
		p.t.Fatalf("%s does not contain %q", name, old)
	}
	p.write(name, strings.ReplaceAll(text, old, now))
}

// serve is a simple index (PEP 503).
func (p *pythonProject) serve(w http.ResponseWriter, r *http.Request) {
	const wheel = "greeting-2.0-py3-none-any.whl"
	switch r.URL.Path {
	case "/simple/greeting/":
		w.Header().Set("Content-Type", "text/html")
		fragment := ""
		if content, err := os.ReadFile(filepath.Join(p.dir, "wheels", wheel)); err == nil && p.hashes {
			fragment = fmt.Sprintf("#sha256=%x", sha256.Sum256(content))
		}
		fmt.Fprintf(w, `<!DOCTYPE html><a href="/wheels/%s%s">%s</a>`, wheel, fragment, wheel)
	case "/wheels/" + wheel:
		select {
		case release := <-p.hold:
			p.asked <- r.URL.Path
			<-release
		default:
		}
		http.ServeFile(w, r, filepath.Join(p.dir, "wheels", wheel))
	default:
		http.NotFound(w, r)
	}
}

func (p *pythonProject) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(binaries, "quern"), args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	return cmd
}

// quern runs the program, which must succeed, and returns what it prints.
func (p *pythonProject) quern(args ...string) string {
	p.t.Helper()
	out, err := p.command(args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("quern %v: %v\n%s", args, err, out)
	}
	return string(out)
}

var brokenLine = regexp.MustCompile(`\n│ `)

// refused runs the program, which must fail and say something.
func (p *pythonProject) refused(want string, args ...string) {
	p.t.Helper()
	out, err := p.command(args...).CombinedOutput()
	if text := brokenLine.ReplaceAllString(string(out), " "); err == nil || !strings.Contains(text, want) {
		p.t.Errorf("quern %v: %v, want %q\n%s", args, err, want, out)
	}
}

// venvs returns the names of the virtual environments, complete or not.
func (p *pythonProject) venvs() []string {
	entries, err := os.ReadDir(filepath.Join(p.dir, ".quern", "venvs"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		p.t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func (p *pythonProject) expect(text string, wants ...string) {
	p.t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			p.t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

func TestAPluginInPythonIsInstalledAndPinned(t *testing.T) {
	installers(t, func(t *testing.T, p *pythonProject) {
		p.refused(`Run "quern init"`, "plan")
		p.refused("-lockfile=readonly does not allow one", "init", "-lockfile=readonly")
		p.expect(p.quern("init"), "- test 1.2.0 with cpython 3.", "(pinned)")
		p.expect(p.read(".quern.lock.hcl"), `"./plugins/demo"`, `"cpython 3.`, "modules ", `"pylock.toml" = "sha256:`)
		p.expect(p.read("plugins/demo/pylock.toml"), "greeting", "sha256")
		if left, _ := os.ReadDir(filepath.Join(p.dir, "poison")); len(left) != 1 {
			t.Errorf("a folder of the user was changed: %v", left)
		}
		p.quern("apply", "-auto-approve")
		if got := p.quern("artifact", "export", "label.loud", "-format=jsonl"); !strings.Contains(got, "HELLO") {
			t.Errorf("got %s", got)
		}

		// Once it is installed, the network is not needed, and nothing is installed.
		p.index.Close()
		if out := p.quern("init", "-lockfile=readonly"); !strings.Contains(out, "(unchanged)") || strings.Contains(out, "Installing") {
			t.Errorf("a second init prints\n%s", out)
		}
		p.expect(p.quern("plan"), "No changes")

		// The cache is enough.
		if err := os.RemoveAll(filepath.Join(p.dir, ".quern", "venvs")); err != nil {
			t.Fatal(err)
		}
		p.refused("not installed here", "plan")
		p.expect(p.quern("init", "-json"), `"change": "unchanged"`, `"python": "cpython 3.`)
		p.expect(p.quern("plan"), "No changes")

		// Only an upgrade accepts changed files, and gc removes what was replaced.
		first := p.venvs()
		p.write("plugins/demo/tests/test_demo.py", "")
		p.quern("plan")
		p.write("plugins/demo/src/demo/words.txt", "changed")
		p.refused("the digest of the package's own files is sha256:", "plan")
		p.refused("does not match the lock file", "init")
		p.start(p.index.Listener.Addr().String())
		if up := p.quern("init", "-upgrade"); !strings.Contains(up, "(digest changed)") {
			t.Errorf("an upgrade prints\n%s", up)
		}
		if len(first) != 1 || len(p.venvs()) != 2 {
			t.Fatalf("got the virtual environments %v, then %v", first, p.venvs())
		}
		p.expect(p.quern("gc", "-delete"), "0 actions") // both are young
		p.expect(p.quern("gc", "-delete", "-grace=0s"), "Removed 1 virtual environment of plugins in Python")
		if left := p.venvs(); len(left) != 1 || left[0] == first[0] {
			t.Errorf("gc leaves %v of %v", left, first)
		}
		p.expect(p.quern("plan"), "No changes")
	})
}

func TestAPluginInPythonUnderDevelopmentMayChange(t *testing.T) {
	installers(t, func(t *testing.T, p *pythonProject) {
		p.replace("plugins/demo/pyproject.toml", `"1.2.0"`, `"1.2.0.dev3"`)
		p.expect(p.quern("init"), "- test 1.2.0-dev.3 with")
		p.quern("apply", "-auto-approve")
		p.expect(p.quern("plan"), "No changes")
		p.write("plugins/demo/src/demo/words.txt", "changed")
		p.expect(p.quern("plan"), "1 to run")
		p.replace("plugins/demo/src/demo/__init__.py", "import greeting", "import greeting, sys; sys.stderr.write('edited\\n')")
		p.expect(p.quern("apply", "-auto-approve"), "Apply complete")
		log, err := filepath.Glob(filepath.Join(p.dir, ".quern", "runs", "*.log"))
		if err != nil || len(log) == 0 {
			t.Fatal(log, err)
		}
		text, _ := os.ReadFile(log[len(log)-1])
		p.expect(string(text), "edited")
		p.replace("plugins/demo/pyproject.toml", `requires-python`, "description = \"x\"\nrequires-python")
		p.refused(`Run "quern init"`, "plan")
		p.quern("init")
		p.quern("plan")
	})
}

func TestAFailedInstallationSaysWhy(t *testing.T) {
	installers(t, func(t *testing.T, p *pythonProject) {
		p.write("plugins/demo/pylock.toml", `lock-version = "1.0"
created-by = "someone"
[[packages]]
name = "greeting"
version = "2.0"
[[packages.wheels]]
url = "https://example.com/greeting-2.0-py3-none-any.whl"
hashes = { sha256 = "`+strings.Repeat("ab", 32)+`" }
`)
		p.refused("Lock the dependencies again", "init")
		p.replace("plugins/demo/pylock.toml", `version = "2.0"`, `version = "9.0"`)
		p.refused("quern installs dependencies only from wheels", "init")
		p.write("plugins/demo/pylock.toml", "lock-version = \"1.0\"\ncreated-by = \"someone\"\npackages = []\n")
		p.refused("pylock.toml does not contain what pyproject.toml requires", "init")
		p.replace("plugins/demo/pyproject.toml", `">=3.11"`, `">=3.99"`)
		p.env = append(p.env, "UV_PYTHON_DOWNLOADS=never")
		p.refused("3.99", "init")
		p.replace("plugins/demo/pyproject.toml", `">=3.99"`, `">=3.11"`)
		p.replace("plugins/demo/pyproject.toml", "quern-plugin-demo", "other")
		p.write("plugins/demo/pylock.toml", "")
		if err := os.Remove(filepath.Join(p.dir, "plugins", "demo", "pylock.toml")); err != nil {
			t.Fatal(err)
		}
		p.refused("does not say how the plugin is started", "init")
		p.index.Close()
		p.env = append(p.env, "PIP_RETRIES=1", "XDG_CACHE_HOME="+filepath.Join(p.dir, ".none"))
		p.refused("Check the connection", "init")
		if left := p.venvs(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if _, err := os.Stat(filepath.Join(p.dir, ".quern.lock.hcl")); err == nil {
			t.Error("a lock file was written")
		}
	})
}

func TestAnInterruptedInstallationLeavesNothing(t *testing.T) {
	installers(t, func(t *testing.T, p *pythonProject) {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
			release := make(chan struct{})
			p.hold <- release
			cmd := p.command("init")
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-p.asked:
			case <-time.After(time.Minute):
				t.Fatalf("nothing is installed:\n%s", &out)
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Errorf("init succeeds after %v", signal)
			}
			close(release)
			for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				left, err := processes(p.dir)
				if err == nil && len(left) == 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("after %v, these processes are left: %v, %v", signal, left, err)
				}
			}
			if left := p.venvs(); signal == syscall.SIGINT && len(left) > 0 {
				t.Errorf("left behind: %v\n%s", left, &out)
			}
		}
		p.refused(`Run "quern init"`, "plan")

		// What the killed process left is removed after a while.
		for _, left := range p.venvs() {
			old := time.Now().Add(-time.Hour)
			if err := os.Chtimes(filepath.Join(p.dir, ".quern", "venvs", left), old, old); err != nil {
				t.Fatal(err)
			}
		}

		// Two at once.
		first, second := p.command("init"), p.command("init")
		var out bytes.Buffer
		first.Stdout, first.Stderr = &out, &out
		if err := first.Start(); err != nil {
			t.Fatal(err)
		}
		if text, err := second.CombinedOutput(); err != nil {
			t.Errorf("the second init: %v\n%s", err, text)
		}
		if err := first.Wait(); err != nil {
			t.Errorf("the first init: %v\n%s", err, &out)
		}
		if left := p.venvs(); len(left) != 1 || strings.HasPrefix(left[0], ".") {
			t.Errorf("got the virtual environments %v", left)
		}
		p.expect(p.quern("plan"), "2 to run")
	})
}

func TestAPluginInPythonIsLockedByUV(t *testing.T) {
	installers(t, func(t *testing.T, p *pythonProject) {
		uv := filepath.Join(p.dir, "uv", "uv")
		if _, err := os.Stat(uv); err != nil {
			p.write("plugins/demo/uv.lock", "version = 1\n")
			p.refused("uv.lock", "init")
			return
		}
		lock := func(args ...string) {
			cmd := exec.Command(uv, append([]string{"lock"}, args...)...)
			cmd.Dir, cmd.Env = filepath.Join(p.dir, "plugins", "demo"), p.env
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("uv lock: %v\n%s", err, out)
			}
		}
		lock()
		p.refused("The index that it was made with publishes none", "init")
		p.hashes = true
		if err := os.Remove(filepath.Join(p.dir, "plugins", "demo", "uv.lock")); err != nil {
			t.Fatal(err)
		}
		lock("--refresh")
		p.quern("init")
		p.expect(p.read(".quern.lock.hcl"), `"uv.lock" = "sha256:`)
		if _, err := os.Stat(filepath.Join(p.dir, "plugins", "demo", "pylock.toml")); err == nil {
			t.Error("another lock file was written")
		}
		p.quern("apply", "-auto-approve")
		p.expect(p.quern("plan"), "No changes")

		// A lock file that does not belong to the project, or has changed.
		p.replace("plugins/demo/pyproject.toml", `"greeting"`, `"greeting", "missing"`)
		p.refused("uv.lock", "init", "-upgrade")
		p.replace("plugins/demo/pyproject.toml", `"greeting", "missing"`, `"greeting"`)
		p.write("plugins/demo/uv.lock", p.read("plugins/demo/uv.lock")+"\n# changed\n")
		p.refused("uv.lock", "plan")
	})
}

func TestAPluginInPythonMayBeAModule(t *testing.T) {
	installers(t, func(t *testing.T, p *pythonProject) {
		p.replace("plugins/demo/pyproject.toml", "[project.scripts]\nquern-plugin-demo = \"demo:main\"", "[project.entry-points.\"quern.plugins\"]\ndemo = \"demo.serve\"")
		p.write("plugins/demo/src/demo/serve.py", "import demo\n\nif __name__ == \"__main__\":\n    demo.main()\n")
		p.quern("init")
		p.quern("apply", "-auto-approve")
		if got := p.quern("artifact", "export", "label.loud", "-format=jsonl"); !strings.Contains(got, "HELLO") {
			t.Errorf("got %s", got)
		}
		p.expect(p.quern("plan"), "No changes")
		p.write("plugins/demo/src/demo/serve.py", "raise SystemExit(1)\n")
		p.refused("the digest of the package's own files is sha256:", "plan")
	})
}

func TestAFullDiskDuringAnInstallationIsReported(t *testing.T) {
	installers(t, func(t *testing.T, p *pythonProject) {
		p.write(".quern/venvs/README", "")
		disk := filepath.Join(p.dir, ".quern", "venvs")
		if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", disk).Run(); err != nil {
			t.Skipf("no file system can be mounted here: %v", err)
		}
		t.Cleanup(func() { _ = exec.Command("umount", disk).Run() })
		p.refused("The disk is full", "init")
		if left := p.venvs(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if _, err := os.Stat(filepath.Join(p.dir, ".quern.lock.hcl")); err == nil {
			t.Error("a lock file was written")
		}
		if out, err := exec.Command("mount", "-o", "remount,size=100m", disk).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		p.quern("init")
		p.expect(p.quern("plan"), "2 to run")
	})
}
