package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect")

// binaries is the folder of the programs under test, which are built once. The
// variable QUERN_TEST_PROGRAMS names a folder with some of them.
var binaries string

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := withBinaries(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// withBinaries builds the real programs that the tests drive.
func withBinaries(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "quern-test-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	// Hide the user's own caches, except for those of builds.
	for name, value := range map[string]string{"GOCACHE": goEnv("GOCACHE"), "XDG_CACHE_HOME": filepath.Join(dir, "cache")} {
		if err := os.Setenv(name, value); err != nil {
			return 1, err
		}
	}
	for program, args := range map[string][]string{
		"quern":             {"./cmd/quern"},
		"quern-plugin-sql":  {"-tags", "duckdb_arrow", "./cmd/quern-plugin-sql"},
		"quern-plugin-test": {"./cmd/quern/testdata/plugin"},
		"rogue":             {"./cmd/quern/testdata/rogue"},
	} {
		if err := provide(filepath.Join(dir, program), args); err != nil {
			return 1, err
		}
	}
	binaries = dir
	return run(), nil
}

// provide makes a program available at a path: as a link to the one in
// QUERN_TEST_PROGRAMS if that folder contains it, and otherwise as a new build.
// A symbolic link would not work, because a program looks for other programs in
// the folder that the link points to.
func provide(program string, args []string) error {
	if folder := os.Getenv("QUERN_TEST_PROGRAMS"); folder != "" {
		built := filepath.Join(folder, filepath.Base(program))
		if _, err := os.Stat(built); err == nil {
			return os.Link(built, program)
		}
	}
	build := exec.Command("go", append([]string{"build", "-o", program}, args...)...)
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", filepath.Base(program), err, out)
	}
	return nil
}

// TestScripts runs the scripts in testdata/script. They contain input files,
// commands, and expected output, and use the real binary and real plugin
// processes.
func TestScripts(t *testing.T) { testscript.Run(t, scriptParams(t, "testdata/script")) }

// scriptParams returns how the scripts in a folder are run.
func scriptParams(t *testing.T, dir string) testscript.Params {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return testscript.Params{
		Dir:           dir,
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			for name, value := range map[string]string{
				"PATH":              binaries + string(os.PathListSeparator) + env.Getenv("PATH"),
				"ROOT":              root,
				"PROGRAMS":          binaries,
				"HOME":              env.WorkDir,
				"XDG_CACHE_HOME":    os.Getenv("XDG_CACHE_HOME"),
				"NO_COLOR":          "1",
				"QUERN_PLUGIN_PATH": binaries,
				"TZ":                "UTC",
				"PYTHON":            filepath.Join(root, ".cache", "references", "bin", "python"),
				// Scripts can build what quern plugin new writes.
				"GOMODCACHE": goEnv("GOMODCACHE"), "GOCACHE": goEnv("GOCACHE"), "GOPROXY": "off", "GOFLAGS": "-mod=mod -trimpath",
			} {
				env.Setenv(name, value)
			}
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "python":
				_, err := os.Stat(filepath.Join(root, ".cache", "references", "bin", "python"))
				return err == nil, nil
			case "mount":
				return canMount(), nil
			case "memory":
				group, err := newMemoryGroup("64M")
				return err == nil && os.Remove(group) == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"quern":     quernScriptCommand,
			"normalize": normalizeScriptCommand,
			"exitcode":  exitCodeScriptCommand,
			"copytree":  copyTreeScriptCommand,
			"replace":   replaceScriptCommand,
			"damage":    damageScriptCommand,
			"absent":    absentScriptCommand,
			"await":     awaitScriptCommand,
			"noprocess": noProcessScriptCommand,
			"limited":   limitedScriptCommand,
			"serve":     serveScriptCommand,
			"says":      saysScriptCommand,
			"bucket":    bucketScriptCommand,
		},
	}
}

func goEnv(name string) string {
	out, _ := exec.Command("go", "env", name).Output()
	return strings.TrimSpace(string(out))
}

// canMount reports whether the tests can mount a small file system.
func canMount() bool {
	dir, err := os.MkdirTemp("", "quern-mount-")
	if err != nil {
		return false
	}
	defer os.Remove(dir)
	if syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k") != nil {
		return false
	}
	return syscall.Unmount(dir, 0) == nil
}

// quern runs the program.
func quernScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec("quern", args...)
	switch {
	case neg && err == nil:
		ts.Fatalf("quern %s succeeded, which was not expected", strings.Join(args, " "))
	case !neg && err != nil:
		ts.Fatalf("quern %s: %v", strings.Join(args, " "), err)
	}
}

// exitcode CODE COMMAND... runs a command that must end with that code.
func exitCodeScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode CODE COMMAND [ARGUMENT...]")
	}
	code := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("%s ended with %s, want %s", strings.Join(args[1:], " "), code, args[0])
	}
}

// What differs between runs.
var volatile = []struct {
	pattern *regexp.Regexp
	with    string
}{
	// How long stages took last time, which is printed if it is a second or
	// more.
	{regexp.MustCompile(`(?m)^ +about [\d.]+ (s|min)` + timeRange + `\n`), ""},
	{regexp.MustCompile(`(?m)^(Estimate|The whole pipeline from scratch): about [\d.]+ (s|min)` + timeRange + `( plus \d+ stages? of unknown duration)?\.\n`), ""},
	{regexp.MustCompile(`, about [\d.]+ (s|min)\b` + timeRange + `( plus \d+ stages? of unknown duration)?`), ""},
	// How long a change to a deployment took, which is printed if it is 0.05
	// seconds or more.
	{regexp.MustCompile(`(?m)(: (?:created|updated|replaced|deleted)) in [\d.]+ s$`), "$1"},
	{regexp.MustCompile(`sha256:[0-9a-f]{12,}`), "sha256:…"},
	{regexp.MustCompile(`\b\d{8}-\d{6}-[0-9a-f]{8}\b`), "RUN"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`), "TIME"},
	{regexp.MustCompile(`\b[A-Z][a-z]+ \d{1,2}, 20\d\d\b`), "DATE"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(ms|s)\b`), "N.Ns"},
	{regexp.MustCompile(`\b\d+(\.\d+)? s\b`), "N.N s"},
	{regexp.MustCompile(`"(estimated_)?seconds":[0-9.e-]+`), `"${1}seconds":N`},
	// Metrics, because processors round differently.
	{regexp.MustCompile(`\b0\.\d{6,}\b`), "0.N"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "ID"},
	{regexp.MustCompile(`\b[\d,]+ rows/s\b`), "N rows/s"},
	{regexp.MustCompile(`process \d+`), "process N"},
	{regexp.MustCompile(`(state\s+(?:│ )?unlock\s+(?:│ )?(?:-env=\w+\s+(?:│ )?)?)[0-9a-f]+`), "${1}ID"},
	{regexp.MustCompile(`\b\d{8}T\d{6}\.\d+-`), "TIME-"},
}

// wrapped matches where a paragraph of a diagnostic continues on the next line.
var wrapped = regexp.MustCompile(`([^│╷\n])\n│ (\S)`)

// timeRange is the range of a time.
const timeRange = `( \([\d.]+ (?:s|min|h) to [\d.]+ (?:s|min|h)\))?`

// normalize FILE TO replaces what differs between runs, so that the file can be
// compared. stdout and stderr are the output of the last command. Lines that
// contain a path of this machine are joined, because they would break elsewhere
// on another machine.
func normalizeScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: normalize stdout|stderr|FILE TO")
	}
	given := ts.ReadFile(args[0])
	text := strings.ReplaceAll(given, ts.Getenv("WORK"), "$WORK")
	text = strings.ReplaceAll(text, binaries, "$BIN")
	if text != given {
		text = unwrap(text)
	}
	for _, v := range volatile {
		text = v.pattern.ReplaceAllString(text, v.with)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o666))
}

// says PATTERN matches what the last command wrote to stderr, with the lines of
// each paragraph joined, so that a pattern of several words matches wherever
// lines break.
func saysScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] says PATTERN")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	text := unwrap(ts.ReadFile("stderr"))
	if found := pattern.FindString(text); (found != "") == neg {
		ts.Fatalf("stderr, found %q:\n%s", found, text)
	}
}

// unwrap joins the lines of each paragraph in diagnostics.
func unwrap(text string) string {
	// Each line is the end of one match and the beginning of the next.
	return wrapped.ReplaceAllString(wrapped.ReplaceAllString(text, "$1 $2"), "$1 $2")
}

// copytree FROM TO copies a folder's files.
func copyTreeScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: copytree FROM TO")
	}
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(ts.MkAbs(args[0]))))
}

// replace OLD NEW FILE replaces a text that must occur.
func replaceScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace OLD NEW FILE")
	}
	text := ts.ReadFile(args[2])
	if !strings.Contains(text, args[0]) {
		ts.Fatalf("%s does not hold %q", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.ReplaceAll(text, args[0], args[1])), 0o666))
}

// damage GLOB flips a bit in the middle of each file, like a failing disk.
func damageScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage GLOB")
	}
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("no file matches %s", args[0])
	}
	for _, f := range files {
		ts.Check(flipBit(f))
	}
}

func flipBit(file string) error {
	content, err := os.ReadFile(file)
	if err != nil || len(content) == 0 {
		return err
	}
	content[len(content)/2] ^= 0x10
	if err := os.Chmod(file, 0o644); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}

// absent TEXT DIR fails if a file below the folder contains the text.
func absentScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: absent TEXT DIR")
	}
	ts.Check(filepath.WalkDir(ts.MkAbs(args[1]), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil && bytes.Contains(content, []byte(args[0])) {
			err = fmt.Errorf("%s holds %q", path, args[0])
		}
		return err
	}))
}

// await TEXT FILE waits until a background program has written the text.
func awaitScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await TEXT FILE")
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if content, err := os.ReadFile(ts.MkAbs(args[1])); err == nil && bytes.Contains(content, []byte(args[0])) {
			return
		}
	}
	ts.Fatalf("%s does not hold %q after a minute", args[1], args[0])
}

// noprocess fails if a process of this script still exists after a minute.
// A plugin ends shortly after the quern that was killed.
func noProcessScriptCommand(ts *testscript.TestScript, neg bool, _ []string) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		left, err := processes(ts.Getenv("WORK"))
		ts.Check(err)
		switch {
		case (len(left) > 0) == neg:
			return
		case time.Now().After(deadline):
			ts.Fatalf("processes: %v", left)
		}
	}
}

// processes lists processes of the programs under test whose working folder is
// below a folder.
func processes(dir string) ([]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		exe, err := os.Readlink("/proc/" + e.Name() + "/exe")
		if err != nil || !strings.HasPrefix(exe, binaries) {
			continue
		}
		cwd, err := os.Readlink("/proc/" + e.Name() + "/cwd")
		if err == nil && strings.HasPrefix(cwd, dir) {
			found = append(found, e.Name()+" "+filepath.Base(exe))
		}
	}
	return found, nil
}
