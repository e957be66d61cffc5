package arguments_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
)

// parse parses a command line as the command NAME does.
func parse(t *testing.T, name string, args arguments.Set, line ...string) hcl.Diagnostics {
	t.Helper()
	var diags hcl.Diagnostics
	c := &cli.Command{
		Name: name, ArgsUsage: "ARGUMENTS", Flags: args.Flags(), Writer: io.Discard, ErrWriter: io.Discard,
		Action: func(_ context.Context, c *cli.Command) error {
			diags = args.Parse(arguments.Of(c))
			return nil
		},
	}
	if err := c.Run(t.Context(), append([]string{name}, line...)); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return diags
}

func TestContradictoryFlagsAreRefused(t *testing.T) {
	for _, c := range []struct {
		args arguments.Set
		line string
		want string
	}{
		{&arguments.Plan{}, "-target=source.a -exclude=source.b", "-target and -exclude cannot be combined"},
		{&arguments.Plan{}, "-refresh-only -destroy", "-refresh-only and -destroy cannot be combined"},
		{&arguments.Plan{}, "-refresh-only -refresh=false", "-refresh-only and -refresh=false cannot be combined"},
		{&arguments.Plan{}, "-refresh-only -replace=source.a", "-refresh-only and -replace cannot be combined"},
		{&arguments.Plan{}, "-destroy -replace=source.a", "-destroy and -replace cannot be combined"},
		{&arguments.Plan{}, "-json -format=markdown", "-json and -format=markdown cannot be combined"},
		{&arguments.Plan{}, "-format=svg", `plan does not support the format "svg"`},
		{&arguments.Plan{}, "-target=texts", "Invalid -target"},
		{&arguments.Plan{}, "source.a", `Plan takes no arguments, but got "source.a"`},
		{&arguments.Apply{}, "-refresh-only -refresh=false", "-refresh-only and -refresh=false cannot be combined"},
		{&arguments.Apply{}, "-json", "-json cannot ask for approval"},
		{&arguments.Apply{}, "-target=source.a saved", "-target cannot be used with a saved plan"},
		{&arguments.Apply{}, "-exclude=source.a saved", "-exclude cannot be used with a saved plan"},
		{&arguments.Apply{}, "-replace=source.a saved", "-replace cannot be used with a saved plan"},
		{&arguments.Apply{}, "-refresh=false saved", "-refresh cannot be used with a saved plan"},
		{&arguments.Apply{}, "-refresh-only saved", "-refresh-only cannot be used with a saved plan"},
		{arguments.NewDestroy(), "-json", "-json cannot ask for approval"},
		{arguments.NewDestroy(), "-replace=deploy.a", `-replace cannot be used with "quern destroy"`},
		{arguments.NewDestroy(), "-target=deploy.a -exclude=deploy.b", "-target and -exclude cannot be combined"},
		{&arguments.Init{}, "-upgrade -lockfile=readonly", "-upgrade and -lockfile=readonly cannot be combined"},
		{&arguments.Init{}, "-lockfile=none", "-lockfile=none is not a valid mode"},
		{&arguments.Fmt{}, "- main.quern.hcl", "- and other paths cannot be combined"},
		{&arguments.Fmt{}, "-recursive -", "-recursive and - cannot be combined"},
		{&arguments.Show{}, "-failures -diff a evaluate.x b", "-failures and -diff cannot be combined"},
		{&arguments.Show{}, "-format=junit -diff a evaluate.x b", "-diff and -format=junit cannot be combined"},
		{&arguments.Show{}, "-diff a evaluate.x", "-diff needs an evaluation and two subjects"},
		{&arguments.Output{}, "-raw -json version", "-raw and -json cannot be combined"},
		{&arguments.Graph{}, "-json -format=dot", "-json and -format=dot cannot be combined"},
		{&arguments.Log{}, "-n=3 RUN", "-n cannot be used with a run"},
		{&arguments.ArtifactExport{}, "-o=rows.csv source.a out", "-o and a folder cannot be combined"},
		{&arguments.ArtifactExport{}, "-rows-per-file=3 source.a", "-rows-per-file needs -format and a folder"},
		{&arguments.ArtifactExport{}, "source.a", "quern artifact export needs a folder or a format"},
		{&arguments.ArtifactExport{}, "-format=xml source.a", `Rows cannot be exported as "xml"`},
		{&arguments.PluginNew{Languages: []string{"go"}, Kinds: func(string) []string { return []string{"label"} }}, "lable x", `Unknown kind "lable"`},
	} {
		diags := parse(t, "plan", c.args, strings.Fields(c.line)...)
		if !slices.ContainsFunc(diags, func(d *hcl.Diagnostic) bool { return strings.EqualFold(d.Summary, c.want) }) {
			t.Errorf("%T %s: got %v, want %s", c.args, c.line, diags, c.want)
		}
	}
}

func TestAllMistakesAreReported(t *testing.T) {
	diags := parse(t, "apply", &arguments.Apply{}, "-json", "-target=a", "-target=source.x", "-exclude=b", "-refresh-only", "-replace=source.c")
	if len(diags) != 5 {
		t.Errorf("got %d: %v", len(diags), diags)
	}
}

func TestFlagsThatRequestNothingContradictNothing(t *testing.T) {
	for _, c := range []struct {
		args arguments.Set
		line string
	}{
		{&arguments.Plan{}, "-refresh-only=false -refresh=false -replace=source.a"},
		{&arguments.Plan{}, "-refresh-only -refresh=true -target=source.a -out=x -detailed-exitcode"},
		{&arguments.Plan{}, "-json -format=json"},
		{&arguments.Plan{}, "-destroy -refresh=false -target=deploy.a"},
		{&arguments.Apply{}, "-json -auto-approve"},
		{&arguments.Apply{}, "-json -parallelism=2 -var=a=b -auto-approve saved"},
		{arguments.NewDestroy(), "-json -auto-approve"},
		{&arguments.Output{}, "-raw -json=false version"},
		{&arguments.Fmt{}, "-check -diff -"},
		{&arguments.ArtifactExport{}, "-format=csv -rows-per-file=3 source.a out"},
	} {
		if diags := parse(t, "plan", c.args, strings.Fields(c.line)...); diags.HasErrors() {
			t.Errorf("%T %s: %v", c.args, c.line, diags)
		}
	}
}

func TestArgumentsAreTyped(t *testing.T) {
	plan := &arguments.Plan{}
	if diags := parse(t, "plan", plan, `-target=transform.a["x"]`, "-target=source.b", "-var=a=1,2", "-var=b=3", "-lock-timeout=2m", "-parallelism=3"); diags.HasErrors() {
		t.Fatal(diags)
	}
	r := plan.Request()
	if len(r.Targets) != 2 || r.Targets[0].String() != `transform.a["x"]` || r.Targets[1].Name != "b" {
		t.Errorf("targets: %v", r.Targets)
	}
	if !r.Refresh || r.Destroy || r.RefreshOnly || r.Environment != "default" {
		t.Errorf("got %+v", r)
	}
	if got := r.Variables.Vars.Value; !slices.Contains(got, "b=3") {
		t.Errorf("variables: %q", got)
	}
	if plan.Timeout.Value != 2*time.Minute || plan.Parallelism.Value != 3 || !plan.Lock.Lock.Value || plan.Lock.Command != "plan" {
		t.Errorf("got %+v", plan.Lock)
	}
	if plan.Env.Given() || !plan.Timeout.Given() {
		t.Error("which flags were given is not known")
	}
	destroy := arguments.NewDestroy()
	if diags := parse(t, "destroy", destroy, "-auto-approve"); diags.HasErrors() || !destroy.Request().Destroy {
		t.Errorf("destroy does not destroy: %v", diags)
	}
	gc := &arguments.GC{}
	if diags := parse(t, "gc", gc); diags.HasErrors() || !gc.Lock.Lock.Value {
		t.Errorf("gc takes no lease: %v", diags)
	}
}

func TestPluginsReceiveTheirEnvironmentVariables(t *testing.T) {
	for value, want := range map[string]bool{"": false, "dev": true} {
		t.Setenv("QUERN_ENV", value)
		log := &arguments.Log{}
		if diags := parse(t, "log", log); diags.HasErrors() || log.Env.Given() != want {
			t.Errorf("QUERN_ENV=%q: given %t, %v", value, log.Env.Given(), diags)
		}
	}
}

func TestShowTakesOnlyFlagsForWhatItShows(t *testing.T) {
	for _, c := range []struct {
		what       arguments.Shown
		line       string
		form, want string
	}{
		{arguments.ShownState, "-failures x", "text", "-failures can only be used with an evaluation"},
		{arguments.ShownState, "-row=2 x", "text", "-row can only be used with a prompt"},
		{arguments.ShownState, "-format=markdown x", "", `show does not support the format "markdown"`},
		{arguments.ShownState, "-format=json x", "json", ""},
		{arguments.ShownState, "-json x", "json", ""},
		{arguments.ShownPlan, "-stage=label.x x", "text", "-stage can only be used with a prompt"},
		{arguments.ShownPlan, "-format=markdown x", "markdown", ""},
		{arguments.ShownPrompt, "-rows=2 x", "text", "-rows can only be used with an evaluation"},
		{arguments.ShownPrompt, "-row=2 -stage=label.x x", "text", ""},
		{arguments.ShownEvaluation, "-row=2 x", "text", "-row can only be used with a prompt"},
		{arguments.ShownEvaluation, "-failures -json x", "json", ""},
		{arguments.ShownEvaluation, "-json -format=csv x", "", "-json and -format=csv cannot be combined"},
	} {
		show := &arguments.Show{}
		if diags := parse(t, "show", show, strings.Fields(c.line)...); diags.HasErrors() {
			t.Fatal(diags)
		}
		form, diags := show.For(c.what)
		if form != c.form || diags.HasErrors() != (c.want != "") || c.want != "" && !strings.EqualFold(diags[0].Summary, c.want) {
			t.Errorf("%s: got %q, %v", c.line, form, diags)
		}
	}
}
