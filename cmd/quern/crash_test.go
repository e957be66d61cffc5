package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/store/state"
)

// crashes returns the number of processes to kill: QUERN_CRASHES, or a few.
func crashes(t *testing.T) int {
	text := os.Getenv("QUERN_CRASHES")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("QUERN_CRASHES=%q is no number of crashes", text)
	}
	return n
}

// TestCrash kills quern, or a plugin that it has started, at random moments of
// the demo's apply until the apply is done. It does so again and again from
// scratch, until there were enough crashes. Most of them must hit running
// stages; a table says what they hit. After each crash, the store and the state
// must be intact, no process may be left, and nothing that was reported as done
// may run again. At the end, the demo must have the artifacts of an undisturbed
// run.
func TestCrash(t *testing.T) {
	want := newPipeline(t)
	if err := want.apply(); err != nil {
		t.Fatalf("the undisturbed apply: %v\n%s", err, want.said())
	}
	wantDigests := want.digests()

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d; an undisturbed apply has %d events", seed, len(want.events))
	random := rand.New(rand.NewPCG(seed, 0))
	var hits []hit
	for left := crashes(t); left > 0; {
		p := newPipeline(t)
		for left > 0 && p.crash(random, want.events) {
			left--
		}
		hits = append(hits, p.hits...)
		if len(p.crashes) == 0 {
			continue // the apply ended before that moment
		}
		if err := p.apply(); err != nil {
			t.Fatalf("the apply after the crashes %v: %v\n%s", p.crashes, err, p.said())
		}
		p.sound()
		if got := p.digests(); !maps.Equal(got, wantDigests) {
			t.Fatalf("after the crashes %v the artifacts are\n%v\nnot those of an undisturbed run\n%v", p.crashes, got, wantDigests)
		}
		if err := p.apply(); err != nil || p.started != 0 {
			t.Fatalf("after the crashes %v and an apply, another one starts %d stages: %v", p.crashes, p.started, err)
		}
		t.Logf("%v: all is well", p.crashes)
	}
	t.Logf("what the crashes hit:\n%s", hitTable(hits))
	running := 0
	for _, h := range hits {
		if len(h.stages) > 0 {
			running++
		}
	}
	if running < max(1, len(hits)/2) {
		t.Errorf("only %d of %d crashes hit a running stage", running, len(hits))
	}
}

// hit is what a killed process was doing.
type hit struct {
	program string
	// stages contains the running stages. If there are none, phase says what
	// was going on instead.
	stages []string
	phase  string
}

func (h hit) String() string {
	if len(h.stages) > 0 {
		return strings.Join(h.stages, ", ")
	}
	return h.phase
}

// hitTable returns a table with a row for each stage and phase, and a column
// for how often each program was killed in it. A crash counts for each running
// stage.
func hitTable(hits []hit) string {
	programs, counts := map[string]bool{}, map[string]map[string]int{}
	for _, h := range hits {
		rows := h.stages
		if len(rows) == 0 {
			rows = []string{"(" + h.phase + ")"}
		}
		programs[h.program] = true
		for _, row := range rows {
			if counts[row] == nil {
				counts[row] = map[string]int{}
			}
			counts[row][h.program]++
		}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	columns := slices.Sorted(maps.Keys(programs))
	fmt.Fprintf(w, "running\t%s\n", strings.Join(columns, "\t"))
	for _, row := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprint(w, row)
		for _, program := range columns {
			fmt.Fprintf(w, "\t%d", counts[row][program])
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	return b.String()
}

// hitAt returns what a run was doing at a time, according to its events.
func hitAt(at time.Time, all []events.Event) hit {
	running, h := map[string]bool{}, hit{phase: "planning"}
	for _, e := range all {
		if e.Time.After(at) {
			continue // events of different stages may be out of order
		}
		switch e.Type {
		case events.StageStarted:
			running[e.Address] = true
		case events.StageDone, events.StageFailed, events.StageInterrupted:
			delete(running, e.Address)
		case events.RunStarted:
			h.phase = "between stages"
		case events.RunDone:
			h.phase = "after the run"
		}
	}
	h.stages = slices.Sorted(maps.Keys(running))
	return h
}

// pipeline is a copy of the demo, and what is known about it.
type pipeline struct {
	t       *testing.T
	dir     string
	pid     int // of the last command
	crashes []string
	hits    []hit
	done    map[string]bool // address and action of all stages that were reported as done
	started int             // number of stages that the last apply has started
	events  []events.Event  // events of the last apply, without progress
	watch   func()          // called before the first of them and after each
	stderr  bytes.Buffer    // of the last command
}

func newPipeline(t *testing.T) *pipeline {
	p := &pipeline{t: t, dir: t.TempDir(), done: map[string]bool{}}
	for _, pattern := range []string{"*.hcl", "data/*.csv"} {
		files, err := filepath.Glob(filepath.Join("../../examples/banking77", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("the demo's files %s: %v", pattern, err)
		}
		for _, f := range files {
			to := filepath.Join(p.dir, filepath.Dir(pattern), filepath.Base(f))
			content, err := os.ReadFile(f)
			if err == nil {
				err = errors.Join(os.MkdirAll(filepath.Dir(to), 0o777), os.WriteFile(to, content, 0o666))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return p
}

func (p *pipeline) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(binaries, "quern"), args...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "QUERN_PLUGIN_PATH=", "NO_COLOR=1")
	p.stderr.Reset()
	cmd.Stderr = &p.stderr
	return cmd
}

func (p *pipeline) said() string { return p.stderr.String() }

// apply applies the demo and reads its events.
func (p *pipeline) apply() error {
	cmd := p.command("apply", "-auto-approve", "-json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.pid, p.started, p.events = cmd.Process.Pid, 0, nil
	p.follow(out)
	return cmd.Wait()
}

// follow reads the events of an apply. The last line may be incomplete.
func (p *pipeline) follow(r io.Reader) {
	dec := json.NewDecoder(r)
	for counts := true; ; {
		if counts && p.watch != nil {
			p.watch()
		}
		var e events.Event
		if err := dec.Decode(&e); err != nil {
			_, _ = io.Copy(io.Discard, r)
			return
		}
		// The number of progress events depends on timing.
		if counts = e.Type != events.StageProgress; counts {
			p.events = append(p.events, e)
		}
		switch e.Type {
		case events.StageStarted:
			p.started++
		case events.StageDone:
			name := e.Address + " " + e.Stage.Action
			if again := e.Stage.Action == "check" || e.Stage.Action == "reuse"; p.done[name] && !again {
				p.t.Errorf("after the crashes %v, %s is done again", p.crashes, name)
			}
			p.done[name] = true
		}
	}
}

// longestDelay is the maximum time after an event at which a process is killed:
// enough to hit what happens between two events.
const longestDelay = 500 * time.Millisecond

// moment is when a process is killed: some time after an event.
type moment struct {
	// stage is the stage that must start. If it is empty, event is the number
	// of the event.
	stage string
	event int
	delay time.Duration
}

// someMoment picks a moment of an apply with these events. Two in three are in
// the middle of a stage, more often a long one. The third is anywhere.
func someMoment(random *rand.Rand, whole []events.Event) moment {
	if random.IntN(3) == 0 {
		// The last events are immediately after each other.
		return moment{event: random.IntN(len(whole) * 3 / 4), delay: time.Duration(random.Int64N(int64(longestDelay)))}
	}
	total := 0.0
	for _, e := range whole {
		if e.Type == events.StageDone {
			total += e.Stage.Seconds
		}
	}
	at := random.Float64() * total
	for _, e := range whole {
		if e.Type != events.StageDone {
			continue
		}
		if at < e.Stage.Seconds {
			return moment{stage: e.Address, delay: time.Duration(at * float64(time.Second))}
		}
		at -= e.Stage.Seconds
	}
	return moment{}
}

// is reports whether a moment is due after these events.
func (m moment) is(seen []events.Event) bool {
	if m.stage == "" {
		return len(seen) == m.event
	}
	if len(seen) == 0 {
		return false
	}
	last := seen[len(seen)-1]
	return last.Type == events.StageStarted && last.Address == m.stage
}

func (m moment) String() string {
	if m.stage != "" {
		return fmt.Sprintf("%d ms after the start of %s", m.delay.Milliseconds(), m.stage)
	}
	return fmt.Sprintf("%d ms after event %d", m.delay.Milliseconds(), m.event)
}

// crash applies the demo and kills quern or one of its plugins at a random
// moment. whole contains the events of an undisturbed apply. It returns whether
// the apply was interrupted.
func (p *pipeline) crash(random *rand.Rand, whole []events.Event) bool {
	moment := someMoment(random, whole)
	plugin, choice := random.IntN(3) == 0, random.IntN(1<<20)
	type kill struct {
		program string
		at      time.Time
	}
	killed := make(chan kill, 1)
	p.watch = func() {
		if !moment.is(p.events) {
			return
		}
		pid := p.pid
		time.AfterFunc(moment.delay, func() {
			target := pid
			if plugins := children(pid); plugin && len(plugins) > 0 {
				target = plugins[choice%len(plugins)]
			}
			killed <- kill{programOf(target), time.Now()}
			_ = syscall.Kill(target, syscall.SIGKILL)
		})
	}
	err := p.apply()
	p.watch = nil
	if err == nil {
		return false
	}
	k := <-killed
	// Everything that quern wrote before its end has been read by now.
	h := hitAt(k.at, p.events)
	h.program = k.program
	p.hits = append(p.hits, h)
	p.crashes = append(p.crashes, fmt.Sprintf("%s, %s, in %s", k.program, moment, h))
	p.sound()
	return true
}

// sound checks what a crash has left: no processes, a readable state, and
// undamaged artifacts.
func (p *pipeline) sound() {
	p.t.Helper()
	p.gone()
	for _, args := range [][]string{{"state", "list", "-json"}, {"artifact", "verify"}, {"log", "-json"}} {
		cmd := p.command(args...)
		if out, err := cmd.Output(); err != nil {
			p.t.Fatalf("after the crashes %v: quern %s: %v\n%s%s", p.crashes, strings.Join(args, " "), err, out, p.said())
		}
	}
}

// gone waits until no process is left, because the plugins of a killed quern
// end on their own.
func (p *pipeline) gone() {
	p.t.Helper()
	var left []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var err error
		if left, err = processes(p.dir); err != nil {
			p.t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
	}
	p.t.Fatalf("after the crashes %v processes are left: %v", p.crashes, left)
}

// digests returns the digests of all artifacts in the state.
func (p *pipeline) digests() map[string]string {
	p.t.Helper()
	out, err := p.command("state", "list", "-json").Output()
	if err != nil {
		p.t.Fatalf("state list: %v\n%s", err, p.said())
	}
	var listed struct{ Instances []*state.Instance }
	if err := json.Unmarshal(out, &listed); err != nil {
		p.t.Fatal(err)
	}
	all := map[string]string{}
	for _, inst := range listed.Instances {
		all[inst.Address] = ""
		for port, ref := range inst.Outputs {
			all[inst.Address+"/"+port] = ref.Digest
		}
	}
	return all
}

// children returns the processes that a process has started.
func children(pid int) []int {
	entries, _ := os.ReadDir("/proc")
	var found []int
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			found = append(found, child)
		}
	}
	slices.Sort(found)
	return found
}

func programOf(pid int) string {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return "nothing"
	}
	args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if strings.HasSuffix(strings.TrimRight(string(args), "\x00"), "serve-plugin") {
		return "the built-in plugin"
	}
	return filepath.Base(exe)
}
