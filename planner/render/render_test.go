package render

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
)

var update = flag.Bool("update", false, "write what plans look like now into testdata")

func pointer[T any](v T) *T { return &v }

// sample is a plan with one of everything.
func sample() *plan.Plan {
	return &plan.Plan{
		Format: plan.Format, QuernVersion: "0.1.0", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Environment: "dev", State: plan.StateRef{Lineage: "abc", Serial: 7},
		Plugins: map[string]plan.Plugin{"builtin": {Source: "builtin", Version: "0.1.0", Digest: "sha256:00"}},
		Nodes: []*plan.Node{
			{Address: "source.tickets", Kind: "source", Type: "csv", Mode: plan.ModeRead, Action: plan.Run, Reasons: []plan.Reason{{Code: "source", Text: "the source changed: 2 files, 10,103 rows"}}},
			{Address: `transform.clean["a|b"]`, Kind: "transform", Type: "sql", Mode: plan.ModeRun, Action: plan.Run, DependsOn: []string{"source.tickets"},
				Reasons: []plan.Reason{{Code: "argument", Subject: "query", Text: "query changed",
					Before: "select distinct text\nfrom tickets\nwhere length(text) > 10\norder by text", After: "select text\nfrom tickets\nwhere length(text) > 10\norder by text limit 5"}},
				Estimate: plan.Estimate{Rows: pointer(int64(10103)), Seconds: pointer(1.25)}},
			{Address: "label.intent", Kind: "label", Type: "llm", Mode: plan.ModeMap, Action: plan.Run, DependsOn: []string{`transform.clean["a|b"]`},
				Reasons: []plan.Reason{
					{Code: "column", Subject: "input.text", Text: "column text of input changed"},
					{Code: "column", Subject: "input.id", Text: "column id of input changed"},
					{Code: "behaviour", Before: "1", After: "2", Text: "the plugin gives different results since behavior version 2 (was 1)"},
				},
				Estimate: plan.Estimate{Rows: pointer(int64(10103)), NewRows: pointer(int64(100)), InputTokens: pointer(int64(52000)), OutputTokens: pointer(int64(900)), Money: pointer(1.5)}},
			{Address: "train.student", Kind: "train", Type: "linear", Mode: plan.ModeRun, Action: plan.MayRun, DependsOn: []string{"label.intent"},
				Reasons: []plan.Reason{{Code: "upstream", Subject: "label.intent", Text: "waits for label.intent"}}, Estimate: plan.Estimate{Seconds: pointer(90.0)}},
			{Address: "train.other", Kind: "train", Type: "linear", Mode: plan.ModeRun, Action: plan.Reuse, Reasons: []plan.Reason{
				{Code: "argument", Subject: "epochs", Before: "3", After: "5", Text: "epochs changed"}, {Code: "reuse", Text: "its result is already in the store"}}},
			{Address: "evaluate.old", Kind: "evaluate", Type: "classification", Mode: plan.ModeRun, Action: plan.Keep},
			{Address: "gate.ship", Kind: "gate", Action: plan.Check, DependsOn: []string{"evaluate.old"}, Reasons: []plan.Reason{{Code: "condition", Text: "condition is not met: Too low.\nSee the report."}}},
			{Address: "deploy.prod", Kind: "deploy", Type: "directory", Mode: plan.ModeDeploy, Action: plan.Replace, DependsOn: []string{"gate.ship", "train.student"},
				Changes: []plan.Change{{Argument: "path", Before: "a", After: "b", ForcesReplacement: true}}, Reasons: []plan.Reason{{Code: "depends", Subject: "gate.ship", Text: "only if gate.ship passes"}}},
			{Address: "deploy.gone", Kind: "deploy", Type: "directory", Mode: plan.ModeDeploy, Action: plan.Delete, Reasons: []plan.Reason{{Code: "removed", Text: "is no longer in the configuration"}}},
		},
		Outputs: []*plan.Output{
			{Name: "accuracy", Action: plan.Update, Before: &value.Value{Value: cty.NumberFloatVal(0.5)}, Expr: &expr.Compiled{Text: "0.75"}},
			{Name: "gone", Action: plan.Delete, Before: &value.Value{Value: cty.True}},
			{Name: "place", Action: plan.MayRun, Expr: &expr.Compiled{Text: "deploy.prod.path", Refs: []string{"deploy.prod"}}},
			{Name: "same", Action: plan.Keep, Expr: &expr.Compiled{Text: "1"}},
			{Name: "token", Action: plan.Create, Sensitive: true, Expr: &expr.Compiled{Text: "var.token", Secrets: []string{"token"}}},
		},
		Secrets: []string{"token"},
	}
}

func TestAPlanIsShownInEveryForm(t *testing.T) {
	explanation := plan.Explanation{
		Address: "train.student", Action: plan.Run, Before: "sha256:00", After: "sha256:11",
		Reasons: []plan.Reason{{Code: "argument", Subject: "epochs", Before: "3", After: "5", Text: "epochs changed"}},
		Fields: []plan.FieldChange{
			{Name: "type", Before: "train linear", After: "train linear"},
			{Name: "number epochs", Before: "3", After: "5", Changed: true},
			{Name: "argument new", After: "x", Changed: true},
			{Name: "argument old", Before: "y", Changed: true},
		},
	}
	for name, write := range map[string]func(io.Writer) error{
		"plan.txt":         func(w io.Writer) error { return Text(w, sample(), Options{}) },
		"plan.verbose.txt": func(w io.Writer) error { return Text(w, sample(), Options{Verbose: true}) },
		"plan.color.txt":   func(w io.Writer) error { return Text(w, sample(), Options{Color: true}) },
		"plan.json":        func(w io.Writer) error { return JSON(w, sample()) },
		"plan.md":          func(w io.Writer) error { return Markdown(w, sample()) },
		"plan.dot":         func(w io.Writer) error { return DOT(w, sample()) },
		"plan.mmd":         func(w io.Writer) error { return Mermaid(w, sample()) },
		"why.txt":          func(w io.Writer) error { return Why(w, explanation, Options{}) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
			}
		})
	}
}

func TestNothingToDoIsReportedInOneLine(t *testing.T) {
	p := &plan.Plan{Environment: "dev", Nodes: []*plan.Node{{Address: "source.a", Action: plan.Keep}}}
	var b bytes.Buffer
	if err := Text(&b, p, Options{}); err != nil {
		t.Fatal(err)
	}
	if want := "No changes. The environment matches the configuration: 1 stage is up to date.\n"; b.String() != want {
		t.Errorf("got %q", b.String())
	}
}

func TestADifferenceIsShownWordByWord(t *testing.T) {
	long := strings.Repeat("a ", 200)
	for name, c := range map[string]struct{ before, after, want string }{
		"a word":          {"one two three", "one 2 three", "one [-two-]{+2+} three"},
		"all of it":       {"one", "two", "[-one-]{+two+}"},
		"put in":          {"", "new", "{+new+}"},
		"far lines":       {"a\nb\nc\nd\ne\nf", "a\nb\nc\nd\ne\ng", "…|e|[-f-]{+g+}"},
		"a line more":     {"a\nb", "a\nx\nb", "a|{+x+}|b"},
		"spaces":          {"a b", "a  b", "a[- -]{+  +}b"},
		"not only ASCII":  {"größer", "kleiner", "[-größer-]{+kleiner+}"},
		"nothing changed": {"a", "a", ""},
		"a long line":     {long + "x", long + "y", long[:unchangedKept] + " … " + long[len(long)-unchangedKept:] + "[-x-]{+y+}"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(diffLines(c.before, c.after, plainMark), "|"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzDiffKeepsBothTexts(f *testing.F) {
	f.Add("select a from b", "select a, c from b")
	f.Fuzz(func(t *testing.T, before, after string) {
		var a, b strings.Builder
		for _, p := range diffWords(before, after) {
			if p.kind <= 0 {
				a.WriteString(p.text)
			}
			if p.kind >= 0 {
				b.WriteString(p.text)
			}
		}
		if a.String() != before || b.String() != after {
			t.Errorf("the pieces form %q and %q, not %q and %q", a.String(), b.String(), before, after)
		}
	})
}
