package llm

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

func augmented(t *testing.T, model plugintest.FakeModel, variants int, rows []map[string]any) (*plugintest.FlatMapResult, error) {
	t.Helper()
	return plugintest.FlatMap(t, offer, plugintest.Case{Kind: plugin.KindTransform, Type: "augment", Rows: rows, Args: map[string]any{
		"model": model, "prompt": plugintest.Prompt(asks), "variants": variants, "as": "variant", "unlike": []any{plugintest.Row("text")},
	}})
}

func TestAugmentWritesDifferentNewTextsForEachRow(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	model := plugintest.FakeModel{Chat: func(r *llm.Request, _ int) (*llm.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		last := r.Messages[len(r.Messages)-1].Content
		asked[last]++
		switch {
		case strings.Contains(last, "not new"):
			return &llm.Response{Text: `{"texts": ["x", "y"]}`}, nil
		case last == "again":
			return &llm.Response{Text: `{"texts": ["AGAIN  ", "y"]}`}, nil
		case last == "bad", strings.Contains(last, "not the JSON"):
			return &llm.Response{Text: "I would rather not."}, nil
		}
		return &llm.Response{Text: fmt.Sprintf(`{"texts": ["%s 1", "%s 2"]}`, last, last)}, nil
	}}
	got, err := augmented(t, model, 2, texts("one", nil, "again", "bad", "two"))
	if err != nil {
		t.Fatal(err)
	}
	if have := fmt.Sprint(got.Column("text"), got.Column("variant")); have != "[one one again again two two] [one 1 one 2 x y two 1 two 2]" {
		t.Error(have)
	}
	if len(got.Failures) != 1 || !strings.Contains(fmt.Sprint(got.Failures[3]), "not the JSON that was asked for") {
		t.Errorf("failures: %v", got.Failures)
	}
}

func TestAugmentRefusesMistakes(t *testing.T) {
	model := plugintest.FakeModel{Chat: func(*llm.Request, int) (*llm.Response, error) { return &llm.Response{}, nil }}
	if _, err := augmented(t, model, 0, texts("a")); err == nil || !strings.Contains(err.Error(), "variants must be from 1 to 100") {
		t.Error(err)
	}
}
