package plugin_test

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

func TestASourceReturnsRowsAndSetsOthersAside(t *testing.T) {
	got, err := plugintest.Read(t, sample(), plugintest.Case{
		Type: "sample_numbers", Args: map[string]any{"upto": 4, "bad": 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []any{"i", "ii", "iiii"}; !reflect.DeepEqual(got.Column("word"), want) {
		t.Errorf("got %v, want %v", got.Column("word"), want)
	}
	if want := []plugintest.Quarantined{{Origin: "line 3", Content: "3 \uFFFD", Error: "bad number"}}; !reflect.DeepEqual(got.Quarantined, want) {
		t.Errorf("got %v, want %v", got.Quarantined, want)
	}
	if got.Fingerprint.Summary != "4 numbers" {
		t.Errorf("got summary %q", got.Fingerprint.Summary)
	}
}

func TestAMistakeIsReportedAtItsArgument(t *testing.T) {
	got, err := plugintest.Prepare(t, sample(), plugintest.Case{
		Type: "sample_numbers", Args: map[string]any{"upto": -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []plugintest.Problem{{Argument: "upto", Text: "must not be negative\nIt is -1."}}
	if !reflect.DeepEqual(got.Errors, want) {
		t.Errorf("got %v, want %v", got.Errors, want)
	}
}

func TestUnknownArgumentsAreZeroInPrepareAndRefusedLater(t *testing.T) {
	c := plugintest.Case{Type: "sample_numbers", Args: map[string]any{"upto": plugintest.Unknown{}}}
	got, err := plugintest.Prepare(t, sample(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Errors) > 0 || len(got.Outputs) != 1 {
		t.Errorf("got %+v", got)
	}
	if _, err := plugintest.Read(t, sample(), c); err == nil || !strings.Contains(err.Error(), `"upto" is not known`) {
		t.Errorf("got error %v", err)
	}
}

func TestAMapperKeepsTheInputAndLeavesFailedRowsEmpty(t *testing.T) {
	got, err := plugintest.Map(t, sample(), plugintest.Case{
		Type: "sample_length",
		Args: map[string]any{
			"text": plugintest.Row("body"), "limit": 5,
			"rule": []map[string]any{{"name": "loud", "when": plugintest.Row("loud"), "add": 2}},
		},
		Rows: []map[string]any{
			{"body": "a", "loud": false}, {"body": nil, "loud": true}, {"body": "abcdef", "loud": nil},
			{"body": "abc", "loud": true}, {"body": "", "loud": false}, {"body": "ä", "loud": false}, {"body": "zz", "loud": nil},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []any{int64(1), nil, nil, int64(5), int64(0), int64(2), int64(2)}
	if !reflect.DeepEqual(got.Column("test"), want) {
		t.Errorf("got %v, want %v", got.Column("test"), want)
	}
	if want := (plugintest.Failures{2: "6 bytes are too many"}); !reflect.DeepEqual(got.Failures, want) {
		t.Errorf("got %v, want %v", got.Failures, want)
	}
	if names := got.Columns.Names(); !reflect.DeepEqual(names, []string{"body", "loud", "test"}) {
		t.Errorf("got columns %v", names)
	}
}

func TestAMapperWithoutRowsAnswersNone(t *testing.T) {
	got, err := plugintest.Map(t, sample(), plugintest.Case{
		Type: "sample_length", Args: map[string]any{"text": plugintest.Row("body")},
		Rows: []map[string]any{}, Columns: data.Schema{{Name: "body", Type: "string"}},
	})
	if err != nil || len(got.Rows) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestArraysPassThroughAMapperUntouched(t *testing.T) {
	got, err := plugintest.Map(t, sample(), plugintest.Case{
		Type: "sample_copy",
		Args: map[string]any{"columns": map[string]any{"tags": plugintest.Row("tags"), "n2": plugintest.Row("n")}},
		Rows: []map[string]any{{"n": 1, "tags": []string{"a", "b"}}, {"n": nil, "tags": nil}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []any{int64(1), nil}; !reflect.DeepEqual(got.Column("n_copy"), want) || !reflect.DeepEqual(got.Column("n2_copy"), want) {
		t.Errorf("got %v and %v, want %v", got.Column("n_copy"), got.Column("n2_copy"), want)
	}
	if !reflect.DeepEqual(got.Column("tags"), got.Column("tags_copy")) {
		t.Errorf("got %v, want %v", got.Column("tags_copy"), got.Column("tags"))
	}
	if hasColumn(got.Columns, "n") {
		t.Error("column n was dropped and is there")
	}
}

func TestAnArgumentDoesNotHideAColumnWithItsName(t *testing.T) {
	got, err := plugintest.Map(t, sample(), plugintest.Case{
		Type: "sample_twins",
		Args: map[string]any{"text": plugintest.Computed{Type: "string", Func: func(row map[string]any) any { return strings.ToLower(row["title"].(string)) }}},
		Rows: []map[string]any{{"title": "TITLE", "text": "the text"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	row := got.Rows[0]
	if row["text"] != "the text" || row["of_column"] != "the text" || row["of_argument"] != "title" {
		t.Errorf("%v", row)
	}
}

func TestATrainedModelPredictsForAnEvaluator(t *testing.T) {
	rows := []map[string]any{{"x": 1.0, "y": 2.0}, {"x": 2.0, "y": 4.0}, {"x": 3.0, "y": 6.0}}
	trained, err := plugintest.Run(t, sample(), plugintest.Case{
		Type: "sample_mean", Args: map[string]any{"x": plugintest.Row("x"), "y": plugintest.Row("y")}, Rows: rows,
	})
	if err != nil {
		t.Fatal(err)
	}
	if m, _ := trained.Value.GetAttr("mean").AsBigFloat().Float64(); m != 4 {
		t.Errorf("got mean %g", m)
	}
	if got := trained.Datasets["seen"].Column("y"); !reflect.DeepEqual(got, []any{2.0, 4.0, 6.0}) {
		t.Errorf("got %v", got)
	}
	model := trained.Models[""]
	predicted, err := plugintest.Predict(t, sample(), model, []map[string]any{{"x": 7.0}, {"x": nil}})
	if err != nil {
		t.Fatal(err)
	}
	if got := predicted.Column("y"); got[0] != 4.0 || predicted.Failures[1] != "no x" {
		t.Errorf("got %v and failures %v", got, predicted.Failures)
	}
	model.Features = map[string]plugintest.Row{"x": "x"}
	evaluated, err := plugintest.Run(t, sample(), plugintest.Case{
		Type: "sample_error", Rows: rows,
		Args: map[string]any{
			"target":   plugintest.Row("y"),
			"subjects": map[string]any{"mean": model, "x": plugintest.Row("x")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	errs := evaluated.Value.GetAttr("errors").AsValueMap()
	m, _ := errs["mean"].AsBigFloat().Float64()
	x, _ := errs["x"].AsBigFloat().Float64()
	if m != 4.0/3 || x != 2 {
		t.Errorf("got errors %g and %g", m, x)
	}
}

func TestTheLifeOfADeployment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deployed")
	args := map[string]any{
		"artifact": plugintest.Dataset{Rows: []map[string]any{{"a": 1}}},
		"path":     path,
	}
	d := plugintest.Deploy(t, sample(), plugintest.Case{Type: "sample_file", Args: args})
	d.Digests["artifact"] = "sha256:1"
	expect := func(want plugin.DeploymentAction) {
		t.Helper()
		got, err := d.Plan()
		if err != nil || got.Action != want {
			t.Fatalf("got %v, %v, want action %d", got, err, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	expect(plugin.ActionCreate)
	must(d.Apply())
	expect(plugin.ActionNone)
	d.Digests["artifact"] = "sha256:2"
	expect(plugin.ActionUpdate)
	must(d.Apply())
	must(d.Read())
	if got := d.Value().GetAttr("path").AsString(); got != path {
		t.Errorf("got path %q", got)
	}
	args["path"] = path + "2"
	expect(plugin.ActionReplace)
	must(d.Delete())
	must(d.Delete())
	must(d.Read())
	expect(plugin.ActionCreate)
}

func TestAPluginsOwnBlockReachesIt(t *testing.T) {
	c := plugintest.Case{Type: "sample_numbers", Args: map[string]any{"upto": 1}, Config: map[string]any{"greeting": "hi"}}
	if _, err := plugintest.Read(t, sample(), c); err != nil {
		t.Fatal(err)
	}
}

func TestAFaultyMapperIsDistinguishedFromAFaultyConfiguration(t *testing.T) {
	c := plugintest.Case{
		Type: "sample_copy", Name: "faulty",
		Args: map[string]any{"columns": map[string]any{"a": plugintest.Row("n")}}, Rows: []map[string]any{{"n": 1}},
	}
	_, err := plugintest.Map(t, sample(), c)
	var told *client.DiagnosticError
	if !errors.As(err, &told) || !strings.Contains(err.Error(), `column "undeclared" was not declared`) {
		t.Errorf("got %v", err)
	}
}

func hasColumn(s data.Schema, name string) bool {
	_, _, ok := s.Lookup(name)
	return ok
}
