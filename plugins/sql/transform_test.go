//go:build duckdb_arrow

package sql

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/msgpack"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// If the test binary is started with this argument, it is the plugin.
const serveArgument = "serve-plugin"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serveArgument {
		plugin.Serve(Plugin("0.0.0"))
		return
	}
	os.Exit(m.Run())
}

func start(t *testing.T) *client.Plugin {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := client.Start(context.Background(), client.Command{Name: "sql", Path: program, Args: []string{serveArgument}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

var messages = data.Schema{{Name: "text", Type: "string"}, {Name: "intent", Type: "string"}, {Name: "note", Type: "string"}}

func instance(t *testing.T, config map[string]cty.Value) *pluginv1.Instance {
	t.Helper()
	config["inputs"] = cty.MapVal(map[string]cty.Value{"messages": cty.StringVal("inputs.messages")})
	for _, name := range []string{"memory_limit", "threads"} {
		if _, ok := config[name]; !ok {
			config[name] = cty.NullVal(cty.String)
		}
	}
	b, err := msgpack.Marshal(cty.ObjectVal(config), cty.DynamicPseudoType)
	if err != nil {
		t.Fatal(err)
	}
	return &pluginv1.Instance{
		Kind: "transform", Type: "sql", Address: "transform.clean", Config: b,
		Inputs: map[string]*pluginv1.Input{"inputs.messages": {Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET, Columns: messages.Proto()}},
	}
}

func prepare(t *testing.T, p *client.Plugin, in *pluginv1.Instance) *pluginv1.Prepared {
	t.Helper()
	res, err := p.Service().Prepare(context.Background(), &pluginv1.PrepareRequest{Instances: []*pluginv1.Instance{in}})
	if err != nil {
		t.Fatal(err)
	}
	return res.Prepared[0]
}

func TestAQueryIsPreparedAndRunThroughTheProtocol(t *testing.T) {
	p := start(t)
	in := instance(t, map[string]cty.Value{"query": cty.StringVal("select distinct trim(text) as text, intent from messages")})
	prepared := prepare(t, p, in)
	if len(prepared.Diagnostics) > 0 {
		t.Fatalf("diagnostics: %v", prepared.Diagnostics)
	}
	if got := data.FromProto(prepared.Outputs[0].Columns); !got.Equal(messages[:2]) {
		t.Errorf("the result has the columns %v", got)
	}
	if got := strings.Join(prepared.Reads["inputs.messages"].GetColumns(), " "); got != "text intent" {
		t.Errorf("it reads %s", got)
	}
	got := run(t, p, in, `[{"text": " b ", "intent": "x"}, {"text": "b", "intent": "x"}, {"text": "a", "intent": null}]`)
	if want := "a | (null)\nb | x\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// run executes an instance over rows of which it passes only two columns, as
// for a query that reads no others, and returns its result.
func run(t *testing.T, p *client.Plugin, in *pluginv1.Instance, rows string) string {
	t.Helper()
	dir := t.TempDir()
	shard := pluginv1.Shard{Groups: []*pluginv1.ColumnGroup{{
		Path:    filepath.Join(dir, "rows.parquet"),
		Columns: []*pluginv1.StoredColumn{{Stored: "text", Name: "text"}, {Stored: "intent", Name: "intent"}},
	}}}
	shard.Rows = write(t, shard.Groups[0].Path, messages[:2], rows)
	stream, err := p.Service().Run(context.Background(), &pluginv1.RunRequest{
		Instance: in, WorkDir: dir,
		Inputs: map[string]*pluginv1.Artifact{"inputs.messages": {
			Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET, Columns: messages[:2].Proto(), Rows: shard.Rows,
			Shards: []*pluginv1.Shard{&shard},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	done := false
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		done = done || event.GetDone() != nil
		if d := event.GetDiagnostic(); d != nil {
			return d.Argument + ": " + d.Summary
		}
		if event.GetRows() != nil {
			writeRows(t, &b, event.GetRows().Rows)
		}
	}
	if !done {
		t.Error("the run did not say that it is done")
	}
	return b.String()
}

func write(t *testing.T, path string, schema data.Schema, rows string) int64 {
	t.Helper()
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema.Arrow(), strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Release()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := data.NewFileWriter(f, schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(rec), w.Close()); err != nil {
		t.Fatal(err)
	}
	return rec.NumRows()
}

func writeRows(t *testing.T, b *strings.Builder, rows []byte) {
	t.Helper()
	rec, err := data.DecodeBatch(rows)
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Release()
	for i := range int(rec.NumRows()) {
		var cells []string
		for _, c := range rec.Columns() {
			cells = append(cells, c.ValueStr(i))
		}
		b.WriteString(strings.Join(cells, " | ") + "\n")
	}
}

func TestMistakesAreReportedAtTheirArgument(t *testing.T) {
	p := start(t)
	tests := []struct {
		name    string
		config  map[string]cty.Value
		at      string
		summary string
		detail  string
	}{
		{"an unknown column", map[string]cty.Value{"query": cty.StringVal("select txt\nfrom messages")},
			"query", `Referenced column "txt" not found`, "LINE 1: select txt"},
		{"a statement that changes something", map[string]cty.Value{"query": cty.StringVal("drop table messages")}, "query", "one SELECT", "one dataset"},
		{"a query from another stage's result", map[string]cty.Value{"query": cty.UnknownVal(cty.String)}, "query", "known at plan time", "determines the columns"},
		{"a limit without a unit", map[string]cty.Value{"query": cty.StringVal("select 1 as a"), "memory_limit": cty.StringVal("2")},
			"memory_limit", "is not an amount of memory", `"2GB"`},
		{"an input that is not read", map[string]cty.Value{"query": cty.StringVal("select 1 as a")}, "inputs.messages", "does not read messages", "Remove it"},
		{"a column without a name", map[string]cty.Value{"query": cty.StringVal("select count(*) from messages")}, "query", "count_star()", "AS"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, d := range prepare(t, p, instance(t, test.config)).Diagnostics {
				if d.Argument == test.at && strings.Contains(d.Summary, test.summary) && strings.Contains(d.Detail, test.detail) {
					return
				}
				t.Logf("%s: %s\n%s", d.Argument, d.Summary, d.Detail)
			}
			t.Error("the mistake is not reported")
		})
	}
}

func TestThereIsNoWarningAboutNamesThatTheUserChose(t *testing.T) {
	p := start(t)
	in := instance(t, map[string]cty.Value{"query": cty.StringVal(`select text, intent as é, "a b" from messages`)})
	in.Inputs["inputs.messages"].Columns = append(messages, data.Column{Name: "a b", Type: "string"}).Proto()
	if diags := prepare(t, p, in).Diagnostics; len(diags) > 0 {
		t.Errorf("diagnostics: %v", diags)
	}
}

func TestAnErrorInTheRowsIsReportedAtTheQuery(t *testing.T) {
	p := start(t)
	in := instance(t, map[string]cty.Value{"query": cty.StringVal("select text::bigint as n from messages")})
	got := run(t, p, in, `[{"text": "one", "intent": "x"}]`)
	if !strings.HasPrefix(got, "query: ") || !strings.Contains(got, "Could not convert string 'one'") {
		t.Errorf("got %s", got)
	}
}
