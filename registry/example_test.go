package registry_test

import (
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/registry"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/host/datatest"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// The example plugin is a module of its own: built as its author builds it,
// pinned, started and given rows.
func TestTheExamplePluginIsBuiltPinnedAndUsed(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	p := newPlace(t)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(p.plugins, "quern-plugin-langid"), ".")
	build.Dir = filepath.Join("..", "examples", "plugins", "langid")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %s\n%s", err, out)
	}
	required := registry.Requirement{Name: "langid", Source: "quern-dev/langid", Version: "~> 0.1"}
	p.init(p.options(required), false)
	r := p.open(p.options(required))
	typ, name, err := r.Type("label", "langid_language", "")
	if err != nil || name != "langid" {
		t.Fatal(name, err)
	}
	c, err := r.Client(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	config, err := client.EncodeValue(cty.ObjectVal(map[string]cty.Value{
		"input": cty.StringVal("input"), "text": cty.StringVal("text"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	in := &pluginv1.Instance{
		Kind: typ.Kind, Type: typ.Name, Address: "label.language", Config: config,
		Inputs: map[string]*pluginv1.Input{"input": {
			Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET, Columns: []*pluginv1.Column{{Name: "body", Type: "string"}},
		}},
		RowArguments: map[string]*pluginv1.RowArgument{"text": {Type: "string", RowsOf: "input", Column: "body"}},
	}
	stream, err := c.Map(t.Context(), in, data.Schema{{Name: "language", Type: "string"}})
	if err != nil {
		t.Fatal(err)
	}
	texts := datatest.Rows(data.Schema{{Name: "text", Type: "string"}}, []any{"Where is the card that I have ordered?"}, []any{"Wo ist die Karte?"})
	rec := array.NewRecordBatch(arrow.NewSchema([]arrow.Field{data.Arguments.Field("text", arrow.BinaryTypes.String)}, nil), texts.Columns(), texts.NumRows())
	texts.Release()
	defer rec.Release()
	if err := errors.Join(stream.Send(rec), stream.CloseSend()); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Rows.Release()
	if got := answer.Rows.Column(0).(*array.String); got.Value(0) != "en" || got.Value(1) != "de" {
		t.Errorf("got %s", got)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last answer came %v", err)
	}
}
