package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	triage         = "../../examples/support-triage"
	triageMessages = 520
	// Both prompts are sent for each message, for a label or in the evaluation.
	triageRequests = 2 * triageMessages
	// triageAgain is the maximum number of invalid answers that are requested
	// again. The endpoint enforces the format, but a small model may fill an
	// answer with spaces.
	triageAgain = triageRequests / 100
)

// TestSupportTriage runs examples/support-triage with its real model. "make
// test-llm" installs the model and sets QUERN_TEST_LLM to the Python that has
// it. Otherwise, the test is skipped.
func TestSupportTriage(t *testing.T) {
	m := askedThrough(t, servedModel(t))
	dir := triageFolder(t)
	quern := func(args ...string) string {
		t.Helper()
		return quernIn(t, dir, args...)
	}
	apply := []string{"apply", "-auto-approve", "-var", "endpoint=" + m.URL + "/v1"}

	lost := m.killDuringApply(t, dir, apply)
	start := time.Now()
	quern(apply...)
	if n := m.asked.Load(); n < triageRequests || n > triageRequests+lost+triageAgain {
		t.Errorf("with a kill that cut off %d requests the model was asked %d times for %d answers", lost, n, triageRequests)
	}
	t.Logf("%d requests; the apply after the kill took %.0f s", m.asked.Load(), time.Since(start).Seconds())

	found := triageFigures(t, quern("output", "-json"))
	found.check(t)
	if out := quern("show", "evaluate.queues"); !strings.Contains(out, "student - teacher") {
		t.Errorf("quern show evaluate.queues shows no difference:\n%s", out)
	} else {
		t.Log("\n" + out)
	}
	quern("report", "evaluate.queues", "-o", "queues.html")
	if page, err := os.ReadFile(filepath.Join(dir, "queues.html")); err != nil || !strings.Contains(string(page), "teacher_examples") {
		t.Errorf("the report is %d bytes and does not tell of teacher_examples: %v", len(page), err)
	}
	served, err := os.ReadDir(filepath.Join(dir, "serve/current"))
	if err != nil || len(served) == 0 {
		t.Errorf("nothing is served: %v", err)
	}

	m.asks(t, "a second apply", 0, 0, func() { quern(apply...) })
	m.asks(t, "a stricter gate", 0, 0, func() {
		strict := append(apply, "-var", "most_lost=0")
		if found.Less.Low >= 0 {
			quern(strict...)
			return
		}
		if out, err := triageCommand(dir, strict).CombinedOutput(); err == nil || !strings.Contains(string(out), "The student may be worse than its teacher") {
			t.Errorf("with a difference of %v, quern %v ends with %v:\n%s", found.Less, strict, err, out)
		}
	})
	triageReplace(t, filepath.Join(dir, "data/messages.csv"), "Can I track the card you sent to me?", "Can I follow the card that you sent me?")
	m.asks(t, "a changed message", 2, 4, func() {
		// This test does not depend on whether the new student passes the gate.
		quern(append(apply, "-var", "most_lost=1")...)
	})
}

// figures contains the example's outputs.
type figures struct {
	Rows     struct{ Messages, Train, Test int }
	Labeled  map[string]float64
	Accuracy map[string]interval
	Less     interval `json:"student_less_teacher"`
	Examples interval `json:"examples_less_plain"`
	Serving  string
}

type interval struct {
	Value, Low, High float64
	N                int
}

func triageFigures(t *testing.T, text string) figures {
	t.Helper()
	var outputs map[string]struct{ Value json.RawMessage }
	err := json.Unmarshal([]byte(text), &outputs)
	values := map[string]json.RawMessage{}
	for name, o := range outputs {
		values[name] = o.Value
	}
	var found figures
	if raw, _ := json.Marshal(values); err == nil {
		err = json.Unmarshal(raw, &found)
	}
	if err != nil {
		t.Fatalf("%v in the outputs\n%s", err, text)
	}
	return found
}

// check checks what is true for any run, regardless of the model's answers.
func (f figures) check(t *testing.T) {
	t.Helper()
	if r := f.Rows; r.Messages != triageMessages || r.Train+r.Test != triageMessages || r.Train == 0 || r.Test == 0 {
		t.Errorf("of %d messages there are %+v", triageMessages, r)
	}
	if f.Labeled["plain"] != 1 || f.Labeled["examples"] != 1 {
		t.Errorf("not all messages are labeled: %v", f.Labeled)
	}
	if len(f.Accuracy) != 4 {
		t.Errorf("there are %d subjects, not 4", len(f.Accuracy))
	}
	for name, a := range f.Accuracy {
		if a.N != f.Rows.Test || !(a.Low <= a.Value && a.Value <= a.High) {
			t.Errorf("the accuracy of %s is %+v, of %d rows", name, a, f.Rows.Test)
		}
	}
	for _, d := range []interval{f.Less, f.Examples} {
		if d.N != f.Rows.Test || !(d.Low <= d.Value && d.Value <= d.High) {
			t.Errorf("a difference is %+v, of %d rows", d, f.Rows.Test)
		}
	}
	// There are four queues of the same size, so guessing gets 25%.
	if a := f.Accuracy["teacher"]; a.Low < 0.4 {
		t.Errorf("the teacher is not surely better than guessing: %+v", a)
	}
	if f.Serving == "" {
		t.Error("nothing is said to be served")
	}
}

// triageFolder returns a copy of the example without its results.
func triageFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "data"), os.DirFS(filepath.Join(triage, "data"))); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(triage, "*.hcl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the example has no configuration: %v", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(f)), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func triageCommand(dir string, args []string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(binaries, "quern"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "QUERN_PLUGIN_PATH="+binaries, "OPENAI_API_KEY=")
	return cmd
}

func triageReplace(t *testing.T, file, old, with string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), old) != 1 {
		t.Fatalf("%s does not hold %q once: %v", file, old, err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, with, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// servedModel starts the example's server on a free port and returns its
// address. The server ends when its input ends, which is at the latest when the
// test ends.
func servedModel(t *testing.T) *url.URL {
	t.Helper()
	python := os.Getenv("QUERN_TEST_LLM")
	if python == "" {
		t.Skip("this asks a real model: make test-llm runs it")
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join(triage, "serve.py"), "--port=0", "--attended")
	var problems strings.Builder
	cmd.Stderr = &problems
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(output).ReadString('\n')
	_, at, told := strings.Cut(strings.TrimSpace(line), " answers at ")
	if err != nil || !told {
		_ = cmd.Wait()
		t.Fatalf("the server said %q: %v\n%s", line, err, problems.String())
	}
	u, err := url.Parse(strings.TrimSuffix(at, "/v1"))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// asked is a proxy for a model that counts requests.
type asked struct {
	*httptest.Server
	asked, open atomic.Int64
	watch       atomic.Pointer[func(asked int64)]
}

func askedThrough(t *testing.T, model *url.URL) *asked {
	m := &asked{}
	proxy := httputil.NewSingleHostReverseProxy(model)
	// The test kills clients on purpose, so this is not worth reporting.
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.open.Add(1)
		defer m.open.Add(-1)
		n := m.asked.Add(1)
		if watch := m.watch.Load(); watch != nil {
			(*watch)(n)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(m.Close)
	return m
}

// asks checks how often something calls the model.
func (m *asked) asks(t *testing.T, what string, least, most int64, do func()) {
	t.Helper()
	before := m.asked.Load()
	do()
	if n := m.asked.Load() - before; n < least || n > most {
		t.Errorf("%s asked the model %d times, not %d to %d", what, n, least, most)
	}
}

// killDuringApply kills an apply after a number of requests, and returns the
// number of answers that it did not receive.
func (m *asked) killDuringApply(t *testing.T, dir string, args []string) (lost int64) {
	t.Helper()
	const at = 50
	cmd := triageCommand(dir, args)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watch := func(n int64) {
		if n == at {
			lost = m.open.Load()
			_ = cmd.Process.Kill()
		}
	}
	m.watch.Store(&watch)
	err := cmd.Wait()
	m.watch.Store(nil)
	if err == nil {
		t.Fatalf("the apply ended before it was killed, after %d requests", m.asked.Load())
	}
	// Requests that were in flight when it was killed may still arrive.
	for m.open.Load() > 0 {
		time.Sleep(10 * time.Millisecond)
	}
	return lost + m.asked.Load() - at
}
