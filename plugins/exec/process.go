package exec

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// process is a command that starts when it is first needed.
type process struct {
	command []string
	dir     string
	env     []string

	mu      sync.Mutex
	current *running
}

// running is a command that was started. The command has ended once ended is
// closed.
type running struct {
	cmd   *exec.Cmd
	lines chan []byte
	ended chan struct{}
	why   *llm.CallError // set before ended is closed

	mu      sync.Mutex
	next    int64
	waiting map[int64]chan *answer
	// answers is the number of answers received so far.
	answers int64
}

// ask sends a question to the command and waits for the answer. It starts the
// command if it is not running.
func (p *process) ask(ctx context.Context, q question) (*answer, error) {
	r, err := p.running()
	if err != nil {
		return nil, err
	}
	got, before := r.expect(&q)
	defer r.forget(q.ID)
	line, err := json.Marshal(q)
	if err != nil {
		return nil, &llm.CallError{Message: "write the request: " + err.Error()}
	}
	select {
	case r.lines <- append(line, '\n'):
	case <-r.ended:
		return nil, r.why
	case <-ctx.Done():
		return nil, r.late(ctx, before)
	}
	select {
	case a := <-got:
		return a, a.failure()
	case <-r.ended:
		return nil, r.why
	case <-ctx.Done():
		return nil, r.late(ctx, before)
	}
}

func (p *process) running() (*running, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil {
		select {
		case <-p.current.ended:
		default:
			return p.current, nil
		}
	}
	r, err := p.start()
	if err != nil {
		return nil, &llm.CallError{Message: fmt.Sprintf("the command cannot be started: %s", err)}
	}
	p.current = r
	return r, nil
}

func (p *process) start() (*running, error) {
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = p.dir, p.env, time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	said := &tail{}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &running{cmd: cmd, lines: make(chan []byte), ended: make(chan struct{}), waiting: map[int64]chan *answer{}}
	go r.write(stdin)
	go r.read(stdout, said)
	return r, nil
}

// write passes requests to the command until the command ends.
func (r *running) write(stdin io.WriteCloser) {
	defer stdin.Close()
	for {
		select {
		case line := <-r.lines:
			if _, err := stdin.Write(line); err != nil {
				return // the command ended or closed its input; read reports which
			}
		case <-r.ended:
			return
		}
	}
}

// maxLine is the maximum length of an answer, in bytes.
const maxLine = 64 << 20

// read delivers answers until the command ends.
func (r *running) read(stdout io.Reader, said *tail) {
	s := bufio.NewScanner(stdout)
	s.Buffer(nil, maxLine)
	var failure error
	for failure == nil && s.Scan() {
		if line := bytes.TrimSpace(s.Bytes()); len(line) > 0 {
			failure = r.deliver(line)
		}
	}
	if failure == nil {
		failure = s.Err()
	}
	if failure != nil {
		_ = r.cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, stdout)
	}
	err := r.cmd.Wait()
	switch {
	case failure != nil:
		// The command's output is invalid, and a retry would not change that.
		r.why = provider.Garbled(200, fmt.Errorf("%w%s", failure, said.quote()))
	case err != nil:
		r.why = provider.Broken(fmt.Sprintf("the command ended: %s%s", err, said.quote()))
	default:
		r.why = provider.Broken("the command ended" + said.quote())
	}
	close(r.ended)
}

// deliver passes an answer to the goroutine that waits for it.
func (r *running) deliver(line []byte) error {
	a := &answer{}
	if err := json.Unmarshal(provider.TrimMark(line), a); err != nil {
		return fmt.Errorf("the line %.80q is not an answer: %w", line, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers++
	id := int64(-1)
	if a.ID != nil {
		id = *a.ID
	} else {
		for waits := range r.waiting {
			if id < 0 || waits < id {
				id = waits
			}
		}
	}
	if got := r.waiting[id]; got != nil {
		got <- a
		delete(r.waiting, id)
	}
	return nil
}

// expect numbers a question. It returns the channel that will receive the
// answer, and the number of answers received so far.
func (r *running) expect(q *question) (<-chan *answer, int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	q.ID = r.next
	got := make(chan *answer, 1)
	r.waiting[q.ID] = got
	return got, r.answers
}

func (r *running) forget(id int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, id)
}

// late returns the failure of a question that waited too long. If the command
// has answered nothing in the meantime, late treats it as hung and kills it.
func (r *running) late(ctx context.Context, before int64) error {
	r.mu.Lock()
	hangs := r.answers == before
	r.mu.Unlock()
	if hangs && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		_ = r.cmd.Process.Kill()
	}
	return provider.Unreached(ctx, ctx.Err())
}

// tail keeps the end of what the command writes to stderr.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// maxTail is the number of bytes that are kept.
const maxTail = 1024

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if len(t.text) > maxTail {
		t.text = append(t.text[:0], t.text[len(t.text)-maxTail:]...)
	}
	return len(b), nil
}

func (t *tail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.text), "�"))
	if text == "" {
		return ""
	}
	return "; it last wrote: " + text
}
