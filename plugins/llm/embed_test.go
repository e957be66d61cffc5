package llm

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// lengths embeds a text by its length. It refuses some, and one of them only for
// now.
func lengths(text string) ([]float32, error) {
	switch text {
	case "bad":
		return nil, &llm.CallError{Status: 400, Message: "too bad"}
	case "busy":
		return nil, &llm.CallError{Status: 503, Message: "busy", Temporary: true}
	case "wide":
		return []float32{1, 2, 3}, nil
	}
	return []float32{float32(len(text)), 0.5}, nil
}

func embedded(t *testing.T, args map[string]any, rows []map[string]any) (*plugintest.MapResult, error) {
	t.Helper()
	all := map[string]any{"model": plugintest.FakeModel{Embed: lengths}, "text": plugintest.Row("text")}
	for k, v := range args {
		all[k] = v
	}
	return plugintest.Map(t, offer, plugintest.Case{Kind: plugin.KindTransform, Type: "embed", Name: "v", Rows: rows, Args: all})
}

func TestEmbedFailsOnlyTheTextsThatTheModelRefuses(t *testing.T) {
	got, err := embedded(t, nil, texts("a", "bad", nil, "", "bcd", "é"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, v := range got.Column("v") {
		if raw, ok := v.(json.RawMessage); ok {
			v = string(raw)
		}
		all = append(all, fmt.Sprint(v))
	}
	if have := strings.Join(all, " "); have != "[1,0.5] <nil> <nil> <nil> [3,0.5] [2,0.5]" {
		t.Errorf("got %s", have)
	}
	if have := fmt.Sprint(got.Failures); !strings.Contains(have, "too bad") || len(got.Failures) != 1 {
		t.Errorf("failures: %s", have)
	}
}

func TestEmbeddingsOfDifferentDimensionsAreRefused(t *testing.T) {
	for _, c := range []struct {
		args map[string]any
		rows []map[string]any
		want string
	}{
		{nil, texts("a", "wide"), "The embeddings have different numbers of dimensions"},
		{map[string]any{"dimensions": 3}, texts("a"), "The model returned 2, but dimensions is 3."},
		{map[string]any{"dimensions": -1}, texts("a"), "dimensions must be at least 1"},
		{map[string]any{"model": plugintest.FakeModel{Chat: func(*llm.Request, int) (*llm.Response, error) { return nil, nil }}}, texts("a"), "This model cannot embed"},
	} {
		if _, err := embedded(t, c.args, c.rows); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %s", c.args, err, c.want)
		}
	}
}
