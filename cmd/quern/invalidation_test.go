package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/runner/events"
)

// TestInvalidation runs the scripts in testdata/invalidation. Each case changes
// something about the pipeline in testdata/invalidation/pipeline, which was
// applied before, and asserts the exact work of the next apply:
//
//	case TITLE               starts with a copy of the applied pipeline
//	...                      changes it
//	apply [FLAG...]          applies it
//	work [STAGE: WORK...]    names all stages that did something, with the rows
//	                         that they computed and the requests that they made
//
// The endpoint of the pipeline's model counts requests, too.
func TestInvalidation(t *testing.T) {
	applied := sync.OnceValues(func() (string, error) { return appliedPipeline(t.TempDir()) })
	p := scriptParams(t, "testdata/invalidation")
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		dir, err := applied()
		if err != nil {
			return err
		}
		endpoint, err := openaitest.Start(openaitest.Options{})
		if err != nil {
			return err
		}
		env.Defer(endpoint.Close)
		env.Values["endpoint"] = endpoint
		env.Values["cases"] = &cases{applied: dir}
		env.Setenv("QUERN_VAR_address", endpoint.URL())
		return setup(env)
	}
	p.ContinueOnError = true // cases are independent
	p.Cmds["case"] = caseScriptCommand
	p.Cmds["apply"] = applyScriptCommand
	p.Cmds["work"] = workScriptCommand
	p.Cmds["release"] = releaseScriptCommand
	testscript.Run(t, p)
}

// invalidationTable matches the part of docs/invalidation.md that the scripts
// write.
var invalidationTable = regexp.MustCompile(`(?s)(<!-- cases -->\n).*(<!-- end of cases -->)`)

// TestTheDocsShowTheInvalidationTable compares the tables in docs/invalidation.md
// with the scripts. "go test -update" writes them.
func TestTheDocsShowTheInvalidationTable(t *testing.T) {
	scripts, err := filepath.Glob("testdata/invalidation/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("there are no scripts: %v", err)
	}
	var tables strings.Builder
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		tables.WriteString(invalidationSection(string(text)))
	}
	page := filepath.Join("..", "..", "docs", "invalidation.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	fresh := invalidationTable.ReplaceAllString(string(text), "${1}"+strings.ReplaceAll(tables.String(), "$", "$$")+"\n${2}")
	if *update {
		write(t, filepath.Dir(page), filepath.Base(page), fresh)
	} else if fresh != string(text) {
		t.Error("docs/invalidation.md differs from the scripts: run the test with -update")
	}
}

// invalidationSection turns a script into a heading and a table with the last
// work of each case.
func invalidationSection(script string) string {
	var out strings.Builder
	var title, result string
	end := func() {
		if title != "" {
			fmt.Fprintf(&out, "| %s | %s |\n", title, result)
		}
	}
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		switch command, rest, _ := strings.Cut(line, " "); command {
		case "#":
			if out.Len() == 0 {
				fmt.Fprintf(&out, "\n## %s\n\n| change | what the next apply does |\n| --- | --- |\n", rest)
			}
		case "case":
			end()
			title = strings.ReplaceAll(strings.Trim(rest, "'"), "''", "'")
		case "work":
			result = "nothing"
			if rest != "" {
				result = strings.Trim(strings.ReplaceAll(strings.ReplaceAll(rest, "' '", "; `"), ": ", "`: "), "'")
				result = "`" + result
			}
		}
	}
	end()
	return out.String()
}

// cases are the cases of one script.
type cases struct {
	applied string // a folder with the pipeline and its store
	begun   int
	asked   int64 // requests before the last apply
}

// appliedPipeline applies the pipeline in a folder and returns the folder.
func appliedPipeline(dir string) (string, error) {
	if err := os.CopyFS(dir, os.DirFS("testdata/invalidation/pipeline")); err != nil {
		return "", err
	}
	endpoint, err := openaitest.Start(openaitest.Options{})
	if err != nil {
		return "", err
	}
	defer endpoint.Close()
	for _, args := range [][]string{{"init"}, {"apply", "-auto-approve"}} {
		cmd := exec.Command(filepath.Join(binaries, "quern"), args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "NO_COLOR=1", "QUERN_PLUGIN_PATH="+binaries, "QUERN_VAR_address="+endpoint.URL())
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("quern %s: %w\n%s", args[0], err, out)
		}
	}
	return dir, nil
}

// case TITLE copies the applied pipeline, with the times of its files, and
// continues there.
func caseScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: case TITLE")
	}
	c := ts.Value("cases").(*cases)
	c.begun++
	dir := filepath.Join(ts.Getenv("WORK"), fmt.Sprint("case-", c.begun))
	ts.Check(exec.Command("cp", "-a", c.applied, dir).Run())
	ts.Check(ts.Chdir(dir))
}

// apply FLAG... applies the pipeline.
func applyScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	ts.Value("cases").(*cases).asked = ts.Value("endpoint").(*openaitest.Endpoint).Counts().Requests
	quernScriptCommand(ts, neg, append([]string{"apply", "-auto-approve", "-json"}, args...))
}

// work LINE... compares the work of the last apply.
func workScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: work [STAGE: WORK...]")
	}
	done, requests, err := workOf([]byte(ts.ReadFile("stdout")))
	ts.Check(err)
	if got, want := strings.Join(done, "\n"), strings.Join(args, "\n"); got != want {
		ts.Fatalf("the work was\n%s\nwant\n%s", got, want)
	}
	asked := ts.Value("endpoint").(*openaitest.Endpoint).Counts().Requests - ts.Value("cases").(*cases).asked
	if asked != requests {
		ts.Fatalf("the endpoint got %d requests, but the stages say %d", asked, requests)
	}
}

// workOf describes what stages did, by kind and name, and returns the number of
// requests to models.
func workOf(stream []byte) (done []string, requests int64, err error) {
	var all []events.Event
	lines := bufio.NewScanner(bytes.NewReader(stream))
	for lines.Scan() {
		var e events.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, 0, err
		}
		if e.Type == events.StageDone && workOfStage(e.Stage) != "" {
			all = append(all, e)
		}
	}
	order := []string{"source", "transform", "label", "train", "evaluate", "gate", "deploy"}
	slices.SortFunc(all, func(a, b events.Event) int {
		return cmp.Or(slices.Index(order, a.Stage.Kind)-slices.Index(order, b.Stage.Kind), strings.Compare(a.Address, b.Address))
	})
	for _, e := range all {
		requests += e.Stage.Calls
		done = append(done, e.Address+": "+workOfStage(e.Stage))
	}
	return done, requests, lines.Err()
}

// workOfStage describes what a stage did: the rows that a row-wise stage
// computed, or those that another stage read or produced.
func workOfStage(s *events.Stage) string {
	done := map[string]string{"check": "checked", "create": "created", "update": "updated", "replace": "replaced", "delete": "deleted"}
	if s.Action != "run" {
		return done[s.Action]
	}
	rows := s.Rows
	if s.NewRows+s.ComputedRows+s.ReusedRows > 0 {
		rows = s.NewRows + s.ComputedRows
	}
	work := counted(rows, "row")
	if s.Calls > 0 {
		work += ", " + counted(s.Calls, "request")
	}
	return work
}

func counted(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// release VERSION BEHAVIOR installs a release of the test plugin, in which
// test_upper has that behavior version.
func releaseScriptCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: release VERSION BEHAVIOR")
	}
	program, err := os.ReadFile(filepath.Join(binaries, "quern-plugin-test"))
	ts.Check(err)
	dir := ts.MkAbs(".quern/plugins/test_" + args[0])
	ts.Check(os.MkdirAll(dir, 0o777))
	program = fmt.Appendf(program, "\nrelease %s %s\n", args[0], args[1])
	ts.Check(os.WriteFile(filepath.Join(dir, "quern-plugin-test"), program, 0o777))
}
