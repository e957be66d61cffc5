// Package resultstest creates evaluations in a separate store, for tests of
// what displays them: one of prompts and one of classifiers, both with hostile
// texts.
package resultstest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/datatest"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/state"
)

// Hostile is an answer that tries to become part of the page that shows it.
const Hostile = "</script><script>alert(1)</script><!-- ]]> | `a` *b*\n=1+1\x1b[31m"

// Fixture is a store, and a state with the evaluations evaluate.prompts and
// evaluate.labels.
type Fixture struct {
	Store *store.Store
	State *state.State
}

// New creates both evaluations.
func New(t testing.TB) *Fixture {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), ".quern"))
	if err != nil {
		t.Fatal(err)
	}
	fixture := &Fixture{s, &state.State{Environment: "default", Instances: map[string]*state.Instance{}}}
	fixture.source(t)
	fixture.prompts(t)
	fixture.labels(t)
	return fixture
}

func (s *Fixture) add(t testing.TB, address, kind, typ string, found string, outputs map[string]artifact.Ref) *state.Instance {
	t.Helper()
	inst := &state.Instance{Address: address, Kind: kind, Type: typ, Outputs: outputs, Preimage: action.NewPreimage([]action.Field{{Name: "number confidence", Value: "0.95"}})}
	if found != "" {
		typ, err := ctyjson.ImpliedType([]byte(found))
		if err != nil {
			t.Fatal(err)
		}
		v, err := ctyjson.Unmarshal([]byte(found), typ)
		if err != nil {
			t.Fatal(err)
		}
		inst.Value = value.Store(v)
	}
	s.State.Instances[address] = inst
	return inst
}

func (s *Fixture) dataset(t testing.TB, schema data.Schema, rows ...[]any) artifact.Ref {
	t.Helper()
	w := dataset.NewWriter(s.Store.Blobs, schema)
	defer w.Abort()
	if err := w.Write(context.Background(), datatest.Rows(schema, rows...)); err != nil {
		t.Fatal(err)
	}
	m, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return s.put(t, &artifact.Artifact{Kind: artifact.Dataset, Dataset: m})
}

func (s *Fixture) put(t testing.TB, a *artifact.Artifact) artifact.Ref {
	t.Helper()
	ref, err := artifact.Put(s.Store.Blobs, a)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// report creates a report with a metrics file.
func (s *Fixture) report(t testing.TB, metrics string) artifact.Ref {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "metrics.json"), []byte(metrics), 0o644); err != nil {
		t.Fatal(err)
	}
	files, err := artifact.PutFolder(s.Store.Blobs, dir)
	if err != nil {
		t.Fatal(err)
	}
	return s.put(t, &artifact.Artifact{Kind: artifact.Report, Files: files})
}

func (s *Fixture) source(t testing.TB) {
	t.Helper()
	ref := s.dataset(t, data.Schema{{Name: "text", Type: "string"}, {Name: "team", Type: "string"}},
		[]any{"Where is my parcel?", "shipping"}, []any{"I was charged twice", "billing"},
		[]any{"It crashes </script>", "technical"}, []any{"Nobody knows", nil}, []any{"Reset my password", "account"})
	s.add(t, "source.tickets", "source", "csv", "", map[string]artifact.Ref{"": ref})
}

// from records that an instance was computed from source.tickets.
func (s *Fixture) from(t testing.TB, inst *state.Instance, key string) {
	t.Helper()
	ref := s.State.Instances["source.tickets"].Outputs[""]
	a, err := artifact.Get(s.Store.Blobs, ref)
	if err != nil {
		t.Fatal(err)
	}
	inst.ActionKey = "sha256:" + key
	inst.Preimage = action.NewPreimage(append(inst.Preimage.Fields(), action.Field{Name: "input dataset column team", Value: a.Dataset.ColumnDigest("team")}))
	entry := &action.Entry{Format: action.Format, Key: inst.ActionKey, Definition: inst.ActionKey, Address: inst.Address, Inputs: []action.InputRef{{Address: "source.tickets", Digest: ref.Digest}}, Outputs: inst.Outputs}
	if _, err := s.Store.Actions.Put(entry); err != nil {
		t.Fatal(err)
	}
}

// Prompts is the value of evaluate.prompts: made-up figures of two subjects.
const Prompts = `{
  "rows": 3,
  "subjects": {
    "short": {
      "exact":   {"value": 0.3333333333333333, "low": 0.0614919, "high": 0.7923404, "n": 3},
      "words":   {"value": 4.5, "low": 1, "high": 8, "n": 2},
      "polite":  {"value": null, "low": null, "high": null, "n": 0},
      "passed":  {"value": 0.3333333333333333, "low": 0.0614919, "high": 0.7923404, "n": 3},
      "overall": {"value": 0.4166666666666667, "low": 0, "high": 1, "n": 3},
      "cost":    {"value": 0.0012, "low": 0.001, "high": 0.0014, "n": 3, "total": 0.0036},
      "tokens":  {"value": 42, "low": 40, "high": 44, "n": 3, "total": 126},
      "latency": {"value": 0.3, "low": 0.2, "high": 0.4, "n": 3, "p50": 0.25, "p95": 1.5},
      "answers": 3, "errors": 1
    },
    "careful": {
      "exact":   {"value": 1, "low": 0.4385030, "high": 1, "n": 3},
      "words":   {"value": 1, "low": 1, "high": 1, "n": 3},
      "polite":  {"value": 0.75, "low": 0.5, "high": 1, "n": 3},
      "passed":  {"value": 1, "low": 0.4385030, "high": 1, "n": 3},
      "overall": {"value": 0.875, "low": 0.75, "high": 1, "n": 3},
      "cost":    {"value": null, "low": null, "high": null, "n": 0, "total": null},
      "tokens":  {"value": 60, "low": 60, "high": 60, "n": 3, "total": 180},
      "latency": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 3, "p50": 0.5, "p95": 0.6},
      "answers": 3, "errors": 0
    }
  },
  "differences": {
    "short - careful": {
      "exact":   {"value": -0.6666666666666666, "low": -0.9385081, "high": 0.0292, "n": 3, "p": 0.5, "p_adjusted": 1, "detectable": 0.9},
      "words":   {"value": 3.5, "low": 0, "high": 7, "n": 2, "p": 0.5, "p_adjusted": 1, "detectable": null},
      "passed":  {"value": -0.6666666666666666, "low": -0.9385081, "high": -0.01, "n": 3, "p": 0.00002, "p_adjusted": 0.00004, "detectable": 0.9}
    },
    "careful - short": {
      "exact":   {"value": 0.6666666666666666, "low": -0.0292, "high": 0.9385081, "n": 3, "p": 0.5, "p_adjusted": 1, "detectable": 0.9}
    }
  }
}`

const promptMetrics = `{
  "rows": 3, "repeats": 1, "confidence": 0.95, "order": ["short", "careful"],
  "metrics": [
    {"name": "exact", "kind": "condition", "weight": 1, "threshold": null, "share": true, "rowwise": true},
    {"name": "words", "kind": "number", "weight": 0, "threshold": null, "rowwise": true},
    {"name": "polite", "kind": "rubric", "weight": 1, "threshold": 0.5, "rubric": "The answer is polite & short.", "rowwise": true},
    {"name": "passed", "kind": "condition", "weight": 0, "threshold": null, "share": true, "rowwise": true},
    {"name": "overall", "kind": "number", "weight": 0, "threshold": null, "rowwise": true}
  ]
}`

func (s *Fixture) prompts(t testing.TB) {
	t.Helper()
	schema := data.Schema{
		{Name: "row", Type: "int64"}, {Name: "id", Type: "string"}, {Name: "subject", Type: "string"}, {Name: "draw", Type: "int64"},
		{Name: "given", Type: "string"}, {Name: "request", Type: "string"}, {Name: "text", Type: "string"}, {Name: "tool_calls", Type: "string"},
		{Name: "finish_reason", Type: "string"}, {Name: "refused", Type: "bool"}, {Name: "error", Type: "string"},
		{Name: "cost", Type: "float64"}, {Name: "input_tokens", Type: "int64"}, {Name: "output_tokens", Type: "int64"}, {Name: "latency", Type: "float64"},
		{Name: "passed", Type: "bool"}, {Name: "overall", Type: "float64"},
		{Name: "exact", Type: "float64"}, {Name: "words", Type: "float64"}, {Name: "polite", Type: "float64"}, {Name: "polite_explanation", Type: "string"},
	}
	given := func(team string) string { return `{"team":` + quoted(team) + `}` }
	asked := func(system, user string) string {
		return `{"messages":[{"role":"system","content":` + quoted(system) + `},{"role":"user","content":` + quoted(user) + `}]}`
	}
	rows := s.dataset(t, schema,
		[]any{int64(0), "T-1", "short", int64(0), given("shipping"), asked("Which team?", "Where is my parcel?"), "shipping", nil, "stop", false, nil, 0.0012, int64(40), int64(2), 0.25, true, 1.0, 1.0, 1.0, nil, nil},
		[]any{int64(0), "T-1", "careful", int64(0), given("shipping"), asked("Be careful.", "Where is my parcel?"), "shipping", nil, "stop", false, nil, nil, int64(58), int64(2), 0.5, true, 1.0, 1.0, 1.0, 1.0, "Polite."},
		[]any{int64(1), "T-2", "short", int64(0), given("billing"), asked("Which team?", "I was charged twice"), Hostile, nil, "length", false, nil, 0.0012, int64(40), int64(2), 0.2, false, 0.25, 0.0, 8.0, 0.25, "It is <b>not</b> polite."},
		[]any{int64(1), "T-2", "careful", int64(0), given("billing"), asked("Be careful.", "I was charged twice"), "billing", nil, "stop", false, nil, nil, int64(58), int64(2), 0.5, true, 0.75, 1.0, 1.0, 0.5, nil},
		[]any{int64(2), "T-3", "short", int64(0), given("technical"), asked("Which team?", "It crashes </script>"), nil, nil, nil, nil, "status 400: filtered", nil, nil, nil, nil, false, 0.0, 0.0, nil, nil, nil},
		[]any{int64(2), "T-3", "careful", int64(0), given("technical"), asked("Be careful.", "It crashes </script>"), "technical", `[{"name":"close","arguments":"{}"}]`, "stop", false, nil, nil, int64(58), int64(2), 0.5, true, 0.875, 1.0, 1.0, 0.75, nil},
	)
	s.add(t, "evaluate.prompts", "evaluate", "prompt", Prompts, map[string]artifact.Ref{"": s.report(t, promptMetrics), "rows": rows})
}

// Labels is the value of evaluate.labels.
const Labels = `{
  "scored": 4, "skipped": 1,
  "subjects": {
    "rules": {
      "accuracy": {"value": 0.5, "low": 0.1500, "high": 0.8500, "n": 4}, "macro_f1": {"value": 0.4, "low": 0.1, "high": 0.9, "n": 4},
      "weighted_f1": {"value": 0.45, "low": 0.1, "high": 0.9, "n": 4}, "coverage": {"value": 0.75, "low": 0.3006, "high": 0.9544, "n": 4}, "errors": 0,
      "classes": {"account": {"precision": 0, "recall": 0, "f1": 0, "support": 1}, "billing": {"precision": 0.5, "recall": 1, "f1": 0.6666666, "support": 1}, "shipping": {"precision": 1, "recall": 1, "f1": 1, "support": 1}, "technical": {"precision": 0, "recall": 0, "f1": 0, "support": 1}}
    },
    "student": {
      "accuracy": {"value": 0.75, "low": 0.3006, "high": 0.9544, "n": 4}, "macro_f1": {"value": 0.7, "low": 0.2, "high": 1, "n": 4},
      "weighted_f1": {"value": 0.7, "low": 0.2, "high": 1, "n": 4}, "coverage": {"value": 1, "low": 0.5101, "high": 1, "n": 4}, "errors": 0,
      "classes": {"account": {"precision": 1, "recall": 1, "f1": 1, "support": 1}, "billing": {"precision": 0.5, "recall": 1, "f1": 0.6666666, "support": 1}, "shipping": {"precision": 1, "recall": 1, "f1": 1, "support": 1}, "technical": {"precision": 0, "recall": 0, "f1": 0, "support": 1}}
    }
  }
}`

const labelMetrics = `{
  "order": ["rules", "student"],
  "metrics": [
    {"name": "accuracy", "kind": "condition", "share": true, "rowwise": true},
    {"name": "macro_f1", "kind": "", "share": true},
    {"name": "weighted_f1", "kind": "", "share": true},
    {"name": "coverage", "kind": "condition", "share": true, "rowwise": true}
  ]
}`

func (s *Fixture) labels(t testing.TB) {
	t.Helper()
	rows := s.dataset(t, data.Schema{
		{Name: "row", Type: "int64"}, {Name: "target", Type: "string"}, {Name: "rules", Type: "string"}, {Name: "student", Type: "string"}, {Name: "student_confidence", Type: "float64"},
	},
		[]any{int64(0), "shipping", "shipping", "shipping", 0.9}, []any{int64(1), "billing", "billing", "billing", 0.8},
		[]any{int64(2), "technical", nil, "billing", 0.4}, []any{int64(4), "account", "billing", "account", 0.7})
	confusion := s.dataset(t, data.Schema{{Name: "subject", Type: "string"}, {Name: "target", Type: "string"}, {Name: "predicted", Type: "string"}, {Name: "rows", Type: "int64"}},
		[]any{"rules", "account", "billing", int64(1)}, []any{"rules", "billing", "billing", int64(1)}, []any{"rules", "shipping", "shipping", int64(1)}, []any{"rules", "technical", nil, int64(1)},
		[]any{"student", "account", "account", int64(1)}, []any{"student", "billing", "billing", int64(1)}, []any{"student", "shipping", "shipping", int64(1)}, []any{"student", "technical", "billing", int64(1)})
	inst := s.add(t, "evaluate.labels", "evaluate", "classification", Labels, map[string]artifact.Ref{"": s.report(t, labelMetrics), "rows": rows, "confusion": confusion})
	s.from(t, inst, "1111111111111111111111111111111111111111111111111111111111111111")
}

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Other is an evaluation in an unknown form.
func (s *Fixture) Other(t testing.TB) *state.Instance {
	inst := s.add(t, "evaluate.other", "evaluate", "agreement", "", nil)
	inst.Value = value.Store(cty.ObjectVal(map[string]cty.Value{"alpha": cty.NumberFloatVal(0.7)}))
	return inst
}
