package plugin

import (
	"context"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/msgpack"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// placed deploys nothing. It reports the state that it was given.
type placed struct{ prior func(*DeploymentState) }

type placedArgs struct{}

func (placed) Prepare(_ context.Context, p *Prepare[placedArgs]) error {
	p.SetValueType(cty.Object(map[string]cty.Type{"url": cty.String, "size": cty.Number}))
	return nil
}
func (placed) Read(_ context.Context, r *DeploymentReadRequest[placedArgs]) (*DeploymentState, error) {
	return r.State, nil
}
func (d placed) Plan(_ context.Context, p *DeploymentPlanRequest[placedArgs]) (*DeploymentPlan, error) {
	d.prior(p.Prior)
	return &DeploymentPlan{Action: ActionNone}, nil
}
func (placed) Apply(context.Context, *DeploymentApplyRequest[placedArgs]) (*DeploymentState, error) {
	return nil, nil
}
func (d placed) Delete(_ context.Context, r *DeploymentDeleteRequest[placedArgs]) error {
	d.prior(r.State)
	r.Warnf("something stays")
	return nil
}

// upgrading is placed with states of version 2. A state of version 1 has its
// URL under another name.
type upgrading struct{ placed }

func (upgrading) UpgradeState(_ context.Context, version int64, s *DeploymentState) (*DeploymentState, error) {
	return &DeploymentState{Value: cty.ObjectVal(map[string]cty.Value{"url": s.Value.GetAttr("address")}), Private: s.Private}, nil
}

func stateOf(t *testing.T, version int64, attrs map[string]cty.Value) *pluginv1.DeploymentState {
	t.Helper()
	b, err := msgpack.Marshal(cty.ObjectVal(attrs), cty.DynamicPseudoType)
	if err != nil {
		t.Fatal(err)
	}
	return &pluginv1.DeploymentState{Value: b, Version: version}
}

func TestAStateOfAnEarlierVersionIsUpgraded(t *testing.T) {
	var got *DeploymentState
	seen := placed{prior: func(s *DeploymentState) { got = s }}
	url := map[string]cty.Value{"url": cty.StringVal("x")}
	for name, c := range map[string]struct {
		impl    Deployment[placedArgs]
		version int64
		state   *pluginv1.DeploymentState
		want    string // a part of the error
	}{
		"an attribute more":  {seen, 0, stateOf(t, 0, url), ""},
		"an attribute less":  {seen, 0, stateOf(t, 0, map[string]cty.Value{"url": cty.StringVal("x"), "old": cty.True}), ""},
		"another type":       {seen, 0, stateOf(t, 0, map[string]cty.Value{"url": cty.EmptyObjectVal}), "raise StateVersion"},
		"an earlier version": {upgrading{seen}, 2, stateOf(t, 1, map[string]cty.Value{"address": cty.StringVal("x")}), ""},
		"no upgrade":         {seen, 2, stateOf(t, 1, url), `plugin "acme" is faulty`},
		"a later version":    {seen, 2, stateOf(t, 3, url), "newer than the plugin"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := newServer(Plugin{Name: "acme", Version: "1.0.0", Types: []Type{
				NewDeployment(Info{Kind: KindDeploy, Name: "acme_place", StateVersion: c.version}, c.impl),
			}})
			if err != nil {
				t.Fatal(err)
			}
			got = nil
			in := &pluginv1.Instance{Kind: KindDeploy, Type: "acme_place", Address: "deploy.a"}
			planned, err := s.PlanDeployment(t.Context(), &pluginv1.PlanDeploymentRequest{Instance: in, Prior: c.state})
			if err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				if len(planned.Diagnostics) != 1 || !strings.Contains(planned.Diagnostics[0].Summary+planned.Diagnostics[0].Detail, c.want) {
					t.Errorf("got %v", planned.Diagnostics)
				}
				return
			}
			if len(planned.Diagnostics) > 0 || got == nil || got.Value.GetAttr("url").AsString() != "x" || !got.Value.GetAttr("size").IsNull() {
				t.Fatalf("got %v, %+v", planned.Diagnostics, got)
			}
			if planned.Upgraded == nil || planned.Upgraded.Version != c.version {
				t.Errorf("quern is told of %v", planned.Upgraded)
			}
			deleted, err := s.DeleteDeployment(t.Context(), &pluginv1.DeleteDeploymentRequest{Instance: in, State: c.state})
			if err != nil || len(deleted.Diagnostics) != 1 || deleted.Diagnostics[0].Severity != pluginv1.Diagnostic_SEVERITY_WARNING {
				t.Errorf("got %v, %v", deleted, err)
			}
		})
	}
}

func TestRowsThatAreTooLargeForAMessageAreSentInSeveral(t *testing.T) {
	defer func(most int) { wire.MaxRows = most }(wire.MaxRows)
	wire.MaxRows = 10_000
	b := array.NewRecordBuilder(memory.DefaultAllocator, data.Schema{{Name: "text", Type: "string"}}.Arrow())
	defer b.Release()
	for range 300 {
		b.Field(0).(*array.StringBuilder).Append(strings.Repeat("x", 100))
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	rows, messages := int64(0), 0
	err := encoded(rec, func(p wire.Piece) error {
		if len(p.Rows) > wire.MaxRows {
			t.Errorf("a message has %d bytes", len(p.Rows))
		}
		part, err := data.DecodeBatch(p.Rows)
		if err != nil {
			return err
		}
		defer part.Release()
		rows, messages = rows+part.NumRows(), messages+1
		return nil
	})
	if err != nil || rows != 300 || messages < 4 {
		t.Errorf("%d rows in %d messages: %v", rows, messages, err)
	}
	wire.MaxRows = 50
	one := rec.NewSlice(0, 1)
	defer one.Release()
	if err := encoded(one, func(wire.Piece) error { return nil }); err == nil || !strings.Contains(err.Error(), "keep such content in a file") {
		t.Errorf("got %v", err)
	}
}

func TestErrorsOfTheSDKNameThePluginAndTheType(t *testing.T) {
	core := &core[placedArgs]{info: Info{Kind: KindTrain, Name: "acme_fit"}}
	core.named("acme")
	e := &execution{ctx: t.Context(), fault: core.fault}
	if _, err := e.folder("model"); err == nil || !strings.Contains(err.Error(), `plugin "acme"`) || !strings.Contains(err.Error(), `train "acme_fit"`) {
		t.Errorf("got %v", err)
	}
}
