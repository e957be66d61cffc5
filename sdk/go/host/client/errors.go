package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/sdk/go/host/wire"
)

// StartError says why a plugin could not be started.
type StartError struct {
	Plugin string
	Path   string
	// Reason is what went wrong: "was not ready within 15s".
	Reason string
	// Stderr holds the last lines that the plugin wrote.
	Stderr []string
	Err    error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("plugin %q (%s) %s%s", e.Plugin, e.Path, e.Reason, quote(e.Stderr))
}
func (e *StartError) Unwrap() error { return e.Err }

// Diagnostic returns why the plugin could not be started, and what it wrote last.
func (e *StartError) Diagnostic() (summary, detail string) {
	return fmt.Sprintf("plugin %q (%s) %s", e.Plugin, e.Path, e.Reason), lastWritten(e.Stderr)
}

// Crash says that a plugin ended while it was needed.
type Crash struct {
	Plugin string
	// ExitCode is -1 if a signal ended it.
	ExitCode int
	// Signal is the signal's name, such as "killed".
	Signal string
	// OutOfMemory: the kernel ended it, because memory ran out.
	OutOfMemory bool
	// Stderr holds the last lines that the plugin wrote.
	Stderr []string
}

func (e *Crash) Error() string {
	return fmt.Sprintf("plugin %q ended unexpectedly (%s)%s", e.Plugin, e.how(), quote(e.Stderr))
}

// Diagnostic returns how the plugin ended, and what it wrote last.
func (e *Crash) Diagnostic() (summary, detail string) {
	return fmt.Sprintf("plugin %q ended unexpectedly (%s)", e.Plugin, e.how()), lastWritten(e.Stderr)
}

func (e *Crash) how() string {
	if e.OutOfMemory {
		return "the kernel ended it because " + OutOfMemory()
	}
	if e.Signal != "" {
		return "signal: " + e.Signal
	}
	return fmt.Sprintf("exit code %d", e.ExitCode)
}

// OutOfMemory is the end of a sentence about a process that the kernel ended: that
// memory ran out, and what to do.
func OutOfMemory() string {
	limit := ""
	if n := memoryLimit(); n > 0 {
		limit = fmt.Sprintf(", whose limit here is %d MiB", n>>20)
	}
	return "memory ran out" + limit +
		"; raise the limit, run fewer stages at once with -parallelism, or let the stage process less data at a time"
}

// CallError is a call that a plugin answered with an error, or with a response
// that the protocol does not allow.
type CallError struct {
	Plugin  string
	Code    codes.Code
	Message string
	Stderr  []string
}

func (e *CallError) Error() string {
	return fmt.Sprintf("plugin %q: %s", e.Plugin, e.Message)
}

// quote shows a plugin's last lines below a message.
func quote(lines []string) string {
	if len(lines) == 0 {
		return "; it wrote nothing to stderr"
	}
	return "; its last output on stderr:\n  " + strings.Join(lines, "\n  ")
}

// lastWritten is quote as a text of its own.
func lastWritten(lines []string) string {
	if len(lines) == 0 {
		return "It wrote nothing to stderr."
	}
	return "The last lines that it wrote to stderr:\n  " + strings.Join(lines, "\n  ")
}

// lastWords is how long to wait for a process that broke a call to end and its
// pipes to be read.
const lastWords = 2 * time.Second

// startError finds out why a plugin did not get ready.
func (p *Plugin) startError(err error) error {
	out := &StartError{Plugin: p.command.Name, Path: p.command.Path, Err: err}
	line := p.process.stdout.String()
	switch {
	case p.process.started() == nil:
		out.Reason = "can't be started: " + strings.TrimPrefix(err.Error(), "fork/exec "+p.command.Path+": ")
		return out
	case line != "" && !isHandshake(line):
		out.Reason = fmt.Sprintf("wrote %q to its standard output, but must write only the handshake there", line)
	case isHandshake(line) && otherVersion(line) != "":
		out.Reason = fmt.Sprintf("uses version %s of the plugin protocol, but this quern uses version 1", otherVersion(line))
	case strings.Contains(err.Error(), "timeout while waiting"):
		out.Reason = fmt.Sprintf("was not ready within %s (set QUERN_PLUGIN_START_TIMEOUT to wait longer)", p.command.StartTimeout)
	case p.ended(lastWords / 4):
		out.Reason = fmt.Sprintf("ended before it was ready (%s)", p.crash().how())
	default:
		out.Reason = "cannot be called: " + err.Error()
	}
	p.process.kill()
	p.drain()
	out.Stderr = p.Stderr()
	return out
}

// isHandshake reports whether a line looks like go-plugin's: core version,
// protocol version, network, address, protocol.
func isHandshake(line string) bool {
	parts := strings.Split(strings.TrimSpace(line), "|")
	return len(parts) >= 5 && (parts[2] == "unix" || parts[2] == "tcp")
}

// otherVersion returns a handshake's protocol version if it is not ours.
func otherVersion(line string) string {
	version := strings.Split(strings.TrimSpace(line), "|")[1]
	if version == fmt.Sprint(wire.ProtocolVersion) {
		return ""
	}
	return version
}

// ended reports whether the process ends within a time.
func (p *Plugin) ended(within time.Duration) bool {
	select {
	case <-p.process.exited:
		return true
	case <-time.After(within):
		return false
	}
}

// drain waits until stderr has been read, but not forever: another process may
// hold it open.
func (p *Plugin) drain() {
	select {
	case <-p.process.stderr.closed:
	case <-time.After(lastWords):
	}
}

// crash describes a process that has ended.
func (p *Plugin) crash() *Crash {
	p.drain()
	c := &Crash{Plugin: p.command.Name, ExitCode: -1, Stderr: p.Stderr()}
	if state := p.process.state; state != nil {
		c.ExitCode = state.ExitCode()
		c.Signal = signalName(state)
		c.OutOfMemory = c.Signal == "killed" && OutOfMemoryKills() > p.process.kills
	}
	p.command.Log.Error("ended unexpectedly", "how", c.how())
	return c
}

// signalName returns the signal that ended a process, or "".
func signalName(state *os.ProcessState) string {
	name, isSignal := strings.CutPrefix(state.String(), "signal: ")
	if !isSignal {
		return ""
	}
	return name
}

// wrap converts a call's error to a Crash, a CallError, or the context's error.
func (p *Plugin) wrap(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var done interface{ pluginError() }
	if errors.As(err, &done) {
		return err
	}
	s := status.Convert(err)
	if s.Code() == codes.Unavailable && !p.process.closing.Load() && p.ended(lastWords) {
		return p.crash()
	}
	return &CallError{Plugin: p.command.Name, Code: s.Code(), Message: s.Message(), Stderr: p.Stderr()}
}

func (*Crash) pluginError()     {}
func (*CallError) pluginError() {}

// ours distinguishes the protocol's calls from go-plugin's.
func ours(method string) bool { return strings.HasPrefix(method, "/quern.") }

func (p *Plugin) interceptUnary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	if !ours(method) {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	defer p.slow(answering(method, req))()
	began := time.Now()
	req, err := p.request(req)
	if err != nil {
		return err
	}
	if err = p.wrap(ctx, invoke(ctx, method, req, reply, cc, opts...)); err == nil {
		err = p.received(reply)
	}
	p.command.Log.Debug("called", "method", method, "about", strings.TrimPrefix(subject(req), " for "), "took", time.Since(began), "error", err)
	return err
}

func (p *Plugin) interceptStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	s, err := open(ctx, desc, cc, method, opts...)
	if !ours(method) {
		return s, err
	}
	p.command.Log.Debug("opened a call", "method", method, "error", err)
	if err != nil {
		return nil, p.wrap(ctx, err)
	}
	return &wrappedStream{ClientStream: s, plugin: p, ctx: ctx}, nil
}

// wrappedStream is a stream whose errors are wrapped.
type wrappedStream struct {
	grpc.ClientStream
	plugin *Plugin
	// ctx is the caller's; the stream's own also ends with the stream.
	ctx context.Context
}

func (s *wrappedStream) RecvMsg(m any) error {
	if err := s.plugin.wrap(s.ctx, s.ClientStream.RecvMsg(m)); err != nil {
		return err
	}
	return s.plugin.received(m)
}

func (s *wrappedStream) SendMsg(m any) error {
	m, err := s.plugin.request(m)
	if err != nil {
		return err
	}
	return s.plugin.wrap(s.ctx, s.ClientStream.SendMsg(m))
}

// received takes in what the plugin sent.
func (p *Plugin) received(m any) error {
	err := response(m)
	if err == nil {
		return nil
	}
	return &CallError{Plugin: p.command.Name, Code: codes.Internal, Stderr: p.Stderr(), Message: "it sent an invalid response: " + err.Error()}
}
