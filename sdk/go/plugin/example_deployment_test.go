package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

type copyModelArgs struct {
	Model plugin.Model `quern:"model,required" doc:"The model to copy."`
	Path  string       `quern:"path,required" doc:"The file to write."`
}

// modelCopy is a deployment that copies the weights of a model to a file.
type modelCopy struct{}

// Prepare declares the attributes that expressions can refer to.
func (modelCopy) Prepare(_ context.Context, p *plugin.Prepare[copyModelArgs]) error {
	p.SetValueType(cty.Object(map[string]cty.Type{"path": cty.String, "digest": cty.String}))
	return nil
}

// Read returns nil if the file no longer exists.
func (modelCopy) Read(_ context.Context, r *plugin.DeploymentReadRequest[copyModelArgs]) (*plugin.DeploymentState, error) {
	_, err := os.Stat(r.State.Value.GetAttr("path").AsString())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return r.State, err
}

// Plan compares the state with the arguments. It changes nothing.
func (modelCopy) Plan(_ context.Context, p *plugin.DeploymentPlanRequest[copyModelArgs]) (*plugin.DeploymentPlan, error) {
	if p.Prior == nil {
		return &plugin.DeploymentPlan{Action: plugin.ActionCreate}, nil
	}
	path, deployed := p.Prior.Value.GetAttr("path").AsString(), p.Prior.Value.GetAttr("digest").AsString()
	if p.Known("path") && p.Args.Path != path {
		return &plugin.DeploymentPlan{Action: plugin.ActionReplace, Coexists: true, Changes: []plugin.DeploymentChange{
			{Argument: "path", Before: path, After: p.Args.Path, ForcesReplacement: true},
		}}, nil
	}
	digest, known := p.Digest("model")
	if known && digest == deployed {
		return &plugin.DeploymentPlan{Action: plugin.ActionNone}, nil
	}
	return &plugin.DeploymentPlan{Action: plugin.ActionUpdate, Changes: []plugin.DeploymentChange{
		{Argument: "model", Before: deployed, After: digest},
	}}, nil
}

// Apply creates or updates the file.
func (modelCopy) Apply(_ context.Context, r *plugin.DeploymentApplyRequest[copyModelArgs]) (*plugin.DeploymentState, error) {
	model := r.Model(r.Args.Model)
	path, err := model.Path("weights")
	if err != nil {
		return nil, err
	}
	weights, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(r.Args.Path, weights, 0o644); err != nil {
		return nil, plugin.ArgumentErrorf("path", "%w", err)
	}
	return &plugin.DeploymentState{Value: cty.ObjectVal(map[string]cty.Value{
		"path": cty.StringVal(r.Args.Path), "digest": cty.StringVal(model.Digest),
	})}, nil
}

// Delete succeeds if the file no longer exists.
func (modelCopy) Delete(_ context.Context, r *plugin.DeploymentDeleteRequest[copyModelArgs]) error {
	return os.RemoveAll(r.State.Value.GetAttr("path").AsString())
}

// A deployment manages something outside the store.
func ExampleNewDeployment() {
	acme := plugin.Plugin{Name: "acme", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewDeployment(plugin.Info{Kind: plugin.KindDeploy, Name: "acme_copy", BehaviorVersion: 1}, modelCopy{}),
	}}
	plugintest.Example(func(t testing.TB) {
		model := t.TempDir()
		if err := os.WriteFile(filepath.Join(model, "weights"), []byte("1 2 3"), 0o644); err != nil {
			t.Fatal(err)
		}
		d := plugintest.Deploy(t, acme, plugintest.Case{Type: "acme_copy", Args: map[string]any{
			"model": plugintest.Model{Dir: model}, "path": filepath.Join(t.TempDir(), "deployed"),
		}})
		for _, digest := range []string{"sha256:1", "sha256:1", "sha256:2"} {
			d.Digests["model"] = digest
			plan, err := d.Plan()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println(plan.Action == plugin.ActionCreate, plan.Action == plugin.ActionUpdate, plan.Changes)
			if err := d.Apply(); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Println(d.Delete())
	})
	// Output:
	// true false []
	// false false []
	// false true [{model sha256:1 sha256:2 false}]
	// <nil>
}
