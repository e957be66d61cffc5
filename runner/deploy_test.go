package runner_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/store/state"
)

// with gives a state one more attribute.
func with(name string, v cty.Value) func(*plugin.DeploymentState) {
	return func(s *plugin.DeploymentState) {
		attrs := maps.Clone(s.Value.AsValueMap())
		attrs[name] = v
		s.Value = cty.ObjectVal(attrs)
	}
}

func nested(levels int) cty.Value {
	v := cty.StringVal("deep")
	for range levels {
		v = cty.TupleVal([]cty.Value{v})
	}
	return v
}

// Whatever state a plugin returns of what it created or updated, the deployment is
// known afterward, and can be deleted.
func TestADeploymentWhoseStateCannotBeStoredIsRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		onState func(*plugin.DeploymentState)
		says    string
	}{
		"infinity":         {with("ratio", cty.PositiveInfinity), `in "ratio" a number is infinite`},
		"infinity inside":  {with("ratios", cty.ListVal([]cty.Value{cty.NumberIntVal(1), cty.NegativeInfinity})), `in "ratios" a number is infinite`},
		"unknown":          {with("id", cty.UnknownVal(cty.String)), `in "id" a value is unknown`},
		"too deep":         {with("tree", nested(2000)), `in "tree" the value is nested more than 1000 levels deep`},
		"too large":        {with("log", cty.StringVal(strings.Repeat("x", 5<<20))), "The largest member is log"},
		"too large notes":  {func(s *plugin.DeploymentState) { s.Private = make([]byte, 65<<20) }, "its private notes have"},
		"marked":           {with("key", cty.StringVal("x").Mark("m")), "cannot be written"},
		"no object":        {func(s *plugin.DeploymentState) { s.Value = cty.StringVal("x") }, "object required"},
		"nothing declared": {func(s *plugin.DeploymentState) { s.Value = cty.EmptyObjectVal }, "does not have the declared type"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPipeline(t)
			p.world.set("raw.txt", "alpha")
			p.world.onState = c.onState
			check := func(when string) {
				t.Helper()
				res := p.apply(lifecycle)
				inst := p.state.Instances["deploy.prod"]
				if res.Status != runner.Failed || !strings.Contains(told(res), c.says) {
					t.Errorf("%s: the run is %s: %s", when, res.Status, told(res))
				}
				if inst == nil || inst.Deployment == nil || inst.Definition != "" {
					t.Fatalf("%s: the state has %+v", when, inst)
				}
				text, err := json.Marshal(p.state)
				if err == nil {
					err = json.Unmarshal(text, &state.State{})
				}
				if err != nil {
					t.Errorf("%s: the state can't be read again: %v", when, err)
				}
			}
			check("create")
			if name == "too large notes" {
				return // which are how this plugin finds its deployments
			}
			if value := p.state.Instances["deploy.prod"].Deployment.Value.Value; value.Type().HasAttribute("place") && value.GetAttr("place").AsString() != "front" {
				t.Errorf("the state has %#v", value)
			}
			p.world.set("raw.txt", "alpha", "beta")
			check("update")
			p.mustApply(lifecycle, destroy)
			if len(p.world.shelves) != 0 {
				t.Errorf("the shelves hold %v", p.world.shelves)
			}
		})
	}
}
