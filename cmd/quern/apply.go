package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/garbage"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/foreign"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/progress"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/state"
)

func applyCommand(ui *terminal) *cli.Command {
	return applicationCommand(ui, &arguments.Apply{}, &cli.Command{
		Name:        "apply",
		Usage:       "compute missing results, and update deployments",
		ArgsUsage:   "[PLAN]",
		Description: "Makes a plan, shows it, and runs it once you approve. Given the file of a saved plan, runs that plan,\nprovided that nothing has changed since.\n\nThe exit code is 0 if everything is done, 1 after an error, and 3 if nothing failed, but a stage waits for something\noutside, such as a batch API. Apply again later to continue, or use -wait.",
	})
}

func destroyCommand(ui *terminal) *cli.Command {
	return applicationCommand(ui, arguments.NewDestroy(), &cli.Command{
		Name:        "destroy",
		Usage:       "delete all deployments",
		Description: "Deletes everything that apply has deployed. Artifacts stay in the store until gc removes them.",
	})
}

// applicationCommand binds apply or destroy to its arguments. With -json, even
// an error in the arguments is an event.
func applicationCommand(ui *terminal, args *arguments.Apply, c *cli.Command) *cli.Command {
	c.Flags = args.Flags()
	c.Action = func(ctx context.Context, cmd *cli.Command) error {
		a := application{ui: ui, args: args}
		return a.run(func() error {
			if err := parsed(args, cmd); err != nil {
				return err
			}
			return a.attempt(ctx)
		})
	}
	return c
}

// application is one apply or destroy.
type application struct {
	ui    *terminal
	args  *arguments.Apply
	begun bool // the stream of events has started
	again bool // an earlier pass of this command has ended with something pending
	// build makes the plan. nil means planner.Build.
	build build
}

// run executes the attempt. With -json, an error before the first event is an
// event, too.
func (a *application) run(attempt func() error) error {
	err := attempt()
	if _, said := exitCode(err); err == nil || said || a.begun || !a.args.Events.Value {
		return err
	}
	display := a.display()
	display.Event(events.Event{Time: time.Now().UTC(), Type: events.Error, Diagnostics: events.FromHCL(diagnosticsOf(err))})
	return errors.Join(err, display.Close())
}

func (a *application) attempt(ctx context.Context) error {
	a.ui.compactWarnings = a.args.CompactWarnings.Value
	ctx, stop, done := stoppable(ctx)
	defer done()
	// Before the plan is applied, there is nothing to stop gracefully.
	planning, planned := untilStopped(ctx, stop)
	defer planned()
	saved, err := a.saved()
	if err != nil {
		return err
	}
	w, err := openWorkspace(planning, a.ui, a.args.Env.Value, &a.args.Variables, saved)
	if err != nil {
		return err
	}
	defer w.close()
	if a.build != nil {
		w.build = a.build
	}
	return a.untilSettled(stop, func() error { return a.pass(ctx, planning, stop, w, saved) })
}

const (
	firstCheck = 2 * time.Second
	lastCheck  = 5 * time.Minute
)

// untilSettled calls pass again as long as it ends with something pending and
// -wait allows it, counted from the end of the first pass. In between, the command
// holds no lease.
func (a *application) untilSettled(stop <-chan struct{}, pass func() error) error {
	err := pass()
	until := time.Now().Add(a.args.Wait.Value)
	for pause := firstCheck; ; pause = min(2*pause, lastCheck) {
		left := time.Until(until)
		if code, _ := exitCode(err); code != exitPending || left <= 0 {
			return err
		}
		pause = min(pause, left)
		a.ui.notef("Checking again in %s; Ctrl-C ends the wait.\n", pause.Round(time.Second))
		select {
		case <-time.After(pause):
		case <-stop:
			return err
		}
		// What -replace requested is under way.
		a.again, a.args.Replace.Parsed = true, nil
		err = pass()
	}
}

// pass makes a plan and carries it out. planning ends at the first Ctrl-C.
func (a *application) pass(ctx, planning context.Context, stop <-chan struct{}, w *workspace, saved *plan.Plan) error {
	env := a.args.Env.Value
	lease, err := acquire(planning, a.ui, w.store, env, &a.args.Lock)
	if err != nil {
		return err
	}
	defer lease.Release()
	ended, err := use(w.store, lease)
	if err != nil {
		return err
	}
	defer ended()
	st, err := loadState(w.store, env)
	if err != nil {
		return err
	}
	if err := unexpired(st); err != nil && !a.destroys(saved) {
		return err
	}
	p, err := a.plan(planning, w, st, saved)
	if err != nil {
		return err
	}
	if a.args.Out.Given() {
		return a.savePlan(p)
	}
	if !p.HasChanges() {
		return a.nothingToDo(p)
	}
	agreed, err := a.agreed(p, stop)
	if err != nil || !agreed {
		return err
	}
	w.ctx = ctx
	return a.carryOut(ctx, stop, w, p, st, lease)
}

// saved returns the saved plan, or nil.
func (a *application) saved() (*plan.Plan, error) {
	if a.args.File == "" {
		return nil, nil
	}
	saved, err := readPlan(a.args.File)
	if err != nil {
		return nil, err
	}
	if env := a.args.Env.Value; env != saved.Environment {
		return nil, diag.Failed(fmt.Sprintf("the saved plan is for environment %q, not %q", saved.Environment, env), "Apply it with -env=%s, or make a plan for %q.", saved.Environment, env)
	}
	return saved, nil
}

// destroys reports whether the plan only deletes deployments.
func (a *application) destroys(saved *plan.Plan) bool {
	return a.args.Destroy.Value || saved != nil && saved.Destroy
}

// plan returns the saved plan, if it is still current, or a new one.
func (a *application) plan(ctx context.Context, w *workspace, st *state.State, saved *plan.Plan) (*plan.Plan, error) {
	request := a.args.Request()
	if saved != nil {
		return saved, a.ui.failed(planner.CheckFresh(ctx, saved, w.plannerOptions(request, st)))
	}
	p, err := w.plan(ctx, request, st)
	if err != nil || a.args.Events.Value || a.args.Out.Given() || a.again {
		return p, err
	}
	return p, printPlan(a.ui, p, "text")
}

// nothingToDo prints that the plan is empty. It starts no run, but readers of
// events still get a complete stream.
func (a *application) nothingToDo(p *plan.Plan) error {
	if a.args.Events.Value {
		now, display := time.Now().UTC(), a.display()
		display.Event(events.Event{Time: now, Type: events.RunStarted, Run: &events.Run{Format: events.Format, Environment: p.Environment, Destroy: p.Destroy, RefreshOnly: p.RefreshOnly}})
		display.Event(events.Event{Time: now, Type: events.RunDone, Summary: &events.Summary{Status: string(runner.Done), Actions: map[string]int{}}})
		return display.Close()
	}
	if a.args.File != "" {
		return printPlan(a.ui, p, "text")
	}
	return nil
}

// savePlan saves a plan instead of carrying it out.
func (a *application) savePlan(p *plan.Plan) error {
	out, format := a.args.Out.Value, "text"
	if a.args.Events.Value {
		format = "json"
	}
	if err := savePlan(out, p); err != nil {
		return err
	}
	err := printPlan(a.ui, p, format)
	if err == nil && !a.args.Events.Value {
		a.ui.printf("\nSaved the plan to %s. To apply exactly this plan, run:\n    quern apply -env=%s %s\n", out, p.Environment, out)
	}
	return err
}

func (a *application) agreed(p *plan.Plan, stop <-chan struct{}) (bool, error) {
	if a.args.AutoApprove.Value || a.args.File != "" {
		return true, nil
	}
	question, detail := "Do you want to perform these actions?", "quern will perform the actions described above."
	if p.RefreshOnly {
		question, detail = "Do you want to update the state?", "quern will write what it found to the state. It will change nothing else."
	}
	if p.Destroy {
		question, detail = "Do you really want to destroy all of these deployments?", "quern will delete the deployments listed above. This cannot be undone."
	}
	if !a.args.Input.Value {
		return false, &diag.Error{Summary: "the plan is not approved", Detail: "With -input=false, quern does not ask for approval. Use -auto-approve, or save a plan with -out and apply it."}
	}
	yes, err := a.ui.confirm(question, detail, stop)
	if err == nil && !yes {
		a.ui.notef("Canceled. Nothing was changed.\n")
		err = exitStatus(exitError)
	}
	return yes, err
}

func (a *application) carryOut(ctx context.Context, stop <-chan struct{}, w *workspace, p *plan.Plan, st *state.State, lease *state.Lease) error {
	display := &pausable{application: a, Display: a.display()}
	a.ui.displaying.Store(true)
	defer a.ui.displaying.Store(false)
	begun := a.ui.waiting(fmt.Sprintf("Preparing to run %s ...", english.Count(len(p.Nodes), "stage")))
	defer begun()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-lease.Lost():
			cancel()
		case <-ctx.Done():
		}
	}()
	garbage.Allow(garbage.Workspace)
	result, err := runner.Record(ctx, p, runner.Options{
		Store: w.store, State: st, Save: w.store.States().Save, Plugins: w.plugins, Functions: foreign.New(ctx, w.plugins),
		Keep:        func(run string) error { return w.store.States().Keep(p.Environment, run) },
		Parallelism: a.args.Parallelism.Value, Secrets: w.secrets(p),
		Stop: stop,
		Continue: func(ctx context.Context, p *plan.Plan) (*plan.Plan, map[string]cty.Value, error) {
			next, err := w.planRest(ctx, a.args.Request(), st, p)
			if err != nil {
				return nil, nil, err
			}
			return next, w.secrets(next), a.approveRest(next, display, stop)
		},
		Events: func(e events.Event) {
			switch e.Type {
			case events.RunStarted:
				a.startLog(w, e.Run.ID)
			case events.StageStarted:
				begun()
			}
			if e.Type != events.StageProgress {
				w.logs.Debug(string(e.Type), "address", e.Address)
			}
			display.Event(e)
		},
	}, w.store.Runs(), about(w.module))
	if closeErr := display.Close(); err == nil {
		err = closeErr
	}
	if result == nil {
		return err
	}
	return a.report(result, err)
}

// startLog writes the log to the run's own file from now on.
func (a *application) startLog(w *workspace, run string) {
	path, err := w.store.Runs().LogFile(run)
	if err == nil {
		err = w.logs.run.begin(path)
	}
	if err != nil {
		a.ui.diagnose(hcl.Diagnostics{{Severity: hcl.DiagWarning, Summary: "The run's log cannot be written", Detail: err.Error()}})
	}
}

// about returns what the history records about the origin of this run.
func about(module *config.Module) history.Run {
	commit, dirty := gitCommit()
	return history.Run{Command: commandLine(os.Args[1:], module.Variables), Commit: commit, Dirty: dirty}
}

// commandLine returns what the user typed, without the values of sensitive
// variables, which are never stored.
func commandLine(args []string, variables map[string]*config.Variable) string {
	shown := []string{"quern"}
	for _, arg := range args {
		assignment := strings.TrimPrefix(strings.TrimLeft(arg, "-"), "var=")
		name, _, given := strings.Cut(assignment, "=")
		if v := variables[strings.TrimSpace(name)]; given && v != nil && v.Sensitive {
			arg = strings.TrimSuffix(arg, assignment) + name + "=(sensitive value)"
		}
		shown = append(shown, arg)
	}
	return strings.Join(shown, " ")
}

func (a *application) display() progress.Display {
	a.begun = true
	switch {
	case a.args.Events.Value:
		return progress.JSON(a.ui.out)
	case a.ui.color(a.ui.out):
		return progress.Terminal(a.ui.out, progress.TerminalOptions{Color: true, Size: func() (int, int) { return a.ui.size(a.ui.out) }})
	}
	return progress.Plain(a.ui.out)
}

// report prints the errors and the outputs.
func (a *application) report(result *runner.Result, err error) error {
	a.ui.diagnose(result.Diagnostics)
	if err != nil {
		return err
	}
	if result.Status == runner.Done && !a.args.Events.Value && len(result.Outputs) > 0 {
		a.ui.printf("\nOutputs:\n\n%s", outputLines(result.Outputs))
	}
	switch result.Status {
	case runner.Done:
		return nil
	case runner.Pending:
		return exitStatus(exitPending)
	}
	return exitStatus(exitError)
}

// acquire takes the lease on an environment's state. With -lock=false, it takes
// none and returns nil.
func acquire(ctx context.Context, ui *terminal, s *store.Store, env string, lock *arguments.Lock) (*state.Lease, error) {
	if !lock.Lock.Value {
		ui.diagnose(hcl.Diagnostics{{
			Severity: hcl.DiagWarning, Summary: "The state is not locked",
			Detail: "With -lock=false, another command can change the environment at the same time.",
		}})
		return nil, nil
	}
	what := fmt.Sprintf("the state of environment %q", env)
	if env == state.AllEnvironments {
		what = "the store"
	}
	owner := ownerOf(lock)
	lease, err := s.States().Lock(ctx, env, owner, lock.Timeout.Value, waitingFor(ui, what))
	if err != nil {
		return nil, leaseError(what, err)
	}
	if host := owner.Host; lease.TookOver != nil {
		ui.notef("Took over the lease of a command that is no longer running: %s.\n", *lease.TookOver)
		if client.OutOfMemoryKills() > lease.TookOver.OutOfMemoryKills && lease.TookOver.Host == host {
			ui.notef("The kernel may have ended it: since it started, %s. What it had completed is kept.\n", client.OutOfMemory())
		}
	}
	return lease, nil
}

// use lets gc run at the same time as the command with a lease.
func use(s *store.Store, lease *state.Lease) (ended func(), err error) {
	if lease == nil { // without one, gc cannot know of the command
		return func() {}, nil
	}
	u, err := s.BeginUse(lease.Holder().ID)
	if err != nil {
		return nil, diag.Failed("the store cannot be used", "%w", err)
	}
	return func() { _ = u.End() }, nil // gc removes the rest
}

// ownerOf identifies this command to others that want its lease.
func ownerOf(lock *arguments.Lock) state.Owner {
	host, _ := os.Hostname()
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return state.Owner{User: name, Host: host, PID: os.Getpid(), Command: lock.Command, OutOfMemoryKills: client.OutOfMemoryKills()}
}

func waitingFor(ui *terminal, what string) func(state.Holder) {
	return func(h state.Holder) { ui.notef("Waiting for the lease on %s, held by %s.\n", what, h) }
}

// leaseError explains why there is no lease on something.
func leaseError(what string, err error) error {
	if held := (*state.Locked)(nil); errors.As(err, &held) {
		return diag.Failed(what+" is in use", "%w", err)
	}
	return diag.Failed(what+" cannot be changed", "%w", err)
}

// secrets returns the sensitive values that a plan refers to.
func (w *workspace) secrets(p *plan.Plan) map[string]cty.Value {
	values := map[string]cty.Value{}
	for _, name := range p.Secrets {
		for _, known := range []map[string]cty.Value{w.variables, w.hidden} {
			if v, ok := known[name]; ok {
				values[name] = v
			}
		}
	}
	return values
}
