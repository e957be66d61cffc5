package tester

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/tester/mock"
)

// scope is what conditions see in addition to the names of the pipeline.
func (e *execution) scope(ctx context.Context, of hcl.Expression) *hcl.EvalContext {
	names := map[string]cty.Value{"run": e.earlier(), "plan": planValue(e.plan), "apply": applyValue(e.result)}
	for _, t := range config.Variables(of) {
		if t.RootName() == "output" {
			names["output"] = e.output()
		}
	}
	return &hcl.EvalContext{Variables: names, Functions: map[string]function.Function{
		"rows":  e.rowsFunction(ctx),
		"calls": e.callsFunction(),
	}}
}

// output is the value of output: those of the apply or, before it, as far as they are known.
func (e *execution) output() cty.Value {
	if e.result != nil {
		return cty.ObjectVal(e.outputs[e.config.Name])
	}
	values := map[string]cty.Value{}
	for name, o := range e.module.Outputs {
		values[name] = cty.DynamicVal
		if v, _, diags := e.values.Expression(o.Expr, nil); !diags.HasErrors() {
			values[name] = v
		}
	}
	return cty.ObjectVal(values)
}

// planValue is the value of plan.
func planValue(p *plan.Plan) cty.Value {
	actions, reasons, rows := map[string]cty.Value{}, map[string]cty.Value{}, map[string]cty.Value{}
	for _, n := range p.Nodes {
		actions[n.Address] = cty.StringVal(string(n.Action))
		texts := []cty.Value{}
		for _, r := range n.Reasons {
			texts = append(texts, cty.StringVal(r.Text))
		}
		reasons[n.Address] = list(texts, cty.String)
		rows[n.Address] = count(n.Estimate.Rows)
	}
	if p.Deferred != nil {
		for _, s := range p.Deferred.Stages {
			actions[s.Address] = cty.StringVal("deferred")
		}
	}
	total := p.Total()
	calls := int64(0)
	for _, n := range p.Nodes {
		if n.Estimate.Calls != nil && (n.Action == plan.Run || n.Action == plan.MayRun) {
			calls += *n.Estimate.Calls
		}
	}
	cost := cty.NullVal(cty.Number)
	if total.Money != nil && total.Change.Missing.Money == 0 && p.Deferred == nil {
		cost = cty.NumberFloatVal(*total.Money)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"actions": mapping(actions, cty.String), "reasons": mapping(reasons, cty.List(cty.String)), "rows": mapping(rows, cty.Number),
		"calls": cty.NumberIntVal(calls), "cost": cost,
	})
}

func count(n *int64) cty.Value {
	if n == nil {
		return cty.NullVal(cty.Number)
	}
	return cty.NumberIntVal(*n)
}

func list(all []cty.Value, of cty.Type) cty.Value {
	if len(all) == 0 {
		return cty.ListValEmpty(of)
	}
	return cty.ListVal(all)
}

func mapping(all map[string]cty.Value, of cty.Type) cty.Value {
	if len(all) == 0 {
		return cty.MapValEmpty(of)
	}
	return cty.MapVal(all)
}

// stageType is the type of an element of apply.stages.
var stageType = cty.Object(map[string]cty.Type{
	"action": cty.String, "status": cty.String, "rows": cty.Number, "new_rows": cty.Number, "computed_rows": cty.Number,
	"reused_rows": cty.Number, "failed_rows": cty.Number, "calls": cty.Number, "cached_calls": cty.Number, "cost": cty.Number,
})

// applyValue is the value of apply: null for a run that only plans.
func applyValue(r *runner.Result) cty.Value {
	t := cty.Object(map[string]cty.Type{"status": cty.String, "stages": cty.Map(stageType), "calls": cty.Number, "cost": cty.Number})
	if r == nil {
		return cty.UnknownVal(t)
	}
	stages := map[string]cty.Value{}
	for _, s := range r.Stages {
		stages[s.Address] = cty.ObjectVal(map[string]cty.Value{
			"action": cty.StringVal(string(s.Action)), "status": cty.StringVal(string(s.Status)), "rows": cty.NumberIntVal(s.Rows),
			"new_rows": cty.NumberIntVal(s.NewRows), "computed_rows": cty.NumberIntVal(s.ComputedRows), "reused_rows": cty.NumberIntVal(s.ReusedRows),
			"failed_rows": cty.NumberIntVal(s.FailedRows), "calls": cty.NumberIntVal(s.Spend.Calls), "cached_calls": cty.NumberIntVal(s.Spend.CachedCalls),
			"cost": cty.NumberFloatVal(s.Spend.Cost),
		})
	}
	return cty.ObjectVal(map[string]cty.Value{
		"status": cty.StringVal(string(r.Status)), "stages": mapping(stages, stageType),
		"calls": cty.NumberIntVal(r.Spend.Calls), "cost": cty.NumberFloatVal(r.Spend.Cost),
	})
}

// rowsFunction is rows(ADDRESS): the rows of a dataset, as a list of objects.
func (e *execution) rowsFunction(ctx context.Context) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "dataset", Type: cty.String}},
		Type:   function.StaticReturnType(cty.DynamicPseudoType),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if e.result == nil {
				return cty.DynamicVal, nil
			}
			schema, rows, err := e.dataset(ctx, args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			return list(rows, rowType(schema)), nil
		},
	})
}

func rowType(schema data.Schema) cty.Type {
	types := map[string]cty.Type{}
	for _, c := range schema {
		types[c.Name] = cty.DynamicPseudoType
		if t, err := data.ArrowType(c.Type); err == nil {
			types[c.Name] = expr.ValueType(t)
		}
	}
	return cty.Object(types)
}

// dataset reads a dataset of the state.
func (e *execution) dataset(ctx context.Context, name string) (data.Schema, []cty.Value, error) {
	a, err := inspect.FindArtifact(e.state, name)
	if err != nil {
		return nil, nil, fmt.Errorf("the run has not produced a dataset %q", name)
	}
	most := limit.Now().Elements
	contents, err := inspect.Open(ctx, e.store, a, most+1)
	switch {
	case err != nil:
		return nil, nil, err
	case contents.Manifest.Dataset == nil:
		return nil, nil, fmt.Errorf("%s is not a dataset", name)
	case len(contents.Rows) > most:
		return nil, nil, fmt.Errorf("%s has more than %d rows; tests use small datasets", name, most)
	}
	schema := contents.Manifest.Dataset.Schema
	rows, err := objects(contents.Rows, rowType(schema))
	return schema, rows, err
}

func objects(rows []json.RawMessage, t cty.Type) ([]cty.Value, error) {
	all := make([]cty.Value, len(rows))
	for i, text := range rows {
		var err error
		if all[i], err = ctyjson.Unmarshal(text, t); err != nil {
			return nil, fmt.Errorf("row %d: %w", i, err)
		}
	}
	return all, nil
}

// callType is the type of an element of calls(ADDRESS).
var callType = cty.Object(map[string]cty.Type{
	"request": cty.Object(map[string]cty.Type{
		"text": cty.String, "system": cty.String, "user": cty.String, "prompt": cty.String, "tools": cty.List(cty.String),
		"messages": cty.List(cty.Object(map[string]cty.Type{"role": cty.String, "content": cty.String})),
	}),
	"answer": cty.String, "tool_calls": cty.List(mock.ToolCallType),
})

// callsFunction is calls(ADDRESS): the requests to a mocked model and their answers, in
// the order of the requests.
func (e *execution) callsFunction() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "model", Type: cty.String}},
		Type:   function.StaticReturnType(cty.List(callType)),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if e.result == nil {
				return cty.UnknownVal(cty.List(callType)), nil
			}
			address := args[0].AsString()
			if !e.mocks.Has(address) {
				return cty.NilVal, function.NewArgErrorf(0, "no model %q is mocked.%s", address, diag.Suggest(address, e.mocks.Addresses()))
			}
			var all []cty.Value
			for _, c := range e.mocks.Calls(address) {
				all = append(all, cty.ObjectVal(map[string]cty.Value{"request": c.Request, "answer": c.Answer, "tool_calls": c.ToolCalls}))
			}
			return list(all, callType), nil
		},
	})
}
