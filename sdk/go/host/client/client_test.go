package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/sys/unix"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

func instance(kind, typ string, attrs map[string]cty.Value) *pluginv1.Instance {
	config, err := client.EncodeValue(cty.ObjectVal(attrs))
	if err != nil {
		panic(err)
	}
	return &pluginv1.Instance{
		Kind: kind, Type: typ, Address: kind + ".test", Config: config,
		Inputs: map[string]*pluginv1.Input{"input": {
			Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET, Columns: []*pluginv1.Column{{Name: "body", Type: "string"}},
		}},
		RowArguments: map[string]*pluginv1.RowArgument{"text": {Type: "string", RowsOf: "input", Column: "body"}},
	}
}

func upper(do string) *pluginv1.Instance {
	return instance("label", "upper", map[string]cty.Value{
		"input": cty.StringVal("input"), "text": cty.StringVal("text"), "do": cty.StringVal(do),
	})
}

var label = data.Schema{{Name: "label", Type: "string"}}

// rows returns n rows of a string column.
func rows(argument string, n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{data.Arguments.Field(argument, arrow.BinaryTypes.String)}, nil))
	defer b.Release()
	for i := range n {
		b.Field(0).(*array.StringBuilder).Append(strings.Repeat("x", 199) + strconv.Itoa(i%10))
	}
	return b.NewRecordBatch()
}

func encoded(rec arrow.RecordBatch) []byte {
	b, err := data.EncodeBatch(rec)
	if err != nil {
		panic(err)
	}
	return b
}

func start(t testing.TB, role string) *client.Plugin {
	t.Helper()
	p, err := client.Start(t.Context(), command(role))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// mapOnce sends one batch of three rows and returns the answer.
func mapOnce(t *testing.T, p *client.Plugin, in *pluginv1.Instance) (*client.Answer, error) {
	t.Helper()
	s, err := p.Map(t.Context(), in, label)
	if err != nil {
		return nil, err
	}
	rec := rows("text", 3)
	defer rec.Release()
	if err := s.Send(rec); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := s.CloseSend(); err != nil {
		return nil, err
	}
	a, err := s.Recv()
	if err != nil {
		return nil, err
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last answer came %v", err)
	}
	return a, nil
}

func TestAPluginThatDoesNotStartSaysWhy(t *testing.T) {
	for role, c := range map[string]struct{ reason, stderr string }{
		"prints-first": {`wrote "Loading the dictionary ..." to its standard output`, "dictionary found"},
		"exits":        {"ended before it was ready (exit code 3)", "no license found"},
		"hangs":        {"was not ready within 300ms", "waiting for the moon"},
		"next-version": {"uses version 2 of the plugin protocol, but this quern uses version 1", ""},
		"faulty":       {"ended before it was ready (exit code 1)", `unknown option "mandatory"`},
	} {
		t.Run(role, func(t *testing.T) {
			cmd := command(role)
			if role == "hangs" {
				cmd.StartTimeout = 300 * time.Millisecond
			}
			_, err := client.Start(t.Context(), cmd)
			var told *client.StartError
			if !errors.As(err, &told) {
				t.Fatalf("got %v", err)
			}
			for _, want := range []string{`plugin "acme"`, c.reason, c.stderr} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %s", want, err)
				}
			}
		})
	}
}

func TestAFileThatIsNotAProgramIsAnError(t *testing.T) {
	notExecutable := filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(notExecutable, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "missing"), notExecutable} {
		_, err := client.Start(t.Context(), client.Command{Name: "acme", Path: path})
		var told *client.StartError
		if !errors.As(err, &told) || !strings.Contains(err.Error(), "can't be started") {
			t.Errorf("got %v", err)
		}
	}
}

func TestACanceledStartKillsThePlugin(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := client.Start(ctx, command("hangs"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestAnInvalidSchemaIsRefused(t *testing.T) {
	_, err := start(t, "wrong-schema").Schema(t.Context())
	var told *client.CallError
	if !errors.As(err, &told) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{`plugin "acme"`, `label "odd"`, `argument "a"`, "strnig", "schema by hand"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %s", want, err)
		}
	}
}

func TestRowsAreMapped(t *testing.T) {
	a, err := mapOnce(t, start(t, "good"), upper(""))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Rows.Release()
	if got := a.Rows.Column(0).(*array.String).Value(2); !strings.HasSuffix(got, "2!") {
		t.Errorf("got %q", got)
	}
}

func TestAnswersOfSeveralMessagesAreNotMixedUp(t *testing.T) {
	s, err := start(t, "small-messages").Map(t.Context(), upper(""), label)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 { // 20 rows take about two messages
		rec := rows("text", 20*n)
		defer rec.Release()
		if err := s.Send(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		a, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		defer a.Rows.Release()
		if a.Rows.NumRows() != int64(20*n) || len(a.Errors) > 0 {
			t.Fatalf("%d rows are answered with %d, of which %d failed", 20*n, a.Rows.NumRows(), len(a.Errors))
		}
		for i := range 20 * n {
			if got, want := a.Rows.Column(0).(*array.String).Value(i), strconv.Itoa(i%10)+"!"; !strings.HasSuffix(got, want) {
				t.Errorf("row %d of %d: got %q", i, 20*n, got)
			}
		}
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last answer came %v", err)
	}
}

func TestOutputOfARunningPluginDoesNoHarm(t *testing.T) {
	p := start(t, "good")
	if _, err := mapOnce(t, p, upper("print")); err != nil {
		t.Fatal(err)
	}
	p.Close()
	for _, want := range []string{"a line on stdout", "a line on stderr"} {
		if !slices.Contains(p.Stderr(), want) {
			t.Errorf("%q is not among %q", want, p.Stderr())
		}
	}
}

func TestACrashShowsThePluginsLastLines(t *testing.T) {
	for do, c := range map[string]struct{ how, stderr string }{
		"exit":  {"exit code 7", "out of paper"},
		"panic": {"exit code 2", "panic: the mapper is broken"},
	} {
		t.Run(do, func(t *testing.T) {
			cmd := command("good")
			cmd.StderrLines = 200
			p, err := client.Start(t.Context(), cmd)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			_, err = mapOnce(t, p, upper(do))
			var crash *client.Crash
			if !errors.As(err, &crash) {
				t.Fatalf("got %v", err)
			}
			for _, want := range []string{`plugin "acme" ended unexpectedly`, c.how, c.stderr} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %s", want, err)
				}
			}
			if !p.Exited() {
				t.Error("it does not count as exited")
			}
		})
	}
}

func TestAKilledPluginIsACrashThatNamesTheSignal(t *testing.T) {
	p := start(t, "good")
	s, err := p.Map(t.Context(), upper("wait"), label)
	if err != nil {
		t.Fatal(err)
	}
	rec := rows("text", 1)
	defer rec.Release()
	if err := s.Send(rec); err != nil {
		t.Fatal(err)
	}
	pid, _ := pids(t, p)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, err = s.Recv()
	var crash *client.Crash
	if !errors.As(err, &crash) || crash.Signal != "killed" {
		t.Fatalf("got %v", err)
	}
	if summary, detail := crash.Diagnostic(); !strings.HasSuffix(summary, "ended unexpectedly (signal: killed)") || detail != "It wrote nothing to stderr." {
		t.Errorf("got %q, %q", summary, detail)
	}
}

func TestAFailureOfTheWorkIsReportedAtItsArgument(t *testing.T) {
	_, err := mapOnce(t, start(t, "good"), upper("fail"))
	var told *client.DiagnosticError
	if !errors.As(err, &told) {
		t.Fatalf("got %v", err)
	}
	d := told.Diagnostics[0]
	if d.Argument != "text" || d.Summary != "this text is too hard" || d.Detail != "Try another." {
		t.Errorf("got %v", d)
	}
	summary, detail := told.Diagnostic()
	if summary != `plugin "`+told.Plugin+`": text: this text is too hard` || detail != "Try another." || err.Error() != summary+"\n"+detail {
		t.Errorf("got %q, %q of %q", summary, detail, err)
	}
}

func TestACanceledCallReturnsTheContextsError(t *testing.T) {
	p := start(t, "good")
	ctx, cancel := context.WithCancel(t.Context())
	s, err := p.Map(ctx, upper("wait"), label)
	if err != nil {
		t.Fatal(err)
	}
	rec := rows("text", 1)
	defer rec.Release()
	if err := s.Send(rec); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := s.Recv(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := mapOnce(t, p, upper("")); err != nil {
		t.Errorf("the plugin is of no use afterwards: %v", err)
	}
}

func TestAnInvalidAnswerIsAnError(t *testing.T) {
	p := start(t, "wrong-answers")
	for typ, want := range map[string]string{
		"no-arrow":      "decode",
		"too-few":       "answered 1 rows, but the batch has 3",
		"far-row":       "reports row 3 of 3",
		"other-columns": "declared the columns",
		"silent":        "1 batches unanswered",
	} {
		t.Run(typ, func(t *testing.T) {
			_, err := mapOnce(t, p, instance("label", typ, nil))
			var told *client.CallError
			if !errors.As(err, &told) || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestAPluginSeesACleanEnvironment(t *testing.T) {
	t.Setenv("QUERN_TEST_SECRET", "hidden")
	t.Setenv("QUERN_TEST_NAMED", "shown")
	cmd := command("good")
	cmd.Env = append(cmd.Env, "QUERN_TEST_NAMED", "QUERN_TEST_ABSENT")
	p, err := client.Start(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s, err := p.Service().Read(t.Context(), &pluginv1.ReadRequest{Instance: instance("source", "pid", nil)})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	rec, err := data.DecodeBatch(resp.GetRows())
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Release()
	all := fmt.Sprint(rec.Column(0))
	if strings.Contains(all, "hidden") || !strings.Contains(all, "QUERN_TEST_NAMED=shown") || !strings.Contains(all, "PATH=") {
		t.Errorf("got %s", all)
	}
}

// pids returns the plugin's process ID and that of a child that it starts.
func pids(t *testing.T, p *client.Plugin) (self, child int) {
	t.Helper()
	f, err := p.Service().Fingerprint(t.Context(), &pluginv1.FingerprintRequest{Instance: instance("source", "pid", nil)})
	if err != nil {
		t.Fatal(err)
	}
	return twoNumbers(t, f.Fingerprint)
}

func twoNumbers(t *testing.T, text string) (a, b int) {
	t.Helper()
	if _, err := fmt.Sscan(text, &a, &b); err != nil {
		t.Fatalf("%q: %s", text, err)
	}
	return a, b
}

// watch returns a function that reports whether a process that is not a child
// has ended.
func watch(t *testing.T, pid int) (gone func() bool) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("watch process %d: %s", pid, err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return func() bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
		return err == nil && n == 1
	}
}

func TestClosingAPluginEndsItsChildren(t *testing.T) {
	for name, end := range map[string]func(*client.Plugin){"close": (*client.Plugin).Close, "kill": (*client.Plugin).Kill} {
		t.Run(name, func(t *testing.T) {
			p := start(t, "good")
			self, child := pids(t, p)
			selfGone, childGone := watch(t, self), watch(t, child)
			end(p)
			if !selfGone() || !childGone() {
				t.Errorf("processes %d and %d are still there", self, child)
			}
		})
	}
}

func TestAPluginAndItsChildrenEndIfTheParentIsKilled(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"=parent")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	plugin, child := twoNumbers(t, line)
	defer func() { _ = syscall.Kill(child, syscall.SIGKILL) }()
	gone, childGone := watch(t, plugin), watch(t, child)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if !gone() || !childGone() {
		t.Errorf("plugin %d, or its child %d, outlived its parent", plugin, child)
	}
}

// Apart from the kernel's help, the end of stdin is what ends a plugin. On
// systems other than Linux, there is nothing else.
func TestAPluginEndsWhenItsStdinEnds(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"=good", "QUERN_PLUGIN=f2a1d5a4-5f0b-4c6e-9d1e-6f7c1f0a8b55", "PLUGIN_PROTOCOL_VERSIONS=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	gone := watch(t, cmd.Process.Pid)
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if !gone() {
		t.Error("it goes on without stdin")
	}
	_ = cmd.Wait()
}

func TestTwoPluginsOfTheSameProgramAreSeparate(t *testing.T) {
	a, b := start(t, "good"), start(t, "good")
	a.Kill()
	if _, err := mapOnce(t, b, upper("")); err != nil {
		t.Error(err)
	}
}
