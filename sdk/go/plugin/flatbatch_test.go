package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

type wordsArgs struct {
	Input plugin.Dataset `quern:"input,required"`
	Text  plugin.Column  `quern:"text,required" type:"string"`
	Way   string         `quern:"way"`
}

// words produces a row for each word, or fails in the way that it is told to.
type words struct{}

func (words) Prepare(_ context.Context, p *plugin.Prepare[wordsArgs]) error {
	p.KeepInput("input")
	p.AddColumn("word", "string")
	p.AddColumn("length", "int64")
	return nil
}

func (words) FlatMap(_ context.Context, a *wordsArgs, b *plugin.FlatBatch) error {
	switch a.Way {
	case "backward":
		b.Yield(1)
		b.Yield(0)
	case "beyond":
		b.SetInt("length", b.Yield(b.N), 1)
	case "unyielded":
		b.SetInt("length", 0, 1)
	case "twice":
		b.YieldCounts(make([]int64, b.N))
		b.YieldCounts(make([]int64, b.N))
	case "negative":
		b.YieldCounts(slices.Repeat([]int64{-1}, b.N))
	case "late":
		empty := array.NewInt64Builder(memory.DefaultAllocator)
		b.SetArray("length", empty.NewArray())
		b.Yield(0)
	case "batch":
		for range b.N { // depends on the batch
			b.Yield(0)
		}
	default:
		texts := b.Strings(a.Text)
		for i := range b.N {
			text, ok := texts.At(i)
			if !ok {
				b.Fail(i, false, errors.New("it has no text"))
			}
			for _, word := range strings.Fields(text) {
				out := b.Yield(i)
				b.SetString("word", out, word)
				if word != "?" {
					b.SetInt("length", out, int64(len(word)))
				}
			}
		}
	}
	return nil
}

var wordy = plugin.Plugin{Name: "acme", Version: "1.0.0", Types: []plugin.Type{
	plugin.NewFlatMapper(plugin.Info{Kind: plugin.KindTransform, Name: "acme_words", BehaviorVersion: 1}, words{}),
}}

func flat(t testing.TB, way any, texts ...any) (*plugintest.FlatMapResult, error) {
	t.Helper()
	var rows []map[string]any
	for i, text := range texts {
		rows = append(rows, map[string]any{"id": i, "text": text})
	}
	return plugintest.FlatMap(t, wordy, plugintest.Case{
		Kind: plugin.KindTransform, Type: "acme_words", Args: map[string]any{"text": plugintest.Row("text"), "way": way}, Rows: rows,
	})
}

func TestAFlatMapperProducesAnyNumberOfRows(t *testing.T) {
	got, err := flat(t, nil, "one two", "", nil, "three ?", "")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range got.Rows {
		all = append(all, fmt.Sprint([]any{r["id"], r["text"], r["word"], r["length"]}))
	}
	if want := "[0 one two one 3] [0 one two two 3] [3 three ? three 5] [3 three ? ? <nil>]"; strings.Join(all, " ") != want {
		t.Errorf("got %v", all)
	}
	if !slices.Equal(got.Counts, []int{2, 0, 0, 2, 0}) || len(got.Failures) != 1 || got.Failures[2] != "it has no text" {
		t.Errorf("got %v, failures %v", got.Counts, got.Failures)
	}
}

func TestAFaultyFlatMapperIsNamed(t *testing.T) {
	for way, want := range map[string]string{
		"backward":  "yields for row 0 after row 1",
		"beyond":    "yields for row",
		"unyielded": `column "length" is set for row 0, but the batch has 0 rows`,
		"twice":     "or after Yield",
		"negative":  "calls YieldCounts with -1 rows",
		"late":      "has 0 values from SetArray",
	} {
		_, err := flat(t, way, "a", "b", "c", "d")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `plugin "acme" is faulty`) || !strings.Contains(err.Error(), `transform "acme_words"`) {
			t.Errorf("%s: got %v", way, err)
		}
	}
}

// quiet records what a test reports.
type quiet struct {
	testing.TB
	said []string
}

func (q *quiet) Helper() {}
func (q *quiet) Errorf(format string, args ...any) {
	q.said = append(q.said, fmt.Sprintf(format, args...))
}

func TestTheHarnessFindsRowsThatDependOnTheirBatch(t *testing.T) {
	q := &quiet{TB: t}
	if _, err := flat(q, "batch", "a", "b", "c", "d"); err != nil {
		t.Fatal(err)
	}
	if len(q.said) == 0 || !strings.Contains(q.said[0], "depends on its batch") {
		t.Errorf("it said %v", q.said)
	}
}
