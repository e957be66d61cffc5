package dedup

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

func served() plugin.Plugin {
	return plugin.Plugin{Name: "builtin", Version: "1.0.0", Types: Types()}
}

type row = map[string]any

func run(t *testing.T, c plugintest.Case) *plugintest.RunResult {
	t.Helper()
	c.Kind, c.Type = plugin.KindTransform, "dedup"
	got, err := plugintest.Run(t, served(), c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// sentence is a text of 40 words, which depends on n alone, with some words replaced.
func sentence(n int, replaced ...int) string {
	words := make([]string, 40)
	for i := range words {
		words[i] = fmt.Sprintf("w%d", (n*1009+i*31)%9973)
	}
	for _, i := range replaced {
		words[i] = fmt.Sprintf("x%d", i)
	}
	return strings.Join(words, " ")
}

func TestRowsWithEqualValuesAreDroppedExceptTheBest(t *testing.T) {
	rows := []row{
		{"text": "a", "n": 1}, {"text": "A ", "n": 3}, {"text": "b", "n": 0}, {"text": nil, "n": 1}, {"text": nil, "n": 1}, {"text": "a", "n": 2},
	}
	by := plugintest.Computed{Type: "string", Func: func(r map[string]any) any {
		if r["text"] == nil {
			return nil
		}
		return strings.ToLower(strings.TrimSpace(r["text"].(string)))
	}}
	got := run(t, plugintest.Case{Rows: rows, Args: map[string]any{"method": "exact", "by": by, "keep": plugintest.Row("n")}})
	if want := []any{"A ", "b", nil, nil}; !reflect.DeepEqual(got.Datasets[""].Column("text"), want) {
		t.Errorf("got %v, want %v", got.Datasets[""].Column("text"), want)
	}
	if top := got.Datasets["clusters"].Rows; len(top) != 1 || top[0]["rows"] != int64(3) || top[0]["text"] != "a" {
		t.Errorf("the largest groups are %v", top)
	}
	if v := got.Value.GetAttr("duplicates"); v.AsBigFloat().String() != "2" {
		t.Errorf("the values are %#v", got.Value)
	}
}

func TestSimilarTextsAreMarkedWithTheRowThatIsKept(t *testing.T) {
	rows := []row{
		{"id": "1", "text": sentence(1)}, {"id": "2", "text": sentence(2)}, {"id": "3", "text": sentence(1, 20)},
		{"id": "4", "text": strings.ToUpper(sentence(1)) + "!"}, {"id": "5", "text": nil}, {"id": "6", "text": ""}, {"id": "7", "text": ""},
		{"id": "8", "text": sentence(1, 3, 9, 15, 21, 27, 33, 39)}, {"id": "9", "text": "\xff\r\r"},
	}
	for _, verify := range []bool{false, true} {
		got := run(t, plugintest.Case{Rows: rows, ShardRows: 3, Args: map[string]any{
			"method": "near", "text": plugintest.Row("text"), "id": plugintest.Row("id"), "drop": false, "verify": verify, "threshold": 0.6,
			"keep": plugintest.Computed{Type: "int64", Func: func(r map[string]any) any { return -int(r["id"].(string)[0]) }},
		}}).Datasets[""]
		of := got.Column("duplicate_of")
		if want := []any{nil, nil, "1", "1", nil, nil, "6", nil, nil}; !reflect.DeepEqual(of, want) {
			t.Errorf("verify %v: duplicates of %v, want %v", verify, of, want)
		}
		if s, ok := got.Rows[2]["similarity"].(float64); !ok || s < 0.6 || s > 0.9 {
			t.Errorf("verify %v: the similarity is %v", verify, got.Rows[2]["similarity"])
		}
		if got.Rows[3]["similarity"] != 1.0 || got.Rows[4]["cluster"] != nil || got.Rows[1]["cluster"] == nil {
			t.Errorf("verify %v: %v", verify, got.Rows)
		}
	}
}

// direction is a vector that depends on n, and a little on i.
func direction(n, i int) []any {
	v := make([]any, 8)
	for k := range v {
		v[k] = math.Sin(float64(31*n+7*k)) + 0.1*math.Cos(float64(i*k+n))
	}
	return v
}

func TestSimilarEmbeddingsAreDuplicates(t *testing.T) {
	rows := []row{
		{"text": "a", "v": []any{1.0, 0.0, 0.0}}, {"text": "b", "v": []any{0.0, 2.0, 0.0}}, {"text": "a, longer", "v": []any{3.0, 0.3, 0.0}},
		{"text": nil, "v": nil}, {"text": "zero", "v": []any{0.0, 0.0, 0.0}}, {"text": nil, "v": []any{0.0, 0.0, -1.0}}, {"text": "opposite", "v": []any{0.0, 0.0, 1.0}},
	}
	args := map[string]any{"method": "semantic", "embedding": plugintest.Row("v"), "text": plugintest.Row("text"), "drop": false,
		"keep": plugintest.Computed{Type: "int64", Func: func(r map[string]any) any {
			if r["text"] == nil {
				return nil
			}
			return len(r["text"].(string))
		}}}
	columns := data.Schema{{Name: "text", Type: "string"}, {Name: "v", Type: "list<float64>"}}
	got := run(t, plugintest.Case{Rows: rows, Columns: columns, ShardRows: 2, Args: args})
	marks := got.Datasets[""]
	if of := marks.Column("duplicate_of"); of[0] != marks.Rows[2]["cluster"] || slices.ContainsFunc(of[1:], func(v any) bool { return v != nil }) {
		t.Errorf("duplicates of %v", of)
	}
	if s := marks.Rows[0]["similarity"].(float64); math.Abs(s-3/math.Sqrt(9.09)) > 1e-6 {
		t.Errorf("the similarity is %v", s)
	}
	if top := got.Datasets["clusters"].Rows; len(top) != 1 || top[0]["text"] != "a, longer" {
		t.Errorf("the largest groups are %v", top)
	}
	for want, wrong := range map[string][]any{
		"row 7, the embedding has a component that is null":         {1.0, nil, 2.0},
		"the length of the embedding is 2, and that of others is 3": {1.0, 2.0},
	} {
		_, err := plugintest.Run(t, served(), plugintest.Case{Kind: plugin.KindTransform, Type: "dedup", Rows: append(slices.Clone(rows), row{"text": "", "v": wrong}), Columns: columns, Args: args})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// letters embeds a text by how often it has each letter. It refuses some texts.
func letters(text string) ([]float32, error) {
	if strings.Contains(text, "refuse") {
		return nil, &llm.CallError{Status: 400, Message: "too bad"}
	}
	v := make([]float32, 26)
	for _, c := range text {
		if c >= 'a' && c <= 'z' {
			v[c-'a']++
		}
	}
	return v, nil
}

func TestTextsAreEmbeddedByAModel(t *testing.T) {
	var asked sync.Map
	model := plugintest.FakeModel{Embed: func(text string) ([]float32, error) {
		asked.Store(text, true)
		return letters(text)
	}}
	args := map[string]any{"method": "semantic", "model": model, "text": plugintest.Row("text"), "drop": false}
	rows := []row{{"text": "listen"}, {"text": "silent"}, {"text": nil}, {"text": "listen"}, {"text": "12"}, {"text": ""}, {"text": "other"}, {"text": "12"}, {"text": "34"}}
	got := run(t, plugintest.Case{Rows: rows, ShardRows: 4, Args: args})
	clusters := got.Datasets[""].Column("cluster")
	groups := map[any][]int{}
	for i, c := range clusters {
		groups[c] = append(groups[c], i)
	}
	// Equal texts are duplicates, even if their embeddings have no direction.
	want := [][]int{{0, 1, 3}, {2}, {4, 7}, {5}, {6}, {8}}
	if have := slices.SortedFunc(maps.Values(groups), slices.Compare); !reflect.DeepEqual(have, want) {
		t.Errorf("the groups are %v", have)
	}
	_, err := plugintest.Run(t, served(), plugintest.Case{Kind: plugin.KindTransform, Type: "dedup", Rows: append(slices.Clone(rows), row{"text": "refuse"}), ShardRows: 4, Args: args})
	if err == nil || !strings.Contains(err.Error(), "The text of row 9 cannot be embedded") || !strings.Contains(err.Error(), "too bad") {
		t.Error(err)
	}
	// A shard that the last run knew is not read.
	asked.Clear()
	again := run(t, plugintest.Case{Rows: append(slices.Clone(rows[:4]), row{"text": "new"}), ShardRows: 4, Kept: got.Kept, Args: args})
	asked.Range(func(text, _ any) bool {
		if text != "new" && text != sample {
			t.Errorf("%q was embedded again", text)
		}
		return true
	})
	if of := again.Datasets[""].Column("duplicate_of"); of[4] != nil || of[0] == nil && of[1] == nil {
		t.Errorf("duplicates of %v", of)
	}
}

func TestAnotherModelEmbedsAllTextsAgain(t *testing.T) {
	rows := []row{{"text": "listen"}, {"text": "silent"}, {"text": "other"}}
	kept, marks := "", map[string]int{}
	for name, embed := range map[string]func(string) ([]float32, error){"letters": letters, "constant": func(string) ([]float32, error) { return []float32{1, 2}, nil }} {
		got := run(t, plugintest.Case{Rows: rows, Kept: kept, Args: map[string]any{"method": "semantic", "model": plugintest.FakeModel{Embed: embed}, "text": plugintest.Row("text")}})
		kept, marks[name] = got.Kept, len(got.Datasets[""].Rows)
	}
	if marks["letters"] != 2 || marks["constant"] != 1 {
		t.Errorf("the numbers of rows are %v", marks)
	}
}

// The groups are those that comparing all pairs gives, on texts that people wrote.
func TestEmbeddingsAreGroupedAsByBruteForce(t *testing.T) {
	out := reference.Python(t, bruteForce, "../../examples/corpus/data/sms.tsv")
	var want struct {
		Texts   []string
		Vectors [][]float32
		Leaders []int
	}
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	vectors := map[string][]float32{}
	var rows []row
	for i, text := range want.Texts {
		vectors[text] = want.Vectors[i]
		rows = append(rows, row{"n": i, "text": text})
	}
	model := plugintest.FakeModel{Embed: func(text string) ([]float32, error) { return vectors[text], nil }}
	got := run(t, plugintest.Case{Rows: rows, ShardRows: 500, Args: map[string]any{
		"method": "semantic", "model": model, "text": plugintest.Row("text"), "threshold": 0.9, "drop": false,
		"keep": plugintest.Computed{Type: "int64", Func: func(r map[string]any) any { return -int(r["n"].(int64)) }},
		"id":   plugintest.Computed{Type: "string", Func: func(r map[string]any) any { return fmt.Sprint(r["n"]) }},
	}})
	equal, duplicates, found, wrong := 0, 0, 0, 0
	for i, of := range got.Datasets[""].Column("duplicate_of") {
		leader := fmt.Sprint(want.Leaders[i])
		isDuplicate := want.Leaders[i] != i
		if of == nil && !isDuplicate || of == leader {
			equal++
		}
		if isDuplicate {
			duplicates++
			if of != nil {
				found++
			}
		}
		if of != nil && !isDuplicate {
			wrong++
		}
	}
	t.Logf("%d of %d rows have the leader of brute force; of %d duplicates, %d were found, and %d others", equal, len(rows), duplicates, found, wrong)
	if duplicates < 50 || float64(found) < 0.98*float64(duplicates) || float64(wrong) > 0.02*float64(duplicates) || float64(equal) < 0.98*float64(len(rows)) {
		t.Error("these are not the groups of brute force")
	}
}

// bruteForce embeds messages by the singular vectors of their trigrams (latent semantic
// analysis), and groups them by all cosines: each joins the first leader above the
// threshold, or becomes one.
const bruteForce = `
import json, sys
import numpy as np
lines = open(sys.argv[1], encoding="utf-8", newline="\n").read().splitlines()
texts = list(dict.fromkeys(line.split("\t", 1)[1] for line in lines))[:2000]
grams = {}
counts = []
for t in texts:
    c = {}
    for i in range(len(t) - 2):
        g = grams.setdefault(t[i:i+3].lower(), len(grams))
        c[g] = c.get(g, 0) + 1
    counts.append(c)
df = np.zeros(len(grams))
for c in counts:
    for g in c: df[g] += 1
top = np.argsort(-df, kind="stable")[:800]
at = {g: i for i, g in enumerate(top)}
m = np.zeros((len(texts), len(top)))
for r, c in enumerate(counts):
    for g, n in c.items():
        if g in at: m[r, at[g]] = np.log1p(n) * np.log(len(texts) / df[g])
_, vectors = np.linalg.eigh(m.T @ m)
e = (m @ vectors[:, -96:]).astype(np.float32)
unit = e.astype(np.float64)
length = np.linalg.norm(unit, axis=1, keepdims=True)
unit = np.where(length > 0, unit / np.maximum(length, 1e-300), 0)
leaders, of = [], []
for i in range(len(texts)):
    near = np.flatnonzero(unit[leaders] @ unit[i] >= 0.9) if leaders else []
    if len(near): of.append(leaders[near[0]])
    else: leaders.append(i); of.append(i)
json.dump({"Texts": texts, "Vectors": e.tolist(), "Leaders": of}, sys.stdout)
`

// TestAnyOrderAndAnyHistoryGiveTheSameResult changes a dataset step by step. After each
// step, the result must be that of a run from nothing, in another order and with other
// shards.
func TestAnyOrderAndAnyHistoryGiveTheSameResult(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	methods := map[string]map[string]any{
		"near":     {"method": "near", "text": plugintest.Row("text"), "id": plugintest.Row("id"), "keep": plugintest.Row("n"), "drop": false, "ngram": 3},
		"verified": {"method": "near", "text": plugintest.Row("text"), "id": plugintest.Row("id"), "drop": false, "ngram": 3, "verify": true, "threshold": 0.7},
		"exact":    {"method": "exact", "by": plugintest.Row("text"), "id": plugintest.Row("id"), "keep": plugintest.Row("n"), "drop": false},
		"semantic": {"method": "semantic", "embedding": plugintest.Row("v"), "id": plugintest.Row("id"), "keep": plugintest.Row("n"), "drop": false},
		"embedded": {"method": "semantic", "model": plugintest.FakeModel{Embed: letters}, "text": plugintest.Row("text"), "threshold": 0.9, "id": plugintest.Row("id"), "keep": plugintest.Row("n"), "drop": false},
	}
	columns := data.Schema{{Name: "id", Type: "string"}, {Name: "text", Type: "string"}, {Name: "n", Type: "int64"}, {Name: "v", Type: "list<float64>"}}
	kept := map[string]string{}
	var rows []row
	next := 0
	for step := range 100 {
		for range 1 + r.IntN(6) {
			text := sentence(r.IntN(12), slices.Collect(maps.Keys(map[int]bool{r.IntN(40): true, r.IntN(40): true}))[:r.IntN(2)]...)
			next++
			rows = slices.Insert(rows, r.IntN(len(rows)+1), row{"id": fmt.Sprint(next), "text": text, "n": r.IntN(3), "v": direction(r.IntN(12), r.IntN(3))})
		}
		for range r.IntN(4) {
			rows = slices.Delete(rows, 0, min(1, len(rows)))
		}
		other := slices.Clone(rows)
		r.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
		shardRows := 1 + r.IntN(30)
		for name, args := range methods {
			if name != "near" && step%12 > 0 {
				continue // now and then is enough
			}
			got := run(t, plugintest.Case{Rows: rows, Columns: columns, ShardRows: 7, Kept: kept[name], Args: args})
			kept[name] = got.Kept
			fresh := run(t, plugintest.Case{Rows: other, Columns: columns, ShardRows: shardRows, Args: args})
			if a, b := byID(got), byID(fresh); !reflect.DeepEqual(a, b) {
				t.Fatalf("%s, step %d:\n%v\nfrom nothing:\n%v", name, step, a, b)
			}
			if !reflect.DeepEqual(got.Datasets["clusters"], fresh.Datasets["clusters"]) || !got.Value.RawEquals(fresh.Value) {
				t.Fatalf("%s, step %d: the clusters or values differ", name, step)
			}
		}
	}
}

func byID(r *plugintest.RunResult) map[any]row {
	out := map[any]row{}
	for _, row := range r.Datasets[""].Rows {
		out[row["id"]] = row
	}
	return out
}

func TestMistakesInArgumentsAreExplained(t *testing.T) {
	for want, args := range map[string]map[string]any{
		"needs the argument by":            {"method": "exact"},
		"needs the argument text":          {"method": "near"},
		"text does not apply":              {"method": "exact", "by": plugintest.Row("text"), "text": plugintest.Row("text")},
		"The threshold 1.5 is out":         {"method": "near", "text": plugintest.Row("text"), "threshold": 1.5},
		"bands and rows belong":            {"method": "near", "text": plugintest.Row("text"), "bands": 3},
		"The parameters of the com":        {"method": "near", "text": plugintest.Row("text"), "bands": 3000, "rows": 4},
		"verify needs the method":          {"method": "exact", "by": plugintest.Row("text"), "verify": true},
		"must be a list of numbers":        {"method": "semantic", "embedding": plugintest.Row("text")},
		"cannot embed":                     {"method": "semantic", "model": plugintest.FakeChat(nil), "text": plugintest.Row("text")},
		"or model and text":                {"method": "semantic"},
		"semantic needs the argument text": {"method": "semantic", "model": plugintest.FakeModel{Embed: letters}},
		"model needs the method":           {"method": "near", "model": plugintest.FakeModel{Embed: letters}, "text": plugintest.Row("text")},
		"cannot be combined":               {"method": "semantic", "model": plugintest.FakeModel{Embed: letters}, "text": plugintest.Row("text"), "embedding": plugintest.Row("text")},
		"embedding does not apply":         {"method": "near", "text": plugintest.Row("text"), "embedding": plugintest.Row("text")},
		"id needs drop = false":            {"method": "near", "text": plugintest.Row("text"), "id": plugintest.Row("text")},
	} {
		_, err := plugintest.Run(t, served(), plugintest.Case{Kind: plugin.KindTransform, Type: "dedup", Args: args, Rows: []row{{"text": "a"}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	_, err := plugintest.Run(t, served(), plugintest.Case{Kind: plugin.KindTransform, Type: "dedup", Args: map[string]any{"method": "exact", "by": plugintest.Row("cluster"), "drop": false}, Rows: []row{{"cluster": "a"}}})
	if err == nil || !strings.Contains(err.Error(), `already has a column named "cluster"`) || !strings.Contains(err.Error(), "Rename the column of the input") {
		t.Errorf("got %v", err)
	}
}

func TestDegenerateInputs(t *testing.T) {
	for _, rows := range [][]row{{}, {{"text": "a"}}, {{"text": nil}, {"text": nil}}} {
		for _, method := range []string{"exact", "near"} {
			args := map[string]any{"method": method, "by": plugintest.Row("text")}
			if method == "near" {
				args = map[string]any{"method": method, "text": plugintest.Row("text")}
			}
			got := run(t, plugintest.Case{Rows: rows, Columns: clusterColumns[2:], Args: args})
			if n := len(got.Datasets[""].Rows); n != len(rows) {
				t.Errorf("%s: %d of %d rows are left", method, n, len(rows))
			}
		}
	}
}
