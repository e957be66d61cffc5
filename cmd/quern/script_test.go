package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect")

// binaries is the folder of the programs under test, built once.
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
	for program, args := range map[string][]string{
		"quern":             {"./cmd/quern"},
		"quern-plugin-sql":  {"-tags", "duckdb_arrow", "./plugins/sql"},
		"quern-plugin-test": {"./cmd/quern/testdata/plugin"},
	} {
		build := exec.Command("go", append([]string{"build", "-o", filepath.Join(dir, program)}, args...)...)
		build.Dir = "../.."
		if out, err := build.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build %s: %w\n%s", program, err, out)
		}
	}
	binaries = dir
	return run(), nil
}

// TestScripts runs the stories in testdata/script: input files, commands and
// what they print, each with the real binary and real plugin processes.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: false,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", binaries+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("ROOT", root)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("NO_COLOR", "1")
			env.Setenv("QUERN_PLUGIN_PATH", binaries)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"quern":     quernScriptCommand,
			"normalize": normalizeScriptCommand,
			"copytree":  copyTreeScriptCommand,
			"replace":   replaceScriptCommand,
			"flipbyte":  flipByteScriptCommand,
			"noprocess": noProcessScriptCommand,
		},
	})
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

// What differs from run to run.
var volatile = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`sha256:[0-9a-f]{12,64}`), "sha256:…"},
	{regexp.MustCompile(`\b\d{8}-\d{6}-[0-9a-f]{6}\b`), "RUN"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`), "TIME"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(ms|s)\b`), "N.Ns"},
	{regexp.MustCompile(`\b\d+(\.\d+)? s\b`), "N.N s"},
	{regexp.MustCompile(`\b[\d,]+ rows/s\b`), "N rows/s"},
}

// normalize FILE replaces what differs from run to run, so that the file can
// be compared: stdout and stderr name the last command's output.
func normalizeScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: normalize stdout|stderr|FILE TO")
	}
	text := strings.ReplaceAll(ts.ReadFile(args[0]), ts.Getenv("WORK"), "$WORK")
	for _, v := range volatile {
		text = v.pattern.ReplaceAllString(text, v.with)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o666))
}

// copytree FROM TO copies a folder's files.
func copyTreeScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: copytree FROM TO")
	}
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(ts.MkAbs(args[0]))))
}

// replace OLD NEW FILE replaces a text that must be there.
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

// flipbyte GLOB flips a bit in the middle of each file.
func flipByteScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flipbyte GLOB")
	}
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("no file matches %s", args[0])
	}
	for _, f := range files {
		ts.Check(flipByte(f))
	}
}

func flipByte(file string) error {
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

// noprocess fails if a plugin process of this script is still there.
func noProcessScriptCommand(ts *testscript.TestScript, neg bool, _ []string) {
	left, err := pluginProcesses(ts.Getenv("WORK"))
	ts.Check(err)
	if (len(left) > 0) != neg {
		ts.Fatalf("plugin processes: %v", left)
	}
}

// pluginProcesses lists processes of the programs under test that work below
// a folder.
func pluginProcesses(dir string) ([]string, error) {
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
