package builtin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// messages returns a CSV file of n customer messages with three intents, and
// one malformed line.
func messages(n int) string {
	intents := [][2]string{{"card", "my card has not arrived"}, {"rate", "what is the exchange rate"}, {"pin", "the code is blocked"}}
	var b strings.Builder
	b.WriteString("id,text,intent\n")
	for i := range n {
		intent := intents[i%3]
		fmt.Fprintf(&b, "%d,\"%s, case %d\",%s\n", i, intent[1], i/3, intent[0])
	}
	b.WriteString("too,many,fields,here\n")
	return b.String()
}

func TestAPipelineOfBuiltInTypesGoesFromAFileToADeployment(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "messages.csv"), []byte(messages(300)), 0o644); err != nil {
		t.Fatal(err)
	}
	source, err := plugintest.Read(t, Plugin(), plugintest.Case{
		Kind: plugin.KindSource, Type: "csv", Dir: dir, Args: map[string]any{"path": "*.csv", "on_error": "quarantine"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(source.Rows) != 300 || len(source.Quarantined) != 1 || source.Quarantined[0].Origin != "messages.csv:302" {
		t.Fatalf("%d rows, set aside: %v", len(source.Rows), source.Quarantined)
	}

	parts, err := plugintest.Run(t, Plugin(), plugintest.Case{
		Kind: plugin.KindTransform, Type: "split", Rows: source.Rows, Columns: source.Columns,
		Args: map[string]any{"shares": map[string]any{"train": 0.8, "test": 0.2}, "by": plugintest.Row("text")},
	})
	if err != nil {
		t.Fatal(err)
	}
	train, test := parts.Datasets["train"], parts.Datasets["test"]

	trained, err := plugintest.Run(t, Plugin(), plugintest.Case{
		Kind: plugin.KindTrain, Type: "linear", Rows: train.Rows, Columns: train.Columns,
		Args: map[string]any{"text": plugintest.Row("text"), "target": plugintest.Row("intent")},
	})
	if err != nil {
		t.Fatal(err)
	}

	student := trained.Models[""]
	student.Features = map[string]plugintest.Row{"text": "text"}
	evaluated, err := plugintest.Run(t, Plugin(), plugintest.Case{
		Kind: plugin.KindEvaluate, Type: "classification", Rows: test.Rows, Columns: test.Columns,
		Args: map[string]any{
			"target":   plugintest.Row("intent"),
			"subjects": map[string]any{"student": student, "teacher": plugintest.Row("intent")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"student", "teacher"} {
		accuracy := evaluated.Value.GetAttr("subjects").GetAttr(subject).GetAttr("accuracy").GetAttr("value")
		if !accuracy.RawEquals(cty.NumberIntVal(1)) {
			t.Errorf("accuracy of %s: %#v", subject, accuracy)
		}
	}
	if _, _, ok := evaluated.Datasets["rows"].Columns.Lookup("student_confidence"); !ok {
		t.Errorf("columns of the single results: %v", evaluated.Datasets["rows"].Columns.Names())
	}

	student.Features = nil
	deployment := plugintest.Deploy(t, Plugin(), plugintest.Case{
		Kind: plugin.KindDeploy, Type: "directory", Dir: dir,
		Args: map[string]any{"artifact": student, "path": "serve/current"},
	})
	deployment.Digests["artifact"] = "sha256:" + strings.Repeat("a", 64)
	if err := deployment.Apply(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "serve/current/model.json")); err != nil {
		t.Error(err)
	}
}

// schema requests the plugin's schema over the protocol.
func schema(t *testing.T) *pluginv1.GetSchemaResponse {
	t.Helper()
	address, done, err := plugintest.Serve(context.Background(), Plugin()) // closing the client ends it
	if err != nil {
		t.Fatal(err)
	}
	called, err := client.Attach(client.Command{Name: "builtin"}, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { called.Close(); <-done })
	s, err := called.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryTypeAndArgumentIsDocumented(t *testing.T) {
	var names []string
	for _, typ := range schema(t).Types {
		names = append(names, typ.Kind+" "+typ.Name)
		summary, _, _ := strings.Cut(typ.Doc, "\n")
		if !strings.HasSuffix(summary, ".") || !strings.Contains(typ.Doc, "```hcl\n"+typ.Kind+" \""+typ.Name+"\"") {
			t.Errorf("%s %q: the documentation needs a summary and an example: %s", typ.Kind, typ.Name, typ.Doc)
		}
		documented(t, typ.Kind+" "+typ.Name, typ.Body)
	}
	want := "source avro, source csv, source json, source jsonl, source parquet, source text, source http, transform map, transform explode, transform filter, transform split, transform sample, " +
		"transform limit, transform shuffle, transform balance, transform mix, transform quality, transform sort, transform concat, transform group, transform join, " +
		"transform chunk, transform tokenize, transform pack, transform format, transform dedup, label rules, transform redact, transform decontaminate, label llm, transform augment, transform embed, label model, " +
		"label language, label fasttext, label vote, evaluate agreement, train linear, evaluate classification, evaluate prompt, evaluate perplexity, evaluate profile, " +
		"deploy directory, deploy dataset, model ollama, deploy ollama, model exec"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("types: %s\nwant:  %s", got, want)
	}
}

func documented(t *testing.T, place string, body *pluginv1.Body) {
	t.Helper()
	for _, a := range body.Arguments {
		if !strings.HasSuffix(a.Doc, ".") {
			t.Errorf("%s: argument %q needs documentation in sentences: %q", place, a.Name, a.Doc)
		}
	}
	for _, b := range body.Blocks {
		if !strings.HasSuffix(b.Doc, ".") {
			t.Errorf("%s: block %q needs documentation in sentences: %q", place, b.Name, b.Doc)
		}
		documented(t, place+" "+b.Name, b.Body)
	}
}
