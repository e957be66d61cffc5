package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// program is what the scenarios run against.
type program struct {
	Path string
	Args []string
	Env  []string
}

func (p program) command() client.Command {
	return client.Command{Name: "conform", Path: p.Path, Args: p.Args, Env: p.Env, StartTimeout: time.Minute}
}

// runner runs scenarios against a program. Those that need no process of their
// own share one.
type runner struct {
	program program
	shared  *client.Plugin

	plugin *client.Plugin
	schema *pluginv1.GetSchemaResponse
	// folder is the scenario's.
	folder string
}

func (r *runner) close() {
	if r.shared != nil {
		r.shared.Close()
	}
}

// run runs a scenario. An error says what was not as expected.
func (r *runner) run(ctx context.Context, s Scenario) (err error) {
	// Short, because the path of a socket is.
	if r.folder, err = os.MkdirTemp("", "conform-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.folder)
	for name, content := range s.Files {
		path := filepath.Join(r.folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	if s.End == "stdin" || s.End == "by hand" {
		return r.alone(ctx, s)
	}
	own := s.Configuration != nil || s.End != ""
	if err := r.start(ctx, s, own); err != nil {
		return err
	}
	if own {
		defer r.plugin.Kill()
	}
	if err := r.steps(ctx, s.Steps); err != nil {
		return err
	}
	return r.end(s.End)
}

func (r *runner) steps(ctx context.Context, steps []Step) error {
	for i, step := range steps {
		if err := r.step(ctx, step); err != nil {
			return fmt.Errorf("step %d, %s: %w", i+1, step.Call, err)
		}
	}
	return nil
}

// start starts a process for a scenario and configures it, or takes the shared
// one.
func (r *runner) start(ctx context.Context, s Scenario, own bool) (err error) {
	if !own && r.shared != nil && !r.shared.Exited() {
		r.plugin = r.shared
		return nil
	}
	if r.plugin, err = client.Start(ctx, r.program.command()); err != nil {
		return err
	}
	if !own {
		r.shared = r.plugin
	}
	return r.configure(ctx, s.Configuration)
}

func (r *runner) configure(ctx context.Context, configuration map[string]any) (err error) {
	if r.schema, err = r.plugin.Schema(ctx); err != nil {
		return err
	}
	if given, ok := configuration["config"]; ok && given == nil {
		return nil // a step configures it
	}
	return r.step(ctx, Step{Call: "Configure", Request: map[string]any{"config": configuration, "root": r.folder}, Expect: map[string]any{"diagnostics": nil}})
}

// end ends the process as a scenario says.
func (r *runner) end(how string) error {
	if how != "shutdown" {
		return nil
	}
	began := time.Now()
	r.plugin.Close()
	// quern kills it after 2 seconds.
	if took := time.Since(began); took >= 2*time.Second {
		return fmt.Errorf("it did not end within 2 seconds of Shutdown")
	}
	return nil
}

// step makes a call and compares what it answers with what is expected.
func (r *runner) step(ctx context.Context, s Step) error {
	do, ok := calls[s.Call]
	if !ok {
		return fmt.Errorf("there is no such call")
	}
	within := time.Minute
	if s.Within > 0 {
		within = time.Duration(s.Within * float64(time.Second))
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	host, done, err := r.host(s)
	if err != nil {
		return err
	}
	failed := make(chan error)
	times := max(1, s.Parallel)
	for range times {
		go func() { failed <- r.once(ctx, s, do, host, cancel) }()
	}
	for range times {
		err = errors.Join(err, <-failed)
	}
	err = errors.Join(err, done())
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("it took longer than %s", within)
	}
	if err != nil {
		return err
	}
	return r.checkFiles(s.Files)
}

// once makes a step's call once.
func (r *runner) once(ctx context.Context, s Step, do call, host client.HostAddress, cancel func()) error {
	result := newResult()
	defer result.release()
	if err := matchStatus(s.Status, do(ctx, r.exchange(s, result, host, cancel))); err != nil {
		return err
	}
	if err := result.end(); err != nil {
		return err
	}
	if s.Expect == nil {
		return nil
	}
	return match(r.placed(s.Expect), any(result.tree), "the answer")
}

// matchStatus compares the status that a call ended with.
func matchStatus(want string, err error) error {
	got := "OK"
	var failed *client.CallError
	var crash *client.Crash
	switch {
	case errors.As(err, &failed):
		got = statusName(failed.Code)
	case errors.As(err, &crash):
		got = fmt.Sprintf("crash: exit code %d", crash.ExitCode)
	case errors.Is(err, context.Canceled):
		got = "CANCELLED"
	case err != nil:
		return err
	}
	if want == "" {
		want = "OK"
	}
	switch {
	case got == want:
		return nil
	case err == nil:
		return fmt.Errorf("the status is %s, want %s", got, want)
	}
	return fmt.Errorf("the status is %s, want %s: %w", got, want, err)
}

// statusName is a status as gRPC writes it: NOT_FOUND, not NotFound.
func statusName(c codes.Code) string {
	if c == codes.Canceled {
		return "CANCELLED"
	}
	return strings.ToUpper(capitals.ReplaceAllString(c.String(), "${1}_$2"))
}

var capitals = regexp.MustCompile(`([a-z])([A-Z])`)

// exchange prepares a step's call.
func (r *runner) exchange(s Step, result *result, host client.HostAddress, cancel func()) *exchange {
	requests := s.Requests
	if requests == nil {
		requests = []map[string]any{s.Request}
	}
	name := r.callName(s)
	x := &exchange{service: r.plugin.Service()}
	x.request = func(i int, m proto.Message) (bool, error) {
		if i >= len(requests) {
			return false, nil
		}
		if err := r.fill(m, r.placed(requests[i]).(map[string]any)); err != nil {
			return false, err
		}
		result.sending(r, m)
		setHost(m, host, i)
		if q, ok := m.(*pluginv1.RunRequest); ok && name != "" {
			q.Call = name
		}
		return true, nil
	}
	acted := false
	x.received = func(m proto.Message) error {
		if !acted {
			acted = true
			if err := r.act(s.After, name, cancel); err != nil {
				return err
			}
		}
		return result.take(m)
	}
	return x
}

// callName is the name of a Run call, which Stop needs.
func (r *runner) callName(s Step) string {
	if s.After != "stop" {
		return ""
	}
	return filepath.Base(r.folder)
}

func (r *runner) act(what, call string, cancel func()) error {
	switch what {
	case "stop":
		_, err := r.plugin.Service().Stop(context.Background(), &pluginv1.StopRequest{Call: call})
		return err
	case "cancel":
		cancel()
	}
	return nil
}

// sending notes what the answer of a request must be like.
func (r *result) sending(run *runner, m proto.Message) {
	switch m := m.(type) {
	case *pluginv1.MapRequest:
		if in := m.GetStart(); in != nil {
			r.flat = run.typeOf(in.GetKind(), in.GetType()).GetMode() == pluginv1.Mode_MODE_FLAT_MAP
			return
		}
		r.sendingRows(m.GetRows())
	case *pluginv1.PredictRequest:
		if m.GetStart() == nil {
			r.sendingRows(m.GetRows())
		}
	}
}

// placed replaces ${folder} by the scenario's folder.
func (r *runner) placed(v any) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "${folder}", r.folder)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = r.placed(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, e := range v {
			out[name] = r.placed(e)
		}
		return out
	}
	return v
}

// checkFiles compares files of the scenario's folder. What a canceled call
// writes can come a little later.
func (r *runner) checkFiles(want map[string]any) (err error) {
	for name, content := range want {
		for range 100 {
			var got any
			if b, readErr := os.ReadFile(filepath.Join(r.folder, name)); readErr == nil {
				got = string(b)
			}
			if err = match([]any{content}, []any{got}, "file "+name); err == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
