package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/quern-dev/quern/sdk/conformance/goplugin"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// serves is the variable that makes the test binary the conformance plugin.
const serves = "QUERN_CONFORMANCE_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(serves) != "" {
		plugin.Serve(goplugin.New())
		return
	}
	os.Exit(m.Run())
}

func TestGo(t *testing.T) {
	conform(t, program{Path: os.Args[0], Env: []string{serves + "=1"}})
}

func TestPython(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(root, ".cache", "python", "bin", "python")
	if _, err := os.Stat(python); err != nil && os.Getenv("CI") == "" {
		t.Skip("the Python environment is missing: run make test-python first")
	}
	conform(t, program{
		Path: python, Args: []string{filepath.Join("python", "plugin.py")},
		Env: []string{"PYTHONPATH=" + filepath.Join(root, "sdk", "python", "src")},
	})
}

func conform(t *testing.T, p program) {
	all, err := scenarios()
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{program: p}
	defer r.close()
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			if err := r.run(context.Background(), s); err != nil {
				t.Error(err)
			}
		})
	}
}
