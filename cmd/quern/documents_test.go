package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestDocuments runs the scripts in testdata/documents, which need
// quern-plugin-documents.
func TestDocuments(t *testing.T) {
	dir := programs(t, "documents")
	params := scriptParams(t, "testdata/documents")
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
