package expr_test

import (
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
)

func TestConditionsFailClosed(t *testing.T) {
	values := map[string]cty.Value{"evaluate": cty.ObjectVal(map[string]cty.Value{"e": cty.ObjectVal(map[string]cty.Value{
		"good": cty.NumberFloatVal(0.9), "zero": cty.Zero, "inf": cty.PositiveInfinity, "low": cty.NumberVal(cty.NegativeInfinity.AsBigFloat()),
		"none": cty.NullVal(cty.Number), "text": cty.NullVal(cty.String), "list": cty.ListVal([]cty.Value{cty.NumberIntVal(1)}),
	})})}
	scope := exprtest.Scope().Eval
	scope.Variables["evaluate"] = cty.ObjectVal(map[string]cty.Value{"e": cty.UnknownVal(values["evaluate"].GetAttr("e").Type())})
	for src, want := range map[string]expr.Verdict{
		`evaluate.e.good > 0.5`:                          {Known: true, Holds: true},
		`evaluate.e.good > 0.95`:                         {Known: true},
		`evaluate.e.good / evaluate.e.zero > 0.5`:        {Known: true, Reason: "division by zero"},
		`evaluate.e.zero % evaluate.e.zero == 0`:         {Known: true, Reason: "division by zero"},
		`evaluate.e.inf > 0.5`:                           {Known: true, Reason: "evaluate.e.inf is not a finite number"},
		`evaluate.e.low < 0.5`:                           {Known: true, Reason: "evaluate.e.low is not a finite number"},
		`1 / evaluate.e.inf < 0.5`:                       {Known: true, Reason: "evaluate.e.inf is not a finite number"},
		`evaluate.e.none >= 0.5`:                         {Known: true, Reason: "evaluate.e.none is null"},
		`!(evaluate.e.none < 0.5)`:                       {Known: true, Reason: "evaluate.e.none is null"},
		`evaluate.e.none != 0`:                           {Known: true, Reason: "evaluate.e.none is null"},
		`evaluate.e.text == "bad" ? false : true`:        {Known: true, Reason: "evaluate.e.text is null"},
		`evaluate.e.none == null`:                        {Known: true, Holds: true},
		`evaluate.e.none == null || evaluate.e.none > 1`: {Known: true, Holds: true},
		`evaluate.e.good > 0.5 && evaluate.e.none > 0.5`: {Known: true, Reason: "evaluate.e.none is null"},
		`coalesce(evaluate.e.none, 1) > 0.5`:             {Known: true, Holds: true},
		`max(evaluate.e.good, evaluate.e.none) > 0.5`:    {Known: true, Reason: "evaluate.e.none is null"},
		`alltrue([for x in evaluate.e.list : x > 0])`:    {Known: true, Holds: true},
	} {
		c, diags := expr.Compile(exprtest.Parse(src), &expr.Scope{Eval: scope}, cty.Bool)
		if diags.HasErrors() {
			t.Errorf("%s: %v", src, diags)
			continue
		}
		if got := c.Decide(values); got != want {
			t.Errorf("%s: %+v, not %+v", src, got, want)
		}
	}
	if said := (expr.Verdict{Reason: "x is null"}).Undecided(); !strings.HasSuffix(said, "so it is not met: x is null.") {
		t.Error(said)
	}
}
