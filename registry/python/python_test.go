package python

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRequiresPythonIsUnderstood(t *testing.T) {
	for constraint, versions := range map[string][2]string{
		">=3.10":         {"3.10.0 3.11.7 4.0.0", "3.9.18 2.7.18"},
		">=3.10, <3.13":  {"3.12.9", "3.13.0"},
		"==3.11.*":       {"3.11.0 3.11.7", "3.12.0 3.1.1"},
		"!=3.11.*,>3.9":  {"3.12.1 3.9.1", "3.11.7 3.9.0"},
		"~=3.10":         {"3.10.0 3.12.0", "4.0.0 3.9.9"},
		"~=3.10.2":       {"3.10.2 3.10.9", "3.11.0 3.10.1"},
		"<=3.11, !=3.10": {"3.11.0 3.10.1", "3.11.1 3.10.0"},
	} {
		for i, list := range versions {
			for version := range strings.FieldsSeq(list) {
				if got := allows(constraint, version); got != (i == 0) {
					t.Errorf("%s allows %s: %v", constraint, version, got)
				}
			}
		}
	}
	for _, bad := range []string{"3.10", "=>3.10", ">=three", "~=3", ">=3.*"} {
		if _, err := parseSpecifiers(bad); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheFirstLockFileCounts(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"requirements.txt": "numpy>=2\n"})
	if lock, err := FindLock(dir); lock != nil || err != nil {
		t.Errorf("requirements without hashes lock: %v, %v", lock, err)
	}
	for _, name := range []string{"requirements.txt", "requirements.lock", "uv.lock", "pylock.toml"} {
		write(t, dir, map[string]string{name: "a==1 --hash=sha256:00\n"})
		if lock, err := FindLock(dir); err != nil || lock.Name != name {
			t.Errorf("got %v, %v, want %s", lock, err, name)
		}
	}
}

func TestLockFilesBecomeRequirementsWithHashes(t *testing.T) {
	requirements := func(name, text string) (string, error) {
		b, err := newLock("", name, []byte(text)).requirements(t.Context(), nil)
		return string(b), err
	}
	const head = "lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\nversion = \"1.0\"\n"
	got, err := requirements(pylock, head+"marker = \"sys_platform == 'linux'\"\nwheels = [{ url = \"u\", hashes = { sha256 = \"01\" } }, { url = \"v\", hashes = { sha256 = \"02\" } }]\n")
	if want := "a==1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:01 \\\n    --hash=sha256:02\n"; got != want || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for want, c := range map[string][2]string{
		"no wheels":             {pylock, head},
		"no SHA-256":            {pylock, head + "wheels = [{ url = \"u\", hashes = { md5 = \"01\" } }]\n"},
		"is the folder ../a":    {pylock, head + "directory = { path = \"../a\" }\n"},
		"comes from git.com":    {pylock, head + "vcs = { type = \"git\", url = \"git.com\", commit-id = \"0\" }\n"},
		"supports 1.0":          {pylock, "lock-version = \"2.0\"\n"},
		"read pylock.toml: ":    {pylock, "lock-version ="},
		"can be read only by":   {uvlock, ""},
		`line "-r other.txt"`:   {"requirements.txt", "a==1 --hash=sha256:00\n  -r other.txt\n"},
		`line "-e ./src/local"`: {"requirements.lock", "-e ./src/local\na==1 --hash=sha256:00\n"},
	} {
		if got, err := requirements(c[0], c[1]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %q, %v, want %q", c[1], got, err, want)
		}
	}
}

func TestALockFileOfPipCanBeReadAgain(t *testing.T) {
	var r reported
	r.Metadata.Name, r.Metadata.Version = "Greeting", "2.0"
	r.Download.URL = "https://user:secret@example.com/greeting-2.0-py3-none-any.whl"
	if _, err := writePylock("", []reported{r}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a package without a hash gives %v", err)
	}
	r.Download.Archive = &struct {
		Hashes map[string]string `json:"hashes"`
	}{map[string]string{"sha256": "ab"}}
	text, err := writePylock(">=3.10", []reported{r})
	if err != nil || strings.Contains(string(text), "secret") {
		t.Fatalf("got %v\n%s", err, text)
	}
	lock := newLock("", pylock, text)
	got, err := lock.requirements(t.Context(), nil)
	if err != nil || string(got) != "Greeting==2.0 \\\n    --hash=sha256:ab\n" || !lock.isGenerated() {
		t.Errorf("got %q, %v from\n%s", got, err, text)
	}
}

func TestOnlySettingsOfIndexesReachInstallers(t *testing.T) {
	for _, v := range []string{"PIP_INDEX_URL", "UV_INDEX_ACME_PASSWORD", "HTTPS_PROXY", "SSL_CERT_FILE"} {
		t.Setenv(v, "kept")
	}
	for _, v := range []string{"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "UV_TARGET", "UV_SYSTEM_PYTHON", "CONDA_PREFIX", "ACME_TOKEN"} {
		t.Setenv(v, "dropped")
	}
	env := strings.Join(environment("/temp"), "\n")
	if strings.Contains(env, "dropped") || strings.Count(env, "=kept") != 4 || !strings.Contains(env, "TMPDIR=/temp") {
		t.Errorf("got %s", env)
	}
}

func TestAFailureHasTheLastLines(t *testing.T) {
	r := &runner{temp: t.TempDir()}
	script := `for i in $(seq 100); do echo "line $i"; done; printf '\033[31mfetch https://me:pass@host/x\n%0400d\nNo space left on device' 7 >&2; exit 3`
	_, err := r.run(t.Context(), "Installing", t.TempDir(), "sh", "-c", script)
	failed, ok := errors.AsType[*Failure](err)
	if !ok {
		t.Fatal(err)
	}
	all := strings.Join(failed.Lines, "\n")
	if len(failed.Lines) != maxLines || !strings.Contains(all, "line 100") || strings.Contains(all, "pass") || strings.Contains(all, "\033") || len(all) > maxLines*(maxLine+4) {
		t.Errorf("got %d lines:\n%s", len(failed.Lines), all)
	}
	if !strings.Contains(failed.Advice, "disk is full") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %q, %v", failed.Advice, err)
	}
}

func TestAnInstallerEndsWithAllItsProcesses(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	go func() {
		for ; !isFile(filepath.Join(dir, "started")); time.Sleep(time.Millisecond) {
		}
		cancel()
	}()
	r := &runner{temp: dir}
	start := time.Now()
	if _, err := r.run(ctx, "Installing", dir, "sh", "-c", "(sleep 60; echo late > late) & touch started; wait"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if time.Since(start) > 30*time.Second {
		t.Error("a process that the installer had started kept it")
	}
}

func TestEntryPointsSayWhatStarts(t *testing.T) {
	dir := t.TempDir()
	entries := func(text string) (string, string, error) {
		write(t, dir, map[string]string{"entry_points.txt": text})
		return entryPoint(dir, "quern-plugin-demo")
	}
	if script, module, err := entries("[console_scripts]\ntool = a:b\nquern-plugin-x = a:main\n"); script != "bin/quern-plugin-x" || module != "" || err != nil {
		t.Errorf("got %q, %q, %v", script, module, err)
	}
	if script, _, err := entries("[console_scripts]\nquern-plugin-x = a:main\nquern-plugin-demo = a:other\n"); script != "bin/quern-plugin-demo" || err != nil {
		t.Errorf("got %q, %v", script, err)
	}
	if script, module, err := entries("[quern.plugins]\ndemo = acme.plugin\n"); script != "" || module != "acme.plugin" || err != nil {
		t.Errorf("got %q, %q, %v", script, module, err)
	}
	for text, want := range map[string]string{
		"[console_scripts]\nquern-plugin-x = a:b\nquern-plugin-y = a:b\n": "name it quern-plugin-demo",
		"[console_scripts]\ntool = a:b\n":                                 "[project.scripts]",
		"[quern.plugins]\na = b\nc = d\n":                                 "[project.scripts]",
	} {
		if _, _, err := entries(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v", text, err)
		}
	}
}

func TestTheNameDependsOnEverythingThatIsPinned(t *testing.T) {
	pins := func(change func(*Pins)) string {
		p := Pins{Python: "cpython 3.11", Version: "1.0.0", Digests: map[string]string{Modules: "sha256:a", pylock: "sha256:b"}}
		change(&p)
		return p.Name("/here")
	}
	names := []string{
		pins(func(*Pins) {}), pins(func(p *Pins) { p.Python = "cpython 3.12" }), pins(func(p *Pins) { p.Version = "1.0.1" }),
		pins(func(p *Pins) { p.Digests[Modules] = "sha256:c" }), pins(func(p *Pins) { p.Digests[pylock] = "sha256:c" }), pins(func(p *Pins) { delete(p.Digests, pylock) }),
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != 6 {
		t.Errorf("got %v", names)
	}
	p := Pins{Digests: map[string]string{Modules: "sha256:a"}}
	if p.Name("/here") != p.Name("/there") {
		t.Error("the folder of a released plugin matters")
	}
	p.Digests = map[string]string{ProjectFile: "sha256:a"}
	if p.Name("/here") == p.Name("/there") {
		t.Error("the folder of a linked plugin does not matter")
	}
}
