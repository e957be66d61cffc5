package planner_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// testPlugins serves one plugin inside the test, over the real protocol.
type testPlugins struct {
	client  *client.Plugin
	schema  *pluginv1.GetSchemaResponse
	config  cty.Value
	digest  string
	clients int
	mu      sync.Mutex
}

// startPlugins serves the stage types of this file, which read and change the
// world.
func startPlugins(t testing.TB, w *world) *testPlugins {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	address, done, err := plugintest.Serve(ctx, plugin.Plugin{
		Name: "test", Version: "1.2.3", Config: &testConfig{}, Types: w.types(),
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	c, err := client.Attach(client.Command{Name: "test"}, address)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); <-done; cancel() }) // canceling first would stop serving twice at once
	schema, err := c.Service().GetSchema(ctx, &pluginv1.GetSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Service().Configure(ctx, &pluginv1.ConfigureRequest{}); err != nil {
		t.Fatal(err)
	}
	return &testPlugins{client: c, schema: schema, digest: "sha256:" + strings.Repeat("ab", 32)}
}

func (p *testPlugins) Type(kind, name, _ string) (*pluginv1.Type, string, error) {
	var names []string
	for _, t := range p.schema.Types {
		if t.Kind == kind && t.Name == name {
			return t, "test", nil
		}
		if t.Kind == kind {
			names = append(names, t.Name)
		}
	}
	return nil, "", fmt.Errorf("%s type %q does not exist.%s", kind, name, diag.Suggest(name, names))
}

func (p *testPlugins) ConfigSchema(string) (*pluginv1.Body, error)    { return p.schema.Config, nil }
func (p *testPlugins) Namespaces() map[string]string                  { return map[string]string{"test": "test"} }
func (p *testPlugins) Functions(string) ([]*pluginv1.Function, error) { return p.schema.Functions, nil }
func (p *testPlugins) Build(string) string                            { return "" }
func (p *testPlugins) SetEnvironment(string, []string)                {}
func (p *testPlugins) Development(string) bool                        { return false }

func (p *testPlugins) SetConfig(_ string, v cty.Value) error {
	p.config = v
	return nil
}

func (p *testPlugins) Client(context.Context, string) (*client.Plugin, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients++
	return p.client, nil
}

func (p *testPlugins) Describe() map[string]plan.Plugin {
	return map[string]plan.Plugin{"test": {Source: "builtin", Version: "1.2.3", Digest: p.digest}}
}

// world is what the test plugin's sources read and its deployments change.
type world struct {
	mu sync.Mutex
	// sources are the contents of sources by path.
	sources map[string]string
	// shelves are the digests on the shelves that exist, by place.
	shelves map[string]string
	// prepared counts how often sources were prepared.
	prepared atomic.Int64
}

func (w *world) source(path string) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	content, ok := w.sources[path]
	return content, ok
}

type testConfig struct {
	Token string `quern:"token,sensitive" doc:"A secret."`
}

func (w *world) types() []plugin.Type {
	info := func(kind, name string) plugin.Info { return plugin.Info{Kind: kind, Name: name, BehaviorVersion: 1} }
	return []plugin.Type{
		plugin.NewSource(info(plugin.KindSource, "lines"), &lines{w}),
		plugin.NewMapper(info(plugin.KindTransform, "map"), mapRows{}),
		plugin.NewRunner(info(plugin.KindTransform, "ask"), ask{}),
		plugin.NewRunner(info(plugin.KindTransform, "part"), part{}),
		plugin.NewMapper(info(plugin.KindLabel, "rules"), rules{}),
		plugin.NewRunner(info(plugin.KindTrain, "toy"), toy{}),
		plugin.NewRunner(info(plugin.KindEvaluate, "score"), score{}),
		plugin.NewRunner(info(plugin.KindEvaluate, "boast"), boast{}),
		plugin.NewRunner(info(plugin.KindEvaluate, "contest"), contest{}),
		plugin.NewRunner(info(plugin.KindEvaluate, "library"), library{}),
		plugin.NewRunner(info(plugin.KindEvaluate, "searcher"), searcher{}),
		plugin.NewProvider(info("", "talker"), talker{}),
		plugin.NewDeployment(info(plugin.KindDeploy, "shelf"), &shelf{w}),
	}
}

// lines is a source of rows with an id and a text.
type lines struct{ w *world }

type linesArgs struct {
	Path    string            `quern:"path,required,operational" doc:"Where the lines are."`
	Columns map[string]string `quern:"columns" doc:"Types of further columns."`
	Mode    string            `quern:"mode" default:"\"plain\"" oneof:"plain,fancy" doc:"How lines are read."`
}

func (s *lines) Prepare(_ context.Context, p *plugin.Prepare[linesArgs]) error {
	s.w.prepared.Add(1)
	if _, ok := s.w.source(p.Args.Path); !ok && p.Known("path") {
		p.Errorf("path", "No such file\nThere is no file %s.", p.Args.Path)
	}
	schema := data.Schema{{Name: "id", Type: "int64"}, {Name: "text", Type: "string"}, {Name: "class", Type: "string"}}
	var more []string
	for name := range p.Args.Columns {
		more = append(more, name)
	}
	slices.Sort(more)
	for _, name := range more {
		schema = append(schema, data.Column{Name: name, Type: p.Args.Columns[name]})
	}
	p.AddDataset("", schema)
	return nil
}

func (s *lines) Fingerprint(_ context.Context, a *linesArgs, _ []byte) (plugin.Fingerprint, error) {
	content, _ := s.w.source(a.Path)
	return plugin.Fingerprint{Value: content, Memo: []byte("memo"), Summary: "1 file, " + content}, nil
}

func (s *lines) Read(context.Context, *linesArgs, *plugin.RowWriter) error { return nil }

// mapRows is quern's own transform "map".
type mapRows struct{}

type mapArgs struct {
	Input   plugin.Dataset           `quern:"input,required" doc:"Rows."`
	Columns map[string]plugin.Column `quern:"columns,required" doc:"Columns by name."`
	Keep    bool                     `quern:"keep" default:"false" doc:"Keep the input's columns."`
}

func (mapRows) Prepare(_ context.Context, p *plugin.Prepare[mapArgs]) error {
	if p.Args.Keep {
		p.KeepInput("input")
	} else {
		p.SetRowsOf("input")
	}
	var names []string
	for name := range p.Args.Columns {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p.AddArgumentColumn(name, p.Args.Columns[name].Key)
	}
	return nil
}

func (mapRows) Map(context.Context, *mapArgs, *plugin.Batch) error { return nil }

// ask is a whole-dataset transform over named inputs.
type ask struct{}

type askArgs struct {
	Inputs map[string]plugin.Dataset `quern:"inputs,required" doc:"Datasets by name."`
	Query  string                    `quern:"query,required" doc:"What to ask."`
	Limit  *int64                    `quern:"limit" doc:"At most so many rows."`
}

func (ask) Prepare(_ context.Context, p *plugin.Prepare[askArgs]) error {
	for key := range p.Args.Inputs {
		p.ReadColumns("inputs."+key, "text", "class")
	}
	p.AddDataset("", data.Schema{{Name: "text", Type: "string"}, {Name: "class", Type: "string"}})
	return nil
}

func (ask) Run(context.Context, *plugin.Run[askArgs]) error { return nil }

// part produces several datasets.
type part struct{}

type partArgs struct {
	Input  plugin.Dataset     `quern:"input,required" doc:"Rows."`
	By     plugin.Column      `quern:"by,required" type:"string" doc:"What decides."`
	Shares map[string]float64 `quern:"shares,required" doc:"Shares by name."`
}

func (part) Prepare(_ context.Context, p *plugin.Prepare[partArgs]) error {
	p.ReadAll("input")
	var names []string
	for name := range p.Args.Shares {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p.AddDataset(name, p.Input("input").Schema)
	}
	return nil
}

func (part) Run(context.Context, *plugin.Run[partArgs]) error { return nil }

// rules is a row-wise labeler with blocks.
type rules struct{}

type rulesArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"Rows."`
	Rules []rule         `quern:"rule,block,required" doc:"Rules."`
}

type rule struct {
	Name  string        `quern:"name,label"`
	When  plugin.Column `quern:"when,required" type:"bool" doc:"When it holds."`
	Label plugin.Column `quern:"label,required,constant" type:"string" doc:"The label."`
}

func (rules) Prepare(_ context.Context, p *plugin.Prepare[rulesArgs]) error {
	p.KeepInput("input")
	p.AddColumn(p.Name(), "string")
	return nil
}

func (rules) Map(context.Context, *rulesArgs, *plugin.Batch) error { return nil }

// toy is a trainer.
type toy struct{}

type toyArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"Rows."`
	Text    plugin.Column  `quern:"text,required,feature" type:"string" doc:"What to learn from."`
	Target  plugin.Column  `quern:"target,required" type:"string" doc:"What to learn."`
	Epochs  int64          `quern:"epochs" default:"3" doc:"How often."`
	Device  string         `quern:"device,operational" doc:"Where."`
}

func (toy) Prepare(_ context.Context, p *plugin.Prepare[toyArgs]) error {
	p.AddModel("", "test.toy/v1", plugin.Signature{
		Inputs:  data.Schema{{Name: "text", Type: "string"}},
		Outputs: data.Schema{{Name: "label", Type: "string"}},
	})
	p.SetValueType(cty.Object(map[string]cty.Type{"loss": cty.Number}))
	seconds := 12.0
	p.SetEstimate(plugin.Estimate{Seconds: &seconds})
	return nil
}

func (toy) Run(context.Context, *plugin.Run[toyArgs]) error { return nil }

// score is an evaluation.
type score struct{}

type scoreArgs struct {
	Dataset  plugin.Dataset                  `quern:"dataset,required" doc:"Rows."`
	Subjects map[string]plugin.ColumnOrModel `quern:"subjects,required" type:"string" doc:"What is scored."`
	Target   plugin.Column                   `quern:"target,required" type:"string" doc:"What is right."`
}

func (score) Prepare(_ context.Context, p *plugin.Prepare[scoreArgs]) error {
	p.AddReport("")
	p.AddDataset("rows", data.Schema{{Name: "right", Type: "bool"}})
	p.SetValueType(cty.Object(map[string]cty.Type{"accuracy": cty.Map(cty.Number)}))
	return nil
}

func (score) Run(context.Context, *plugin.Run[scoreArgs]) error { return nil }

// shelf is a deployment.
type shelf struct{ w *world }

type shelfArgs struct {
	Artifact plugin.Artifact `quern:"artifact,required" doc:"What to put there."`
	Place    string          `quern:"place,required" doc:"Where."`
}

func (s *shelf) Prepare(_ context.Context, p *plugin.Prepare[shelfArgs]) error {
	p.SetValueType(cty.Object(map[string]cty.Type{"place": cty.String, "digest": cty.String}))
	return nil
}

func (s *shelf) Read(_ context.Context, r *plugin.DeploymentReadRequest[shelfArgs]) (*plugin.DeploymentState, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	place := r.State.Value.GetAttr("place").AsString()
	digest, ok := s.w.shelves[place]
	if !ok {
		return nil, nil
	}
	return &plugin.DeploymentState{Value: shelfValue(place, digest)}, nil
}

func shelfValue(place, digest string) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{"place": cty.StringVal(place), "digest": cty.StringVal(digest)})
}

func (s *shelf) Plan(_ context.Context, p *plugin.DeploymentPlanRequest[shelfArgs]) (*plugin.DeploymentPlan, error) {
	if p.Prior == nil {
		return &plugin.DeploymentPlan{Action: plugin.ActionCreate}, nil
	}
	place, digest := p.Prior.Value.GetAttr("place").AsString(), p.Prior.Value.GetAttr("digest").AsString()
	out := &plugin.DeploymentPlan{Action: plugin.ActionNone}
	if to, known := p.Digest("artifact"); known && to != digest {
		out.Action = plugin.ActionUpdate
		out.Changes = append(out.Changes, plugin.DeploymentChange{Argument: "artifact", Before: "the old", After: "the new"})
	}
	if place != p.Args.Place {
		out.Action, out.Coexists = plugin.ActionReplace, true
		out.Changes = append(out.Changes, plugin.DeploymentChange{Argument: "place", Before: place, After: p.Args.Place, ForcesReplacement: true})
	}
	return out, nil
}

func (s *shelf) Apply(context.Context, *plugin.DeploymentApplyRequest[shelfArgs]) (*plugin.DeploymentState, error) {
	return nil, nil
}
func (s *shelf) Delete(context.Context, *plugin.DeploymentDeleteRequest[shelfArgs]) error { return nil }
