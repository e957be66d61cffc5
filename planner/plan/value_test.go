package plan

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
)

func TestAStageValueShowsArtifactsAndPlainValues(t *testing.T) {
	columns := data.Schema{{Name: "id", Type: "int64"}}
	node := &Node{
		Kind: "evaluate", Mode: ModeRun,
		Outputs:   []Port{{Kind: KindReport}, {Name: "rows", Kind: KindDataset, Columns: columns}, {Name: "best", Kind: KindModel, Format: "f/v1"}},
		ValueType: value.Type{Type: cty.Object(map[string]cty.Type{"accuracy": cty.Number})},
	}
	names := cty.ListVal([]cty.Value{cty.StringVal("id")})
	unknown := cty.ObjectVal(map[string]cty.Value{
		"digest":   cty.UnknownVal(cty.String),
		"accuracy": cty.UnknownVal(cty.Number),
		"rows":     cty.ObjectVal(map[string]cty.Value{"digest": cty.UnknownVal(cty.String), "rows": cty.UnknownVal(cty.Number), "columns": names}),
		"best":     cty.ObjectVal(map[string]cty.Value{"digest": cty.UnknownVal(cty.String), "format": cty.StringVal("f/v1")}),
	})
	if got := StageValue(node, nil); !got.RawEquals(unknown) {
		t.Errorf("before it exists:\n%#v\nwant\n%#v", got, unknown)
	}
	known := StageValue(node, &Made{
		Outputs: map[string]Artifact{"": {Digest: "d"}, "rows": {Digest: "e", Rows: 7}, "best": {Digest: "f"}},
		Value:   cty.ObjectVal(map[string]cty.Value{"accuracy": cty.NumberFloatVal(0.5)}),
	})
	if !known.Type().Equals(unknown.Type()) {
		t.Errorf("the value's type changes once it exists: %#v", known.Type())
	}
	if got := known.GetAttr("rows").GetAttr("rows"); !got.RawEquals(cty.NumberIntVal(7)) {
		t.Errorf("rows = %#v", got)
	}
}

func TestAScopeShowsInstancesByKeyAndByNumber(t *testing.T) {
	var s Scope
	set := func(text string, v string) {
		a, err := addr.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		s.Set(a, cty.StringVal(v))
	}
	set("train.one", "x")
	set(`train.keyed["b"]`, "b")
	set(`train.keyed["a"]`, "old")
	set(`train.keyed["a"]`, "a")
	set("train.counted[1]", "second")
	set("train.counted[0]", "first")
	got := s.Vars([]string{"train.one", "train.keyed", "train.counted", "train.none"}, map[string]cty.Value{"token": cty.StringVal("t")})
	want := map[string]cty.Value{
		"train": cty.ObjectVal(map[string]cty.Value{
			"one":     cty.StringVal("x"),
			"keyed":   cty.ObjectVal(map[string]cty.Value{"a": cty.StringVal("a"), "b": cty.StringVal("b")}),
			"counted": cty.TupleVal([]cty.Value{cty.StringVal("first"), cty.StringVal("second")}),
		}),
		"var": cty.ObjectVal(map[string]cty.Value{"token": cty.StringVal("t")}),
	}
	for root, v := range want {
		if !got[root].RawEquals(v) {
			t.Errorf("%s = %#v, want %#v", root, got[root], v)
		}
	}
}

func TestExpressionsSeeStagesOfModulesUnderTheirWholeAddresses(t *testing.T) {
	var s Scope
	for i, text := range []string{"train.one", `module.a["k"].train.one`} {
		a, err := addr.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		s.Set(a, cty.NumberIntVal(int64(i)))
	}
	vars := s.Vars([]string{"train.one", `module.a["k"].train.one`}, nil)
	for ref, want := range map[string]int64{"train.one": 0, `module.a["k"].train.one`: 1} {
		e, diags := hclsyntax.ParseExpression([]byte(ref), "", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if got, diags := e.Value(&hcl.EvalContext{Variables: vars}); diags.HasErrors() || !got.RawEquals(cty.NumberIntVal(want)) {
			t.Errorf("%s is %#v: %v", ref, got, diags)
		}
	}
}

// compiled compiles an expression in which evaluate.e is not known yet and
// var.token is sensitive.
func compiled(text string, refs, secrets []string, t cty.Type) *expr.Compiled {
	return &expr.Compiled{Text: text, Refs: refs, Secrets: secrets, Type: value.Type{Type: t}}
}

func bindBody() *Body {
	t := cty.Object(map[string]cty.Type{
		"input": cty.String, "subjects": cty.Map(cty.String), "list": cty.List(cty.String), "limit": cty.Number, "header": cty.String, "absent": cty.String,
		"rule": cty.List(cty.Object(map[string]cty.Type{"name": cty.String, "when": cty.String})),
	})
	return &Body{
		Type: value.Type{Type: t},
		Args: map[string]*Arg{
			"input": {Input: &Input{Address: "source.a", Kind: KindDataset}},
			"subjects": {Map: map[string]*Arg{
				"m": {Input: &Input{Address: "train.m", Kind: KindModel, Of: "input"}},
				"r": {Row: &RowArg{Expr: &expr.Compiled{Text: "row.x", Columns: []string{"x"}, ColumnType: "string"}, Of: "input"}},
			}},
			"list":   {List: []*Arg{{Input: &Input{Address: "source.b", Kind: KindDataset}}}},
			"limit":  {Expr: compiled("evaluate.e.n + 1", []string{"evaluate.e"}, nil, cty.Number)},
			"header": {Expr: compiled(`"${evaluate.e.name}: ${var.token}"`, []string{"evaluate.e"}, []string{"token"}, cty.String)},
		},
		Blocks: []*Block{{Name: "rule", Labels: []string{"spam"}, Body: &Body{Args: map[string]*Arg{
			"name": {Value: &value.Value{Value: cty.StringVal("spam")}},
			"when": {Row: &RowArg{
				Expr:   &expr.Compiled{Text: "row.x > evaluate.e.n", Columns: []string{"x"}, Refs: []string{"evaluate.e"}, ColumnType: "bool", Type: value.Type{Type: cty.Bool}},
				Of:     "input",
				Schema: data.Schema{{Name: "x", Type: "int64"}},
			}},
		}}}},
	}
}

func TestBindGivesPluginsKeysForArtifactsAndRows(t *testing.T) {
	vars := map[string]cty.Value{
		"evaluate": cty.ObjectVal(map[string]cty.Value{"e": cty.ObjectVal(map[string]cty.Value{"n": cty.NumberIntVal(41), "name": cty.StringVal("k")})}),
		"var":      cty.ObjectVal(map[string]cty.Value{"token": cty.StringVal("secret")}),
	}
	bound, diags := bindBody().Bind(vars)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	want := cty.ObjectVal(map[string]cty.Value{
		"input":    cty.StringVal("input"),
		"subjects": cty.MapVal(map[string]cty.Value{"m": cty.StringVal("subjects.m"), "r": cty.StringVal("subjects.r")}),
		"list":     cty.ListVal([]cty.Value{cty.StringVal("list.0")}),
		"limit":    cty.NumberIntVal(42),
		"header":   cty.StringVal("k: secret"),
		"absent":   cty.NullVal(cty.String),
		"rule":     cty.TupleVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal("spam"), "when": cty.StringVal("rule.spam.when")})}),
	})
	if !bound.Config.RawEquals(want) {
		t.Errorf("config =\n%#v\nwant\n%#v", bound.Config, want)
	}
	if bound.Inputs["subjects.m"].Address != "train.m" || bound.Inputs["list.0"].Address != "source.b" || bound.Rows["rule.spam.when"] == nil {
		t.Errorf("inputs %v, rows %v", bound.Inputs, bound.Rows)
	}
	if got := bound.Rows["rule.spam.when"].Expr; got.Text != "row.x > 41" || len(got.Refs) > 0 {
		t.Errorf("the row expression was compiled to %q", got.Text)
	}
	if v := bound.Body.Args["limit"].Value; v == nil || !v.RawEquals(cty.NumberIntVal(42)) {
		t.Errorf("the resolved body has limit %+v", bound.Body.Args["limit"])
	}
	if e := bound.Body.Args["header"].Expr; e == nil || e.Text != `"k: ${var.token}"` {
		t.Errorf("the resolved body has header %+v", e)
	}
}

func TestBindLeavesUnknownWhatIsNotKnown(t *testing.T) {
	vars := map[string]cty.Value{
		"evaluate": cty.ObjectVal(map[string]cty.Value{"e": cty.ObjectVal(map[string]cty.Value{"n": cty.UnknownVal(cty.Number), "name": cty.UnknownVal(cty.String)})}),
		"var":      cty.ObjectVal(map[string]cty.Value{"token": cty.StringVal("secret")}),
	}
	bound, diags := bindBody().Bind(vars)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if v := bound.Config.GetAttr("limit"); v.IsKnown() {
		t.Errorf("limit = %#v", v)
	}
	if refs, secrets := bound.Body.Refs(); len(refs) != 1 || len(secrets) != 1 {
		t.Errorf("the resolved body waits for %v and %v", refs, secrets)
	}
}
