package plugin

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/msgpack"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

type everything struct {
	Input    Dataset                  `quern:"input,required" doc:"Rows."`
	Base     Model                    `quern:"base"`
	Any      map[string]Artifact      `quern:"any"`
	Text     Column                   `quern:"text,required,feature" type:"string" rows_of:"input"`
	Columns  map[string]Column        `quern:"columns"`
	Subjects map[string]ColumnOrModel `quern:"subjects"`
	Mode     string                   `quern:"mode" oneof:"fast,slow" default:"\"fast\""`
	Token    string                   `quern:"token,sensitive"`
	Wait     time.Duration            `quern:"wait,operational"`
	Ratio    *float64                 `quern:"ratio"`
	Weights  map[string]float64       `quern:"weights"`
	Grid     [][]int                  `quern:"grid"`
	Extra    cty.Value                `quern:"extra"`
	Rules    []ruleBlock              `quern:"rule,block,required"`

	Own int // without a tag
}

type ruleBlock struct {
	Name string `quern:"name,label"`
	When Column `quern:"when,required" type:"bool"`
}

func TestAStructIsDescribedByItsTags(t *testing.T) {
	got, err := bodySchema(reflect.TypeFor[everything]())
	if err != nil {
		t.Fatal(err)
	}
	dataset, model, report := pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET, pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL, pluginv1.ArtifactKind_ARTIFACT_KIND_REPORT
	text := func(s string) []byte { return []byte(s) }
	want := &pluginv1.Body{
		Arguments: []*pluginv1.Argument{
			{Name: "input", Doc: "Rows.", Required: true, Accepts: []pluginv1.ArtifactKind{dataset}},
			{Name: "base", Accepts: []pluginv1.ArtifactKind{model}},
			{Name: "any", Accepts: []pluginv1.ArtifactKind{dataset, model, report}, Collection: pluginv1.Collection_COLLECTION_MAP},
			{Name: "text", Type: text(`"string"`), Required: true, PerRow: true, RowsOf: "input", Feature: true},
			{Name: "columns", Type: text(`"dynamic"`), PerRow: true, Collection: pluginv1.Collection_COLLECTION_MAP},
			{Name: "subjects", Type: text(`"dynamic"`), PerRow: true, Accepts: []pluginv1.ArtifactKind{model}, Collection: pluginv1.Collection_COLLECTION_MAP},
			{Name: "mode", Type: text(`"string"`), OneOf: []string{"fast", "slow"}, DefaultValue: text(`"fast"`)},
			{Name: "token", Type: text(`"string"`), Sensitive: true},
			{Name: "wait", Type: text(`"string"`), Operational: true},
			{Name: "ratio", Type: text(`"number"`)},
			{Name: "weights", Type: text(`["map","number"]`)},
			{Name: "grid", Type: text(`["list",["list","number"]]`)},
			{Name: "extra", Type: text(`"dynamic"`)},
		},
		Blocks: []*pluginv1.Block{{
			Name: "rule", Labels: []string{"name"}, MinItems: 1,
			Body: &pluginv1.Body{Arguments: []*pluginv1.Argument{{Name: "when", Type: text(`"bool"`), Required: true, PerRow: true}}},
		}},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestMistakesInTagsAreReportedToTheAuthor(t *testing.T) {
	for name, c := range map[string]struct {
		of   any
		want string
	}{
		"unknown option": {struct {
			A string `quern:"a,mandatory"`
		}{}, `unknown option "mandatory"`},
		"bad name": {struct {
			A string `quern:"Ä"`
		}{}, "is not a valid name"},
		"unexported": {struct {
			a string `quern:"a"`
		}{}, "must be exported"},
		"type that can't be": {struct {
			A chan int `quern:"a"`
		}{}, "cannot be an argument"},
		"default of another type": {struct {
			A int `quern:"a" default:"\"x\""`
		}{}, "default"},
		"required with a default": {struct {
			A int `quern:"a,required" default:"1"`
		}{}, "required argument cannot have a default"},
		"feature that is no column": {struct {
			A int `quern:"a,feature"`
		}{}, "only a Column"},
		"block that is no slice": {struct {
			A ruleBlock `quern:"a,block"`
		}{}, "slice of structs"},
		"taken twice": {struct {
			A int `quern:"a"`
			B int `quern:"a"`
		}{}, "another field has the name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bodySchema(reflect.TypeOf(c.of))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func config(t *testing.T, attrs map[string]cty.Value) *pluginv1.Instance {
	t.Helper()
	b, err := msgpack.Marshal(cty.ObjectVal(attrs), cty.DynamicPseudoType)
	if err != nil {
		t.Fatal(err)
	}
	return &pluginv1.Instance{Config: b, Inputs: map[string]*pluginv1.Input{"subjects.m": {}}}
}

func TestAConfigurationFillsTheStruct(t *testing.T) {
	in := config(t, map[string]cty.Value{
		"input":    cty.StringVal("input"),
		"base":     cty.NullVal(cty.String),
		"text":     cty.StringVal("text"),
		"columns":  cty.ObjectVal(map[string]cty.Value{"a": cty.StringVal("columns.a")}),
		"subjects": cty.MapVal(map[string]cty.Value{"m": cty.StringVal("subjects.m"), "c": cty.StringVal("subjects.c")}),
		"wait":     cty.StringVal("1m30s"),
		"ratio":    cty.NumberFloatVal(0.5),
		"weights":  cty.MapVal(map[string]cty.Value{"x": cty.NumberIntVal(2)}),
		"grid":     cty.TupleVal([]cty.Value{cty.ListVal([]cty.Value{cty.NumberIntVal(1), cty.NumberIntVal(2)}), cty.ListValEmpty(cty.Number)}),
		"extra":    cty.ObjectVal(map[string]cty.Value{"k": cty.True}),
		"rule": cty.TupleVal([]cty.Value{
			cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal("spam"), "when": cty.StringVal("rule.spam.when")}),
		}),
	})
	var got everything
	unknown, err := decodeConfig(in, reflect.ValueOf(&got).Elem(), false)
	if err != nil || len(unknown) > 0 {
		t.Fatal(unknown, err)
	}
	half := 0.5
	want := everything{
		Input: Dataset{"input"}, Text: Column{"text"},
		Columns:  map[string]Column{"a": {"columns.a"}},
		Subjects: map[string]ColumnOrModel{"m": {"subjects.m", true}, "c": {"subjects.c", false}},
		Mode:     "fast", Wait: 90 * time.Second, Ratio: &half,
		Weights: map[string]float64{"x": 2}, Grid: [][]int{{1, 2}, {}},
		Extra: cty.ObjectVal(map[string]cty.Value{"k": cty.True}),
		Rules: []ruleBlock{{Name: "spam", When: Column{"rule.spam.when"}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestInvalidValuesAreReportedAtTheirArgument(t *testing.T) {
	for name, c := range map[string]struct {
		attr  string
		value cty.Value
		key   string
	}{
		"no duration":         {"wait", cty.StringVal("soon"), "wait"},
		"no whole number":     {"grid", cty.TupleVal([]cty.Value{cty.TupleVal([]cty.Value{cty.NumberFloatVal(1.5)})}), "grid.0.0"},
		"a list for a number": {"ratio", cty.EmptyTupleVal, "ratio"},
		"a number for a key":  {"input", cty.NumberIntVal(1), "input"},
		"a scalar for a map":  {"weights", cty.True, "weights"},
	} {
		t.Run(name, func(t *testing.T) {
			var into everything
			_, err := decodeConfig(config(t, map[string]cty.Value{c.attr: c.value}), reflect.ValueOf(&into).Elem(), false)
			if d := diagnostic(err); d.Argument != c.key {
				t.Errorf("got %q at %q, want it at %q", d.Summary, d.Argument, c.key)
			}
		})
	}
}

func TestUnknownValuesAreZeroAndMarkedAsUnknown(t *testing.T) {
	in := config(t, map[string]cty.Value{
		"mode":    cty.UnknownVal(cty.String),
		"weights": cty.MapVal(map[string]cty.Value{"x": cty.NumberIntVal(1), "y": cty.UnknownVal(cty.Number)}),
		"rule":    cty.UnknownVal(cty.DynamicPseudoType),
	})
	var got everything
	unknown, err := decodeConfig(in, reflect.ValueOf(&got).Elem(), true)
	if err != nil {
		t.Fatal(err)
	}
	p := newPreparation(in, unknown)
	for key, want := range map[string]bool{
		"mode": false, "weights": false, "weights.x": true, "weights.y": false, "rule": false, "rule.spam.when": false,
		"token": true, "mo": true,
	} {
		if p.Known(key) != want {
			t.Errorf("Known(%q) is %v", key, p.Known(key))
		}
	}
	if got.Mode != "" || got.Weights["x"] != 1 || got.Weights["y"] != 0 || got.Rules != nil {
		t.Errorf("got %+v", got)
	}
	if _, err := decodeConfig(in, reflect.ValueOf(&got).Elem(), false); err == nil {
		t.Error("unknown values were allowed where they must not be")
	}
}

type noRows struct{}

func (noRows) Prepare(_ context.Context, p *Prepare[everything]) error {
	p.AddColumn("a", "string")
	p.AddDataset("b", nil)
	p.AddDataset("b", nil)
	return nil
}
func (noRows) Map(context.Context, *everything, *Batch) error { return nil }

func TestAFaultyPrepareIsReportedAsABugInThePlugin(t *testing.T) {
	m := NewMapper(Info{Kind: KindLabel, Name: "x"}, noRows{})
	prepared := m.prepare(t.Context(), &pluginv1.Instance{})
	if len(prepared.Diagnostics) != 1 || !strings.Contains(prepared.Diagnostics[0].Summary, "is faulty") {
		t.Errorf("got %v", prepared.Diagnostics)
	}
}

type noSuchLineage struct{ set func(*Prepare[everything]) }

func (n noSuchLineage) Prepare(_ context.Context, p *Prepare[everything]) error {
	p.AddDataset("", data.Schema{{Name: "a", Type: "string"}})
	n.set(p)
	return nil
}
func (noSuchLineage) Run(context.Context, *Run[everything]) error { return nil }

func TestALineageThatNamesNothingIsABugInThePlugin(t *testing.T) {
	for name, set := range map[string]func(*Prepare[everything]){
		"column":   func(p *Prepare[everything]) { p.SetLineage("", "b") },
		"output":   func(p *Prepare[everything]) { p.SetRowsLineage("other") },
		"input":    func(p *Prepare[everything]) { p.SetLineage("", "a", LineageSource{Input: "x", Column: "y"}) },
		"argument": func(p *Prepare[everything]) { p.SetRowsLineage("", LineageSource{Argument: "x"}) },
	} {
		prepared := NewRunner(Info{Kind: KindTransform, Name: "x"}, noSuchLineage{set}).prepare(t.Context(), &pluginv1.Instance{})
		if len(prepared.Diagnostics) != 1 || !strings.Contains(prepared.Diagnostics[0].Summary, "is faulty") {
			t.Errorf("%s: got %v", name, prepared.Diagnostics)
		}
	}
}

func FuzzDecodeConfig(f *testing.F) {
	f.Add([]byte{})
	b, err := msgpack.Marshal(cty.ObjectVal(map[string]cty.Value{"mode": cty.StringVal("fast"), "grid": cty.EmptyTupleVal}), cty.DynamicPseudoType)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var into everything
		// It must not panic, whatever a caller sends.
		_, _ = decodeConfig(&pluginv1.Instance{Config: b}, reflect.ValueOf(&into).Elem(), true)
	})
}

func TestTheNameInAnAddress(t *testing.T) {
	for address, name := range map[string]string{
		"label.intent":                      "intent",
		`label.intent["a.b"]`:               "intent",
		"label.intent[3]":                   "intent",
		`module.a["x.y"].label.intent`:      "intent",
		`module.a[0].module.b.label.c["["]`: "c",
		`module.a["\".x["].label.c`:         "c",
	} {
		if got := addressName(address); got != name {
			t.Errorf("%s: %s", address, got)
		}
	}
}
