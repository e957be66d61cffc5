package text

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// words is a tokenizer.json with a token for each word.
const words = `{"model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "[CLS]": 1, "a": 2, "é": 3, "ab": 4}, "unk_token": "[UNK]"},
	"pre_tokenizer": {"type": "Whitespace"},
	"post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 1], "sep": ["[CLS]", 1]}}`

func wordsFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokenizer.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTokenizeAddsTheColumnsThatAreWanted(t *testing.T) {
	rows := []map[string]any{{"text": "é ab x"}, {"text": nil}, {"text": ""}}
	got, err := plugintest.Map(t, offer, plugintest.Case{
		Kind: plugin.KindTransform, Type: "tokenize", Name: "t", Rows: rows,
		Args: map[string]any{"text": plugintest.Row("text"), "tokenizer": wordsFile(t, words), "offsets": true, "mask": true},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"t=[1 3 4 0 1] t_count=5 t_start=[0 0 3 6 0] t_end=[0 2 5 7 0] t_mask=[false true true true false]",
		"t=<nil> t_count=<nil> t_start=<nil> t_end=<nil> t_mask=<nil>",
		"t=[1 1] t_count=2 t_start=[0 0] t_end=[0 0] t_mask=[false false]",
	}
	for i, r := range got.Rows {
		var parts []string
		for _, c := range []string{"t", "t_count", "t_start", "t_end", "t_mask"} {
			parts = append(parts, fmt.Sprintf("%s=%s", c, strings.ReplaceAll(shown(r[c]), ",", " ")))
		}
		if have := strings.Join(parts, " "); have != want[i] {
			t.Errorf("row %d: got  %s\nwant %s", i, have, want[i])
		}
	}
}

func TestTokenizeExplainsTokenizersThatItCannotUse(t *testing.T) {
	for name, want := range map[string]string{
		"p50k_base":                   "Unknown tokenizer \"p50k_base\"\nUse o200k_base, cl100k_base, or the path of a tokenizer.json.",
		"missing.json":                "Cannot read the tokenizer missing.json\nno such file or directory.",
		wordsFile(t, `{"model": {}}`): "model has no vocab",
	} {
		got, err := plugintest.Prepare(t, offer, plugintest.Case{
			Kind: plugin.KindTransform, Type: "tokenize", Name: "t", Rows: []map[string]any{{"text": "a"}},
			Args: map[string]any{"text": plugintest.Row("text"), "tokenizer": name},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Errors) != 1 || got.Errors[0].Argument != "tokenizer" || !strings.Contains(got.Errors[0].Text, want) {
			t.Errorf("%s: got %v", name, got.Errors)
		}
	}
}

func TestPackingLosesNoTokenAndKeepsRowsTogetherIfAsked(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 3))
	for range 20 {
		var rows []map[string]any
		var all []int64
		length, next := 1+rng.IntN(12), int64(0)
		for range 1 + rng.IntN(40) {
			row := []int64{}
			for range rng.IntN(length + 1) {
				row, next = append(row, next), next+1
			}
			all = append(all, row...)
			rows = append(rows, map[string]any{"tokens": strings.ReplaceAll(fmt.Sprint(row), " ", ",")})
		}
		for _, split := range []bool{true, false} {
			got, err := plugintest.Run(t, offer, plugintest.Case{
				Kind: plugin.KindTransform, Type: "pack", Rows: rows, Columns: data.Schema{{Name: "tokens", Type: "list<int64>"}},
				Args: map[string]any{"tokens": plugintest.Row("tokens"), "length": length, "split": split},
			})
			if err != nil {
				t.Fatal(err)
			}
			checkPacked(t, got, all, length, split)
		}
	}
}

func checkPacked(t *testing.T, got *plugintest.RunResult, all []int64, length int, split bool) {
	t.Helper()
	var seen []int64
	for i, r := range got.Datasets[""].Rows {
		ids, lengths := ints(r["input_ids"]), ints(r["seq_lengths"])
		if len(ids) > length || split && i < len(got.Datasets[""].Rows)-1 && len(ids) != length {
			t.Fatalf("sequence %d has %d tokens of %d", i, len(ids), length)
		}
		sum := 0
		for _, n := range lengths {
			sum += int(n)
		}
		if sum != len(ids) {
			t.Fatalf("the lengths %v do not add up to %d", lengths, len(ids))
		}
		seen = append(seen, ids...)
	}
	if !split {
		slices.Sort(seen)
	}
	if !slices.Equal(seen, all) {
		t.Fatalf("split = %v: %v were packed as %v", split, all, seen)
	}
}

// shown returns a value as text. Lists are JSON.
func shown(v any) string {
	if text, ok := v.(json.RawMessage); ok {
		return string(text)
	}
	return fmt.Sprint(v)
}

func ints(v any) (out []int64) {
	for _, f := range strings.FieldsFunc(shown(v), func(r rune) bool { return strings.ContainsRune("[], ", r) }) {
		var n int64
		fmt.Sscan(f, &n)
		out = append(out, n)
	}
	return out
}

func TestPackExplainsRowsThatAreTooLong(t *testing.T) {
	_, err := plugintest.Run(t, offer, plugintest.Case{
		Kind: plugin.KindTransform, Type: "pack", Rows: []map[string]any{{"tokens": "[1,2,3]"}}, Columns: data.Schema{{Name: "tokens", Type: "list<int64>"}},
		Args: map[string]any{"tokens": plugintest.Row("tokens"), "length": 3, "split": false, "separator": 0},
	})
	if err == nil || !strings.Contains(err.Error(), "Row 0 has 4 tokens, with its separator, but a sequence has at most 3") {
		t.Errorf("got %v", err)
	}
}
