// Package plugintest runs a plugin's types in tests as quern does: over the
// protocol, with the checks of its caller.
//
//	got, err := plugintest.Map(t, acme(), plugintest.Case{
//		Type: "acme_length",
//		Args: map[string]any{"text": plugintest.Row("body")},
//		Rows: []map[string]any{{"body": "hello"}, {"body": nil}},
//	})
//
// What a type makes has to depend on its arguments and inputs alone, so Map,
// Read and Run do everything twice and fail the test where the results differ;
// Map the second time in another order and in small batches.
//
// The plugin is served inside the test's process, so that a debugger stops in
// it and coverage counts it. Program builds and starts the program itself.
//
// The errors that functions return are the plugin's. Mistakes in a Case fail
// the test at once.
package plugintest

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/internal/inprocess"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Case is an instance of a type.
type Case struct {
	// Type is the type's name. Kind is needed only where the plugin has types
	// of several kinds by that name.
	Type, Kind string
	// Name is the block's name; empty: "test".
	Name string
	// Config is the plugin's own block.
	Config map[string]any
	// Args are the arguments: Go values, slices and maps of them, cty.Value;
	// Dataset, Model and Row for inputs and row expressions; []map[string]any
	// for blocks, with the labels beside the arguments. An argument of
	// *Unknown* is one whose value is not known yet.
	Args map[string]any
	// Rows are those of every dataset argument that Args does not give.
	// Columns are their columns; nil: as the values are.
	Rows    []map[string]any
	Columns data.Schema
	// Dir is the folder that relative paths start from; empty: the test's
	// temporary one.
	Dir string
}

// Dataset is an argument that holds a dataset.
type Dataset struct {
	// Columns; nil: as the values are, by name.
	Columns data.Schema
	Rows    []map[string]any
}

// Model is an argument that holds a model.
type Model struct {
	Format    string
	Signature plugin.Signature
	// Dir holds its files, such as a folder of RunResult.Folders.
	Dir string
	// Features are, by the signature's inputs, columns of the dataset that
	// the stage may predict over.
	Features map[string]Row
}

// Row is a row expression that is a bare row.NAME.
type Row string

// Computed is any other row expression: a column type, and a function that
// computes the value of a row.
type Computed struct {
	Type string
	Func func(row map[string]any) any
}

// Unknown is an argument whose value is not known yet.
type Unknown struct{}

// Row failures, by the row's index.
type Failures map[int]string

// session is a served plugin.
type session struct {
	t      testing.TB
	client *client.Plugin
	schema *pluginv1.GetSchemaResponse
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
		// Close ends the serving. To cancel, too, would end it twice at once.
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

// configure gives the plugin its block.
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
		s.t.Fatalf("the plugin has %d types %q of kind %q; it has %s", len(found), c.Type, c.Kind, strings.Join(all, ", "))
	}
	return found[0]
}

// Program builds the program in a package's folder, starts it, checks its
// schema and returns its path.
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
// plugin program, until ctx ends or the client closes the connection. Then done
// is closed. The functions of this package call it; call it yourself to connect
// a client of your own.
func Serve(ctx context.Context, p plugin.Plugin) (address *goplugin.ReattachConfig, done <-chan struct{}, err error) {
	return inprocess.Serve(ctx, p)
}
