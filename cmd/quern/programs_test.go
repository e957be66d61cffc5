package main

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quern-dev/quern/registry"
	"github.com/quern-dev/quern/sdk/go/host/client"
)

// TestPrograms runs the scripts in testdata/programs, which need programs that come
// with quern.
func TestPrograms(t *testing.T) {
	dir := programs(t, "database", "documents", "storage")
	params := scriptParams(t, "testdata/programs")
	setup := params.Setup
	params.Setup = func(env *testscript.Env) error {
		if err := setup(env); err != nil {
			return err
		}
		env.Setenv("PATH", dir+string(filepath.ListSeparator)+env.Getenv("PATH"))
		return nil
	}
	testscript.Run(t, params)
}

// The table of programs that come with quern lists the types that they serve.
func TestTypesOfProgramsAreListed(t *testing.T) {
	dir := programs(t, slices.DeleteFunc(slices.Collect(maps.Keys(registry.Bundled)), func(name string) bool { return name == "sql" })...)
	for name, want := range registry.Bundled {
		p, err := client.Start(t.Context(), client.Command{Name: name, Path: filepath.Join(dir, "quern-plugin-"+name)})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		schema, err := p.Schema(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, typ := range schema.Types {
			got = append(got, typ.Kind+" "+typ.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s serves %q, but the table lists %q", name, got, want)
		}
	}
}
