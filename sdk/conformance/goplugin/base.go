package goplugin

import (
	"context"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type baseArgs struct {
	Base plugin.Model `quern:"base,required" doc:"The model."`
}

// base returns the arguments of the model block that it is given.
type base struct{}

func (base) Prepare(_ context.Context, p *plugin.Prepare[baseArgs]) error {
	p.SetValueType(cty.Object(map[string]cty.Type{"limit": cty.Number, "pin": cty.String}))
	block := p.ModelBlock(p.Args.Base)
	if block == nil || block.Type() != "conform_model" {
		p.Errorf("base", "base must be a model \"conform_model\"")
		return nil
	}
	if err := block.Decode(&modelArgs{}); err != nil {
		return err
	}
	if !block.Known("limit") {
		p.Warnf("base", "its limit is not known yet")
	}
	return nil
}

func (base) Run(_ context.Context, r *plugin.Run[baseArgs]) error {
	block, model := r.ModelBlock(r.Args.Base), &modelArgs{}
	if err := block.Decode(model); err != nil {
		return err
	}
	pin := cty.NullVal(cty.String)
	if commit, ok := block.Pins()[model.Name]; ok {
		pin = cty.StringVal(commit)
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"limit": cty.NumberIntVal(int64(model.Limit)), "pin": pin}))
	return nil
}
