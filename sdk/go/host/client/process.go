package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin/runner"
)

// process is a plugin's process as go-plugin expects it.
type process struct {
	cmd    *exec.Cmd
	stderr *tail

	// mu orders the start of the process and its end, which can be requested
	// before it has started.
	mu     sync.Mutex
	leader *os.Process // nil: not started
	doomed bool

	stdout *firstLine

	// lifeline is the write end of the plugin's stdin. Nothing is written to it:
	// its end tells the plugin that its parent has ended.
	lifeline *os.File
	// ends are this side's ends of stdout and stderr.
	ends [2]*os.File

	// exited is closed when the process has ended; state is set before.
	exited chan struct{}
	state  *os.ProcessState
	// kills is how many processes the kernel had ended for want of memory when
	// this one started.
	kills int64
	// closing is set when the process is ended on purpose.
	closing atomic.Bool
}

func newProcess(cmd *exec.Cmd, lines int, log hclog.Logger) *process {
	return &process{
		cmd: cmd, stderr: newTail(lines, log), stdout: &firstLine{}, exited: make(chan struct{}),
	}
}

// adopt is go-plugin's RunnerFunc: spec has the variables of the handshake.
func (p *process) adopt(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
	p.cmd.Env = append(p.cmd.Env, spec.Env...)
	return p, nil
}

// pipes opens pipes, and returns the end to read from and the end to write to of
// each. If one cannot be opened, none is.
func pipes(n int) ([]*os.File, error) {
	var ends []*os.File
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			for _, f := range ends {
				_ = f.Close()
			}
			return nil, err
		}
		ends = append(ends, r, w)
	}
	return ends, nil
}

// Start starts the process. On Linux the kernel kills it when the thread that
// started it ends, so a thread that never ends starts it.
func (p *process) Start(context.Context) error {
	ends, err := pipes(3)
	if err != nil {
		return err
	}
	stdin, lifeline, stdout, stdoutW, stderr, stderrW := ends[0], ends[1], ends[2], ends[3], ends[4], ends[5]
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, stdoutW, stderrW
	p.cmd.SysProcAttr = attributes()
	p.kills = OutOfMemoryKills()
	err = p.spawn()
	for _, f := range []*os.File{stdin, stdoutW, stderrW} {
		_ = f.Close()
	}
	p.lifeline, p.ends = lifeline, [2]*os.File{stdout, stderr}
	if err != nil {
		p.closePipes()
		return err
	}
	go p.watch()
	return nil
}

// spawn starts the process, unless it was already asked to end.
func (p *process) spawn() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.doomed {
		return errors.New("the start was canceled")
	}
	err := onSpawnThread(p.cmd.Start)
	p.leader = p.cmd.Process
	return err
}

// started returns the process, or nil if it has not started.
func (p *process) started() *os.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leader
}

// watch waits for the process to end and kills what it started, which might
// hold its pipes open.
func (p *process) watch() {
	leader := p.started()
	endGroupWithLeader(leader.Pid)
	p.state, _ = leader.Wait()
	_ = p.lifeline.Close()
	close(p.exited)
}

func (p *process) closePipes() {
	_ = p.lifeline.Close()
	for _, f := range p.ends {
		_ = f.Close()
	}
}

// Wait is called by go-plugin when both pipes have been read to the end.
func (p *process) Wait(context.Context) error {
	<-p.exited
	p.closePipes()
	if p.state != nil && !p.state.Success() {
		return fmt.Errorf("%s", p.state)
	}
	return nil
}

// Kill kills the process and its group.
func (p *process) Kill(context.Context) error {
	p.kill()
	return nil
}

// kill returns when the process has ended. A process that has not started yet
// never will.
func (p *process) kill() {
	p.mu.Lock()
	p.doomed = true
	leader := p.leader
	p.mu.Unlock()
	if leader == nil {
		return
	}
	select {
	case <-p.exited:
	default:
		killGroup(leader)
		<-p.exited
	}
}

func (p *process) Stdout() io.ReadCloser { return teeCloser{p.ends[0], p.stdout} }
func (p *process) Stderr() io.ReadCloser { return teeCloser{p.ends[1], p.stderr} }
func (p *process) Name() string          { return p.cmd.Path }

func (p *process) ID() string {
	leader := p.started()
	if leader == nil {
		return ""
	}
	return strconv.Itoa(leader.Pid)
}

// Diagnose returns nothing: startError makes the errors.
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost and HostToPlugin translate nothing: both sides see the same
// files.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin is the inverse of PluginToHost.
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// teeCloser is a reader that copies what it reads, and its end, to w.
type teeCloser struct {
	io.ReadCloser
	w io.WriteCloser
}

func (t teeCloser) Read(b []byte) (int, error) {
	n, err := t.ReadCloser.Read(b)
	if n > 0 {
		_, _ = t.w.Write(b[:n])
	}
	if err != nil {
		_ = t.w.Close()
	}
	return n, err
}

// maxLine is the maximum number of bytes that are kept of a line.
const maxLine = 2048

// headLines is the number of lines that are kept of a stack trace: enough for
// the frames of the author's own code, which come first.
const headLines = 14

// tail keeps the last lines that are written to it and, if a Go program
// panicked, the first lines of the stack trace: the frames that matter come
// first, and a trace of any length follows.
type tail struct {
	mu      sync.Mutex
	max     int
	log     hclog.Logger
	kept    []string
	head    []string // of the last stack trace
	after   int      // lines since the head began
	partial []byte
	closed  chan struct{}
	once    sync.Once
}

func newTail(lines int, log hclog.Logger) *tail {
	return &tail{max: lines, log: log, closed: make(chan struct{})}
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range b {
		switch {
		case c == '\n':
			t.keep()
		case len(t.partial) < maxLine:
			t.partial = append(t.partial, c)
		}
	}
	return len(b), nil
}

func (t *tail) keep() {
	line := logged(t.log, strings.ToValidUTF8(strings.TrimRight(string(t.partial), "\r"), "�"))
	t.partial = t.partial[:0]
	t.after++
	if isCause(line) {
		t.head, t.after = nil, 0
	}
	if t.after == len(t.head) && len(t.head) < headLines && (t.after > 0 || isCause(line)) {
		t.head = append(t.head, line)
	}
	t.kept = append(t.kept, line)
	if len(t.kept) > t.max {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-t.max:]...)
	}
}

func isCause(line string) bool {
	return strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")
}

// Close marks the end.
func (t *tail) Close() error {
	t.once.Do(func() {
		t.mu.Lock()
		if len(t.partial) > 0 {
			logged(t.log, strings.ToValidUTF8(string(t.partial), "�"))
		}
		t.mu.Unlock()
		close(t.closed)
	})
	return nil
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.kept
	var out []string
	if t.head != nil && t.after >= t.max {
		// The trace is longer than the tail: show its beginning, and a few of
		// the lines at the end.
		out = append(slices.Clone(t.head), "…")
		kept = kept[max(0, len(kept)-max(0, t.max-len(t.head))):]
	}
	out = append(out, kept...)
	if len(t.partial) > 0 {
		out = append(out, strings.ToValidUTF8(string(t.partial), "�"))
	}
	return out
}

// firstLine keeps the first line that is written to it: the handshake.
type firstLine struct {
	mu   sync.Mutex
	text []byte
	done bool
}

func (f *firstLine) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range b {
		if f.done {
			break
		}
		if c == '\n' || len(f.text) >= maxLine {
			f.done = true
			break
		}
		f.text = append(f.text, c)
	}
	return len(b), nil
}

// Close does nothing: an incomplete first line counts as well.
func (f *firstLine) Close() error { return nil }

func (f *firstLine) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.ToValidUTF8(string(f.text), "�")
}
