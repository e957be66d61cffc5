package runner_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// bulky makes values of a size.
type bulky struct{}

type bulkyArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"Rows."`
	Words int            `quern:"words,required" doc:"How many words of 1 KiB the values have."`
}

func (bulky) Prepare(_ context.Context, p *plugin.Prepare[bulkyArgs]) error {
	p.AddReport("")
	p.SetValueType(cty.Object(map[string]cty.Type{"small": cty.Number, "tables": cty.Map(cty.Map(cty.String))}))
	return nil
}

func (bulky) Run(_ context.Context, r *plugin.Run[bulkyArgs]) error {
	if _, err := r.Folder(""); err != nil {
		return err
	}
	words := map[string]cty.Value{}
	for i := range r.Args.Words {
		words[fmt.Sprint(i)] = cty.StringVal(strings.Repeat("x", 1<<10))
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{
		"small": cty.Zero,
		"tables": cty.MapVal(map[string]cty.Value{
			"ann": cty.MapVal(words), "bob": cty.MapVal(map[string]cty.Value{"0": cty.StringVal("x")}),
		}),
	}))
	return nil
}

func TestValuesThatAreTooLargeAreRefused(t *testing.T) {
	w := newWorld()
	w.set("raw.txt", "alpha")
	p := newPipeline(t, append(w.types(), plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "bulky", BehaviorVersion: 1}, bulky{}))...)
	src := `
source "lines" "raw" {
  path = "raw.txt"
}
evaluate "bulky" "tables" {
  input = source.raw
  words = %d
}
`
	p.mustApply(fmt.Sprintf(src, 3900))
	res := p.apply(fmt.Sprintf(src, 5000))
	if res.Status != runner.Failed || !strings.Contains(told(res), `The largest member is tables["ann"], with 4.9 MiB`) {
		t.Errorf("the run is %s: %s", res.Status, told(res))
	}
}
