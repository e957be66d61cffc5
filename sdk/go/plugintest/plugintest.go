// Package plugintest runs a plugin's types in tests as quern does: over the
// protocol, and with quern's checks.
//
//	got, err := plugintest.Map(t, acme(), plugintest.Case{
//		Type: "acme_length",
//		Args: map[string]any{"text": plugintest.Row("body")},
//		Rows: []map[string]any{{"body": "hello"}, {"body": nil}},
//	})
//
// The results of a type must depend on its arguments and inputs alone. So Map,
// FlatMap, Read, and Run do everything twice and fail the test if the results
// differ; Map and FlatMap use another order and smaller batches the second
// time. RunInterrupted does the same with a run that is interrupted.
//
// The plugin runs inside the test's process, so that debuggers and coverage see
// it. BuildProgram builds and starts the program itself.
//
// Functions return the plugin's errors. Mistakes in a Case fail the test at
// once.
package plugintest

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/internal/inprocess"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Case is an instance of a type: a block with its arguments and inputs.
type Case struct {
	// Type is the type's name. Kind is required only if the plugin has several
	// kinds of types with this name.
	Type, Kind string
	// Name is the block's name; the default is "test".
	Name string
	// Config contains the arguments of the plugin's own block.
	Config map[string]any
	// Args contains the arguments: Go values, slices and maps of them, or
	// cty.Value. Inputs and row expressions are Dataset, Model, FakeModel, Row,
	// Computed, Prompt, PromptedModel, PromptWithExamples, or LateColumn.
	// Blocks are []map[string]any, with the labels next to the arguments.
	// Unknown{} is a value that is not known yet.
	Args map[string]any
	// Rows are the rows of every dataset argument that is not in Args. Columns
	// are their columns; nil means that the values determine them.
	Rows    []map[string]any
	Columns data.Schema
	// Dir is the folder that relative paths start from; the default is a
	// temporary folder.
	Dir string
	// Pending are the rows that an earlier Map or FlatMap with the same rows
	// returned as pending: their tokens are passed back, as by the next apply.
	Pending Pending
	// Kept is the folder with the files that an earlier Run kept, such as
	// RunResult.Kept, as when the inputs of a stage have changed.
	Kept string
	// ShardRows is the number of rows in each shard of datasets that a Run gets; 0 puts
	// all rows in one shard.
	ShardRows int
	// WorkDir is the folder of a Run, for types that can be pending: pass the same
	// one again, as the next apply does. Run then runs the type only once. The
	// default is a temporary folder.
	WorkDir string
}

// Dataset is an argument that contains a dataset.
type Dataset struct {
	// Columns are the columns; nil means that the values determine them, sorted
	// by name.
	Columns data.Schema
	Rows    []map[string]any
}

// Model is an argument that contains a trained model.
type Model struct {
	Format    string
	Signature plugin.Signature
	// Dir is the folder with the model's files, such as one of
	// RunResult.Folders.
	Dir string
	// Features maps the signature's inputs to columns of the dataset that the
	// stage predicts over.
	Features map[string]Row
	// Language are the capabilities of a language model, such as plugin.CanChat.
	Language []string
}

func (m Model) capabilities() []string {
	if len(m.Language) > 0 && len(m.Signature.Outputs) == 0 {
		return m.Language
	}
	return append(slices.Clone(m.Language), plugin.CanPredict)
}

// Report is an argument of a deployment that contains a report. Dir is the folder
// with its files.
type Report struct{ Dir string }

// Row is a row expression that is just row.NAME.
type Row string

// Computed is any other row expression: its column type and a function that
// computes its value for a row.
type Computed struct {
	Type string
	Func func(row map[string]any) any
}

// Unknown is an argument whose value is not known yet.
type Unknown struct{}

// Failures contains the messages of failed rows by row number.
type Failures map[int]string

// Pending holds the pending rows by row number.
type Pending map[int]PendingRow

// PendingRow is a row that waits for something outside.
type PendingRow struct {
	plugin.Pending
	Token string
}

// session is a plugin that is being served.
type session struct {
	t      testing.TB
	client *client.Plugin
	schema *pluginv1.GetSchemaResponse
	// stop is the name of the call of Run that is asked to stop after its first
	// event; empty: none is.
	stop string
}

// start serves a plugin until the test ends.
func start(t testing.TB, p plugin.Plugin, c Case) *session {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	address, done, err := Serve(ctx, p)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	name := p.Name
	if name == "" {
		name = "test"
	}
	called, err := client.Attach(client.Command{Name: name}, address)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Close stops serving. Canceling as well would stop it twice at once.
		called.Close()
		<-done
		cancel()
	})
	s := &session{t: t, client: called}
	if s.schema, err = called.Schema(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.configure(c)
	return s
}

// configure sends the plugin its block.
func (s *session) configure(c Case) {
	s.t.Helper()
	dir := c.Dir
	if dir == "" {
		dir = s.t.TempDir()
	}
	b := &binder{t: s.t}
	config, err := client.EncodeValue(b.body(s.schema.Config, c.Config, ""))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.client.Service().Configure(s.t.Context(), &pluginv1.ConfigureRequest{Config: config, Root: dir})
	if err == nil {
		err = client.Failure(s.client.Name(), resp.Diagnostics)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// typeOf finds a case's type.
func (s *session) typeOf(c Case) *pluginv1.Type {
	s.t.Helper()
	var found []*pluginv1.Type
	var all []string
	for _, t := range s.schema.Types {
		all = append(all, fmt.Sprintf("%s %q", t.Kind, t.Name))
		if t.Name == c.Type && (c.Kind == "" || c.Kind == t.Kind) {
			found = append(found, t)
		}
	}
	if len(found) != 1 {
		s.t.Fatalf("the plugin has %d types %q of kind %q; its types are %s", len(found), c.Type, c.Kind, strings.Join(all, ", "))
	}
	return found[0]
}

// BuildProgram builds the program in a package's folder, starts it, checks its
// schema, and returns its path.
func BuildProgram(t testing.TB, dir string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "quern-plugin-under-test")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %s\n%s", err, out)
	}
	p, err := client.Start(t.Context(), client.Command{Name: filepath.Base(dir), Path: program})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Schema(t.Context()); err != nil {
		t.Fatal(err)
	}
	return program
}

// Serve serves a plugin inside the test's process, over the same protocol as a
// plugin program, until ctx ends or the client closes the connection; then it
// closes done. The functions of this package call it. Call it yourself to
// connect a client of your own.
func Serve(ctx context.Context, p plugin.Plugin) (address *goplugin.ReattachConfig, done <-chan struct{}, err error) {
	return inprocess.Serve(ctx, p)
}
