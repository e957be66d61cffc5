package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestPrograms runs the scripts in testdata/programs, which need programs that come
// with quern.
func TestPrograms(t *testing.T) {
	dir := programs(t, "database", "documents")
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
