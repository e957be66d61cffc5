package runner_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/progress"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/state"
)

// The test binary, started again with one of these arguments, is a plugin, an
// apply of the pipeline in a folder, or a task of an engine.
const (
	serveArgument   = "serve-test-plugin"
	applyArgument   = "apply-test-pipeline"
	executeArgument = "execute-test-task"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serveArgument {
		w := newWorld()
		if slices.Contains(os.Args, slowly) {
			w.slowDown()
		}
		plugin.Serve(plugin.Plugin{Name: "test", Version: "1.2.3", Types: append(w.types(), plugin.NewMapper(
			plugin.Info{Kind: plugin.KindLabel, Name: "short", BehaviorVersion: 1}, short{}))})
		return
	}
	if len(os.Args) > 1 && os.Args[1] == executeArgument {
		if err := executeTask(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 2 && os.Args[1] == applyArgument {
		if err := applyFolder(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// applyFolder applies the pipeline in a folder as a command would, and writes
// the events as JSON lines.
func applyFolder(dir string) error {
	ctx := context.Background()
	stop := make(chan struct{})
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	go func() { <-interrupts; close(stop) }()
	src, err := os.ReadFile(filepath.Join(dir, "main.quern.hcl"))
	if err != nil {
		return err
	}
	s, err := store.Open(filepath.Join(dir, ".quern"))
	if err != nil {
		return err
	}
	lease, err := s.States().Lock(ctx, "dev", state.Owner{Command: "test"}, 10*time.Second, nil)
	if err != nil {
		return err
	}
	defer lease.Release()
	st, err := s.States().Load("dev")
	if err != nil {
		return err
	}
	c, err := client.Start(ctx, client.Command{Path: os.Args[0], Args: []string{serveArgument}, Name: "test"})
	if err != nil {
		return err
	}
	defer c.Close()
	schema, err := c.Service().GetSchema(ctx, &pluginv1.GetSchemaRequest{})
	if err != nil {
		return err
	}
	if _, err := c.Service().Configure(ctx, &pluginv1.ConfigureRequest{}); err != nil {
		return err
	}
	p := &plugins{client: c, schema: schema}
	m, diags := config.Parse("main.quern.hcl", src)
	if diags.HasErrors() {
		return diags
	}
	made, diags := planner.Build(ctx, planner.Options{Module: m, Plugins: p, Store: s, State: st, Environment: "dev", Refresh: true})
	if diags.HasErrors() {
		return diags
	}
	show := progress.JSON(os.Stdout)
	res, err := runner.Apply(ctx, made, runner.Options{
		Store: s, State: st, Save: s.States().Save, Plugins: p, RunID: "run", Events: show.Event, Stop: stop,
	})
	if err == nil && res.Status == runner.Failed {
		err = fmt.Errorf("the run failed: %s", told(res))
	}
	return err
}

// folder is a pipeline that separate processes apply.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T, rows int) *folder {
	t.Helper()
	f := &folder{t, t.TempDir()}
	var lines []string
	for i := range rows {
		lines = append(lines, fmt.Sprintf("%c line %d", 'a'+rune(i%20), i))
	}
	src := strings.NewReplacer(`"raw.txt"`, fmt.Sprintf("%q", filepath.Join(f.dir, "raw.txt")),
		`"front"`, fmt.Sprintf("%q", filepath.Join(f.dir, "shelf")), "var.least", "0.9").Replace(lifecycle)
	src = src[strings.Index(src, "source"):]
	f.write("raw.txt", strings.Join(lines, "\n"))
	f.write("main.quern.hcl", src)
	return f
}

func (f *folder) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o666); err != nil {
		f.t.Fatal(err)
	}
}

// apply runs an apply in a process of its own. onEvent sees its events as they
// come, and a nil one when it has begun.
func (f *folder) apply(onEvent func(*os.Process, *events.Event)) (all []events.Event, err error) {
	f.t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(os.Args[0], applyArgument, f.dir)
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	if onEvent == nil {
		onEvent = func(*os.Process, *events.Event) {}
	}
	onEvent(cmd.Process, nil)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var e events.Event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // the line that was being written when it was killed
		}
		all = append(all, e)
		onEvent(cmd.Process, &e)
	}
	if err = cmd.Wait(); err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.String())
	}
	return all, err
}

// outputs are the digests of everything in the state.
func (f *folder) outputs() map[string]string {
	f.t.Helper()
	s, err := store.Open(filepath.Join(f.dir, ".quern"))
	if err != nil {
		f.t.Fatal(err)
	}
	st, err := s.States().Load("dev")
	if err != nil {
		f.t.Fatal(err)
	}
	out := map[string]string{}
	for address, i := range st.Instances {
		if i.Kind == "source" || i.Kind == "gate" || i.Kind == "deploy" {
			continue // their keys have the folder's path or values in them
		}
		out[address] = i.ActionKey
		for port, ref := range i.Outputs {
			out[address+":"+port] = ref.Digest
		}
	}
	return out
}

func TestAKillAtAnyMomentLosesNothingThatWasReportedDone(t *testing.T) {
	const kills = 12
	calm := newFolder(t, 20_000)
	started := time.Now()
	if _, err := calm.apply(nil); err != nil {
		t.Fatal(err)
	}
	took := time.Since(started)
	want := calm.outputs()

	f := newFolder(t, 20_000)
	rng := rand.New(rand.NewPCG(1, 2))
	done := map[string]bool{} // reported as run
	check := func(all []events.Event) {
		t.Helper()
		for _, e := range all {
			if e.Type != events.StageDone || e.Stage.Action != "run" {
				continue
			}
			if done[e.Address] {
				t.Errorf("%s was reported done and then done again", e.Address)
			}
			done[e.Address] = true
		}
	}
	for range kills {
		all, _ := f.apply(func(p *os.Process, e *events.Event) {
			if e == nil {
				time.AfterFunc(time.Duration(rng.Int64N(int64(took))), func() { p.Kill() })
			}
		})
		check(all)
	}
	all, err := f.apply(nil)
	if err != nil {
		t.Fatal(err)
	}
	check(all)
	got := f.outputs()
	for name, digest := range want {
		if got[name] != digest {
			t.Errorf("%s is %s, undisturbed %s", name, got[name], digest)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the state has %d things, and %d without a disturbance", len(got), len(want))
	}
}

func TestAnInterruptEndsAnApplyGracefully(t *testing.T) {
	f := newFolder(t, 20_000)
	all, err := f.apply(func(p *os.Process, e *events.Event) {
		if e != nil && e.Type == events.StageStarted && e.Address == "label.loud" {
			p.Signal(os.Interrupt)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	last := all[len(all)-1]
	if last.Type != events.RunDone || last.Summary.Status != "interrupted" || last.Summary.Failed > 0 {
		t.Errorf("the last event is %s: %+v", last.Type, last.Summary)
	}
	if _, err := f.apply(nil); err != nil {
		t.Fatal(err)
	}
}
