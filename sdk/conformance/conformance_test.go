package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/conformance/goplugin"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// serves is the variable that makes the test binary the conformance plugin.
const serves = "QUERN_CONFORMANCE_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(serves) != "" {
		plugin.Serve(goplugin.New())
		return
	}
	os.Exit(m.Run())
}

var goProgram = program{Path: os.Args[0], Env: []string{serves + "=1"}}

func TestGo(t *testing.T) { conform(t, goProgram) }

func TestPython(t *testing.T) { python(t) }

func TestPythonWithWorkers(t *testing.T) { python(t, "CONFORM_WORKERS=2") }

func python(t *testing.T, env ...string) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	interpreter := filepath.Join(root, ".cache", "python", "bin", "python")
	if _, err := os.Stat(interpreter); err != nil && os.Getenv("CI") == "" {
		t.Skip("the Python environment is missing: run make test-python first")
	}
	conform(t, program{
		Path: interpreter, Args: []string{filepath.Join("python", "plugin.py")},
		Env: append(env, "PYTHONPATH="+filepath.Join(root, "sdk", "python", "src")),
	})
}

func conform(t *testing.T, p program) {
	all, err := scenarios()
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{program: p}
	defer r.close()
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			if err := r.run(context.Background(), s); err != nil {
				t.Error(err)
			}
		})
	}
}

// A plugin that does something else fails, and the error says where.
func TestWhatIsNotExpectedFails(t *testing.T) {
	r := &runner{program: goProgram}
	defer r.close()
	for want, step := range map[string]string{
		"the answer.version is \"1.0.0\", want \"2.0.0\"": "{call: GetSchema, expect: {version: 2.0.0}}",
		"want [{\"name\":\"~x$\"}]":                       "{call: GetSchema, expect: {types: [{name: ~x$}]}}",
		"the answer.version is \"1.0.0\", want not set":   "{call: GetSchema, expect: {version: null}}",
		"the status is OK, want NOT_FOUND":                "{call: GetSchema, status: NOT_FOUND}",
		"the status is NOT_FOUND":                         "{call: Fingerprint, request: {instance: {kind: source, type: x}}}",
		"file f[0] is not set, want \"\"":                 "{call: GetSchema, files: {f: ''}}",
		"there is no such call":                           "{call: Nothing}",
		"ReadRequest has no field \"x\"":                  "{call: Read, request: {x: 1}}",
		"the answer.fingerprint is \"a:2\", want \"a:3\"": "{call: Fingerprint, request: {instance: {kind: source, type: conform_parts, config: {parts: [a]}}}, expect: {fingerprint: 'a:3'}}",
		"the answer.rows[0].values[0] is \"a\", want not set": "{call: Read, request: {instance: {kind: source, type: conform_parts, config: {parts: [a], rows: 1}}}, " +
			"expect: {rows: [{column: part, type: string, values: [null]}, {column: n}]}}",
	} {
		s, err := parse([]byte("steps: [" + step + "]"))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.run(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got the error %v, want %s", step, err, want)
		}
	}
	for _, end := range []string{"stdin", "by hand"} {
		idle := &runner{program: program{Path: "sh", Args: []string{"-c", "exec sleep 0.1"}}}
		if err := idle.run(t.Context(), Scenario{End: end}); err == nil {
			t.Errorf("a program that does nothing passes %s", end)
		}
	}
}
