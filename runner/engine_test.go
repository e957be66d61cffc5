package runner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/runner/engine"
	"github.com/quern-dev/quern/runner/engine/local"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store"
)

// throughJSON is an engine whose tasks and results take their JSON form on the
// way, as they do to and from another process.
type throughJSON struct{ engine.Engine }

func (e throughJSON) Execute(ctx context.Context, t *engine.Task) (*engine.Result, error) {
	sent, err := again(t)
	if err != nil {
		return nil, err
	}
	res, err := e.Engine.Execute(ctx, sent)
	if err != nil {
		return nil, err
	}
	return again(res)
}

// again writes a value as JSON, and reads it.
func again[T any](v *T) (*T, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	out := new(T)
	return out, json.Unmarshal(text, out)
}

// elsewhere is an engine that carries out each task in a process of its own, which
// gets the task and the store's folder over stdin, and sends events and the result
// as lines of JSON.
type elsewhere struct {
	store string
	run   engine.Run
	// onEvent sees events as they come.
	onEvent func(*os.Process, *events.Event)
}

// order is what the process gets, word what it sends.
type (
	order struct {
		Store string       `json:"store"`
		Task  *engine.Task `json:"task"`
	}
	word struct {
		Event  *events.Event  `json:"event,omitempty"`
		Result *engine.Result `json:"result,omitempty"`
	}
)

func (e *elsewhere) Execute(ctx context.Context, t *engine.Task) (*engine.Result, error) {
	text, err := json.Marshal(order{e.store, t})
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, os.Args[0], executeArgument)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(text), &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-e.run.Stop:
			cmd.Process.Signal(os.Interrupt)
		case <-ended:
		}
	}()
	res, heard := e.listen(cmd.Process, out)
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("the process for %s ended: %w: %s", t.Node.Address, err, stderr.String())
	}
	return res, heard
}

func (e *elsewhere) listen(p *os.Process, out io.Reader) (*engine.Result, error) {
	for lines := json.NewDecoder(out); ; {
		var w word
		if err := lines.Decode(&w); err != nil {
			return nil, err
		}
		if w.Result != nil {
			return w.Result, nil
		}
		e.run.Events.Emit(*w.Event)
		if e.onEvent != nil {
			e.onEvent(p, w.Event)
		}
	}
}

func (e *elsewhere) Close() {}

// executeTask is the process: it has nothing but the task and the store.
func executeTask() error {
	var in order
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return err
	}
	ctx := context.Background()
	s, err := store.Open(in.Store)
	if err != nil {
		return err
	}
	c, err := client.Start(ctx, client.Command{Path: os.Args[0], Args: []string{serveArgument, slowly}, Name: "test"})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Service().Configure(ctx, &pluginv1.ConfigureRequest{}); err != nil {
		return err
	}
	stop := make(chan struct{})
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	go func() { <-interrupts; close(stop) }()
	out := &words{to: json.NewEncoder(os.Stdout)}
	e := local.Open(local.Options{Store: s, Plugins: &plugins{client: c}})(ctx, engine.Run{
		Events: out, Budget: modelhost.NewBudget("", nil), Limits: modelhost.NewLimits(), Stop: stop,
	})
	defer e.Close()
	res, err := e.Execute(ctx, in.Task)
	if err != nil {
		return err
	}
	return out.send(word{Result: res})
}

// words are an events.Sink that writes lines.
type words struct {
	mu sync.Mutex
	to *json.Encoder
}

func (w *words) Emit(e events.Event) { w.send(word{Event: &e}) }

func (w *words) send(m word) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Encode(m)
}

// remote is a pipeline whose stages are carried out in other processes.
func remote(t *testing.T, rows int, onEvent func(*os.Process, *events.Event)) (p *pipeline, src string) {
	p = newPipeline(t)
	p.engine = func(_ context.Context, run engine.Run) engine.Engine {
		return &elsewhere{store: p.store.Dir, run: run, onEvent: onEvent}
	}
	return p, inFile(t, rows)
}

// inFile is the lifecycle with its source in a file, which all processes can read.
func inFile(t *testing.T, rows int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "raw.txt")
	lines := make([]string, rows)
	for i := range lines {
		lines[i] = fmt.Sprintf("%c line %d", 'a'+rune(i%20), i)
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o666); err != nil {
		t.Fatal(err)
	}
	return strings.Replace(lifecycle, "raw.txt", path, 1)
}

// commits counts the parts of row-wise stages that are committed.
func (p *pipeline) commits() int {
	n := 0
	filepath.WalkDir(filepath.Join(p.store.Dir, "memo"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return nil
	})
	return n
}

// lossy is remote; the first process for label.loud is killed when it has
// committed some of its rows.
func lossy(t *testing.T, rows int) (p *pipeline, src string) {
	before := -1
	p, src = remote(t, rows, func(process *os.Process, e *events.Event) {
		switch {
		case e.Address != "label.loud":
		case before < 0:
			before = p.commits()
		case p.commits() > before:
			before = math.MaxInt
			process.Kill()
		}
	})
	return p, src
}

func TestStagesRunInOtherProcesses(t *testing.T) {
	told := map[string]bool{}
	var mu sync.Mutex
	p, src := remote(t, 500, func(_ *os.Process, e *events.Event) {
		mu.Lock()
		defer mu.Unlock()
		told[fmt.Sprintf("%s of %s", e.Type, e.Address)] = true
	})
	res := p.mustApply(src)
	p.want(res, map[string]string{
		"source.raw": "run", "transform.named": "run", "label.loud": "run", "train.model": "run",
		"evaluate.model": "run", "gate.good": "check", "deploy.prod": "create",
	})
	for _, what := range []string{"train", "score"} {
		if p.world.taken(what) > 0 {
			t.Errorf("the plugin of this process was asked to %s", what)
		}
	}
	if p.world.mapped.Load() > 0 {
		t.Error("rows reached the plugin of this process")
	}
	if !told["stage_progress of label.loud"] {
		t.Errorf("events that came: %v", told)
	}
	// It is the result of one process alone.
	alone := newPipeline(t)
	alone.mustApply(src)
	for address, inst := range alone.state.Instances {
		got := p.state.Instances[address]
		if got == nil || got.ActionKey != inst.ActionKey || len(got.Outputs) != len(inst.Outputs) {
			t.Errorf("%s is %+v, in one process %+v", address, got, inst)
			continue
		}
		for port, ref := range inst.Outputs {
			if got.Outputs[port].Digest != ref.Digest {
				t.Errorf("%s.%s is %s, in one process %s", address, port, got.Outputs[port].Digest, ref.Digest)
			}
		}
	}
	for _, n := range p.plan(src).Nodes {
		if n.Action != "keep" {
			t.Errorf("afterwards the plan is to %s %s", n.Action, n.Address)
		}
	}
}

func TestRowsThatALostProcessKeptAreNotComputedAgain(t *testing.T) {
	const rows = 6000
	p, src := lossy(t, rows)
	res := p.apply(src)
	if got := actions(res); got["label.loud"] != "failed" || got["train.model"] != "skipped" {
		t.Fatal(got)
	}
	if text := toldOf(res, "label.loud"); !strings.Contains(text, "signal: killed") {
		t.Errorf("told: %s", text)
	}
	res = p.mustApply(src)
	if s := p.stage(res, "label.loud"); s.ReusedRows < 256 || s.NewRows+s.ReusedRows != rows {
		t.Errorf("%d new, %d reused rows", s.NewRows, s.ReusedRows)
	}
}

func TestALostProcessIsAFailedAttempt(t *testing.T) {
	p, src := lossy(t, 6000)
	res := p.mustApply(strings.Replace(src, "  text  = row.text\n}", "  text  = row.text\n  retries = 1\n}", 1))
	if s := p.stage(res, "label.loud"); s.ReusedRows < 256 {
		t.Errorf("%d reused rows", s.ReusedRows)
	}
	if !slices.ContainsFunc(p.events, func(e events.Event) bool { return e.Type == events.StageRetried && e.Address == "label.loud" }) {
		t.Error("no event says that it was retried")
	}
}

func TestAStageInAnotherProcessStopsGracefully(t *testing.T) {
	var p *pipeline
	stopped := false
	p, src := remote(t, 6000, func(_ *os.Process, e *events.Event) {
		if e.Address == "label.loud" && !stopped {
			stopped = true
			close(p.stop)
		}
	})
	res := p.apply(src)
	if got := actions(res); res.Status != runner.Interrupted || got["label.loud"] != "interrupted" {
		t.Fatalf("the run is %s: %v\n%s", res.Status, got, told(res))
	}
	p.stop = make(chan struct{})
	res = p.mustApply(src)
	if s := p.stage(res, "label.loud"); s.ReusedRows == 0 {
		t.Errorf("%d new, %d reused rows", s.NewRows, s.ReusedRows)
	}
}

func TestAFailureInAnotherProcessIsReportedInItsOwnWords(t *testing.T) {
	p, src := remote(t, 10, nil)
	src = strings.Replace(src, "lower(row.text)", "lower(row.text == null ? row.text : [row.text][row.id < 5 ? 0 : 1])", 1)
	failed := p.stage(p.apply(src), "train.model").Diagnostics
	here := newPipeline(t)
	want := here.stage(here.apply(src), "train.model").Diagnostics
	if len(failed) != 1 || len(want) != 1 || failed[0].Summary != want[0].Summary || failed[0].Detail != want[0].Detail || *failed[0].Subject != *want[0].Subject || diag.Address(failed[0]) != "train.model" {
		t.Errorf("told: %v; in one process: %v", failed, want)
	}
	if !strings.Contains(failed[0].Detail, "In row 5 of label.loud") {
		t.Errorf("told: %s", failed[0].Detail)
	}
}

func TestTasksOfAnotherFormatAreRefused(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha")
	p.engine = func(ctx context.Context, run engine.Run) engine.Engine {
		return changed{local.Open(local.Options{Store: p.store, Plugins: p.plugins})(ctx, run), func(t *engine.Task) { t.Format = "quern.task/v2" }}
	}
	res := p.apply(lifecycle)
	if text := toldOf(res, "source.raw"); !strings.Contains(text, `has the format "quern.task/v2"`) {
		t.Errorf("told: %s", text)
	}
}

// changed is an engine whose tasks are changed on the way.
type changed struct {
	engine.Engine
	change func(*engine.Task)
}

func (e changed) Execute(ctx context.Context, t *engine.Task) (*engine.Result, error) {
	e.change(t)
	return e.Engine.Execute(ctx, t)
}

func TestAPanicInAnEngineFailsOneStageAsABug(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha")
	p.engine = func(ctx context.Context, run engine.Run) engine.Engine {
		return changed{local.Open(local.Options{Store: p.store, Plugins: p.plugins})(ctx, run), func(t *engine.Task) {
			if t.Node.Kind == "train" {
				t.Key = "" // has no staging folder
			}
		}}
	}
	res := p.apply(lifecycle)
	if got := actions(res); got["train.model"] != "failed" || got["label.loud"] != "run" {
		t.Errorf("got %v", got)
	}
	if text := toldOf(res, "train.model"); !strings.Contains(text, "Bug in quern") {
		t.Errorf("told: %s", text)
	}
}

// toldOf are the diagnostics of a stage in one string.
func toldOf(res *runner.Result, address string) string {
	for _, s := range res.Stages {
		if s.Address == address {
			return told(&runner.Result{Diagnostics: s.Diagnostics})
		}
	}
	return ""
}

// slowly has the plugin take its time for each row.
const slowly = "slowly"

func (w *world) slowDown() {
	w.onMap = func(string) error { time.Sleep(400 * time.Microsecond); return nil }
}
