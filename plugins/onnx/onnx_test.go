package onnx

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// library returns the path of ONNX Runtime, or skips the test.
func library(t *testing.T) string {
	t.Helper()
	path := os.Getenv("QUERN_TEST_ONNXRUNTIME")
	if path == "" {
		t.Skip("QUERN_TEST_ONNXRUNTIME is not set; make test-onnx sets it")
	}
	return path
}

func data(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func embed(t *testing.T, args map[string]any, texts ...string) (*plugin.Embeddings, error) {
	t.Helper()
	all := map[string]any{"path": data(t, "model.onnx"), "tokenizer": data(t, "tokenizer.json"), "max_tokens": 16, "longer": "truncate"}
	for k, v := range args {
		all[k] = v
	}
	return plugintest.Embed(t, Plugin("1.0.0"), plugintest.Case{Kind: plugin.KindModelBlock, Type: "onnx", Args: all}, texts...)
}

func TestEmbeddingsAreThoseOfPython(t *testing.T) {
	path := library(t)
	content, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Text      string
		Mean, CLS []float64
	}
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	for _, want := range all {
		mean, err := embed(t, map[string]any{"library": path}, want.Text)
		if err != nil {
			t.Fatal(err)
		}
		first, err := embed(t, map[string]any{"library": path, "pooling": "cls", "normalize": false}, want.Text, "the dog")
		if err != nil {
			t.Fatal(err)
		}
		near(t, want.Text, mean.Vectors[0], want.Mean)
		near(t, want.Text, first.Vectors[0], want.CLS)
	}
}

func near(t *testing.T, text string, got []float32, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%q has %d dimensions, want %d", text, len(got), len(want))
	}
	for i, x := range got {
		if math.Abs(float64(x)-want[i]) > 1e-5 {
			t.Errorf("%q: got %v, want %v", text, got, want)
			return
		}
	}
}

func TestTextsThatAreTooLongAreRefused(t *testing.T) {
	_, err := embed(t, map[string]any{"library": library(t), "longer": "error"}, strings.Repeat("cat ", 40))
	if err == nil || !strings.Contains(err.Error(), "the text has 42 tokens, but max_tokens is 16") {
		t.Errorf("got %v", err)
	}
}

func TestAMissingLibraryIsExplained(t *testing.T) {
	if os.Getenv("QUERN_TEST_ONNXRUNTIME") != "" {
		t.Skip("the library is loaded once")
	}
	_, err := embed(t, map[string]any{"library": "/no/libonnxruntime.so"}, "the cat")
	if err == nil || !strings.Contains(err.Error(), "cannot load ONNX Runtime from /no/libonnxruntime.so") || !strings.Contains(err.Error(), "set library") {
		t.Errorf("got %v", err)
	}
}

func TestMissingFilesAreErrorsOfThePlan(t *testing.T) {
	got, err := plugintest.Prepare(t, Plugin("1.0.0"), plugintest.Case{
		Kind: plugin.KindModelBlock, Type: "onnx", Args: map[string]any{"path": "missing.onnx", "tokenizer": data(t, "tokenizer.json"), "max_tokens": 0},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Errors) != 2 || got.Errors[0].Argument != "path" || got.Errors[1].Argument != "max_tokens" {
		t.Errorf("got %v", got.Errors)
	}
}
