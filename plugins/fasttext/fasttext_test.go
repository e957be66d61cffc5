package fasttext

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

func offer(root string) plugin.Plugin {
	return plugin.Plugin{Name: "fasttext", Version: "1.0.0", Types: Types(func() string { return root })}
}

var models = filepath.Join("..", "..", "internal", "fasttext", "testdata")

func rows(texts ...any) []map[string]any {
	out := make([]map[string]any, len(texts))
	for i, text := range texts {
		out[i] = map[string]any{"text": text}
	}
	return out
}

func identify(t *testing.T, args map[string]any, texts ...any) (*plugintest.MapResult, error) {
	t.Helper()
	args["text"] = plugintest.Row("text")
	return plugintest.Map(t, offer(models), plugintest.Case{Type: "language", Name: "language", Args: args, Rows: rows(texts...)})
}

func TestLanguagesAreIdentified(t *testing.T) {
	got, err := identify(t, map[string]any{},
		"I am still waiting for my card to arrive.", "Ich warte noch immer\nauf die neue Karte.", "新しいカードがまだ届いていません。",
		nil, "", " \t\n", "4815 162342 !!", "ok", strings.Repeat("La carte n'est pas arrivée. ", 10_000), "\r", "a\x00b")
	if err != nil {
		t.Fatal(err)
	}
	if labels := fmt.Sprint(got.Column("language")); labels != "[en de ja <nil> und und und en fr und und]" {
		t.Errorf("labels: %s", labels)
	}
	confidence := got.Column("language_confidence")
	if confidence[3] != nil || confidence[4] != 0.0 || confidence[0].(float64) < 0.8 {
		t.Errorf("confidences: %v", confidence)
	}
}

func TestOnlySomeLanguagesAreConsidered(t *testing.T) {
	got, err := identify(t, map[string]any{"among": []string{"nl", "fr"}, "threshold": 0.001}, "De kaart is er nog niet.", "Die Karte ist noch nicht da.", "新しいカードがまだ届いていません。")
	if err != nil {
		t.Fatal(err)
	}
	if labels := fmt.Sprint(got.Column("language")); labels != "[nl und und]" {
		t.Errorf("labels: %s, confidences: %v", labels, got.Column("language_confidence"))
	}
}

func TestAnotherModelForLanguages(t *testing.T) {
	got, err := identify(t, map[string]any{"path": "hierarchical.bin"}, "Everyone has the right to freedom", "Jeder hat das Recht auf")
	if err != nil {
		t.Fatal(err)
	}
	if labels := fmt.Sprint(got.Column("language")); labels != "[en de]" {
		t.Errorf("labels: %s", labels)
	}
}

func TestALabelTheProbabilitiesOfOthersAndTheBestOnes(t *testing.T) {
	got, err := plugintest.Map(t, offer(models), plugintest.Case{
		Type: "fasttext", Name: "kind",
		Args: map[string]any{"text": plugintest.Row("text"), "path": "softmax.bin", "scores": []string{"en", "tr"}, "top": 2, "threshold": 0.6},
		Rows: rows("Everyone has the right to freedom", "", "Jeder hat das Recht", nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	if names := strings.Join(got.Columns.Names(), " "); names != "text kind kind_confidence kind_en kind_tr kind_top" {
		t.Errorf("columns: %s", names)
	}
	if labels := fmt.Sprint(got.Column("kind")); labels != "[en <nil> de <nil>]" {
		t.Errorf("labels: %s", labels)
	}
	if en := got.Column("kind_en"); en[0] != got.Column("kind_confidence")[0] || en[2].(float64) > 0.1 || en[3] != nil {
		t.Errorf("probabilities of en: %v", en)
	}
	top := fmt.Sprintf("%s", got.Column("kind_top"))
	if !strings.HasPrefix(top, `[[{"label":"en","probability":0.95`) || !strings.Contains(top, `},{"label":"tr",`) || strings.Count(top, "label") != 4 {
		t.Errorf("top: %s", top)
	}
}

func TestMistakesAreReportedWhenPlanning(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "text.bin"), []byte("intent,text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	words, err := filepath.Abs(filepath.Join(models, "words.bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind string
		args map[string]any
		want string
	}{
		{"language", map[string]any{"path": "missing.ftz"}, "missing.ftz: no such file"},
		{"language", map[string]any{"path": "text.bin"}, "text.bin: the file is not a fastText model"},
		{"language", map[string]any{"path": "."}, "not a regular file"},
		{"language", map[string]any{"among": []string{"en", "xx"}}, `The model has no label "xx"`},
		{"language", map[string]any{"among": []string{}}, "among is empty"},
		{"language", map[string]any{"threshold": 1.5}, "threshold must be from 0 to 1, not 1.5"},
		{"fasttext", map[string]any{"path": words, "scores": []string{"hq"}}, `The model has no label "hq"`},
		{"fasttext", map[string]any{"path": words, "scores": []string{"confidence"}}, `Two columns would be named "test_confidence"`},
		{"fasttext", map[string]any{"path": words, "top": -1}, "top must be at least 0"},
		{"fasttext", map[string]any{"path": words, "threshold": -0.1}, "threshold must be from 0 to 1"},
	} {
		c.args["text"] = plugintest.Row("text")
		_, err := plugintest.Map(t, offer(dir), plugintest.Case{Type: c.kind, Args: c.args, Rows: rows("x")})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %s", c.args, err, c.want)
		}
	}
}
