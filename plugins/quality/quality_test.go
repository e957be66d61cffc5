package quality

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quern-dev/quern/internal/spacy"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var offer = plugin.Plugin{Name: "quality", Version: "1.0.0", Types: Types()}

// block is a block with arguments, or without any.
func block(arguments map[string]any) []map[string]any {
	if arguments == nil {
		arguments = map[string]any{}
	}
	return []map[string]any{arguments}
}

func judged(t *testing.T, arguments map[string]any, texts ...any) *plugintest.MapResult {
	t.Helper()
	arguments["text"] = plugintest.Row("text")
	rows := make([]map[string]any, len(texts))
	for i, text := range texts {
		rows[i] = map[string]any{"text": text, "bad": i == 0}
	}
	got, err := plugintest.Map(t, offer, plugintest.Case{Type: "quality", Name: "clean", Args: arguments, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

const good = "The keeper of the house had to be with them, and that was all they have to say about it. "

func reasons(r *plugintest.MapResult) string { return fmt.Sprintf("%s", r.Column("clean_reasons")) }

func TestEachReasonIsNamed(t *testing.T) {
	got := judged(t, map[string]any{
		"gopher_repetition": block(nil), "gopher_quality": block(nil), "fineweb": block(nil),
		"rule": []map[string]any{{"name": "flagged", "when": plugintest.Row("bad")}},
	}, strings.Repeat(good, 4), "Too short.", "", nil, " \r\n ")
	want := `[["gopher_repetition.max_top_4gram","gopher_repetition.max_duplicate_5grams","gopher_repetition.max_duplicate_6grams","gopher_repetition.max_duplicate_7grams","gopher_repetition.max_duplicate_8grams","gopher_repetition.max_duplicate_9grams","gopher_repetition.max_duplicate_10grams","fineweb.min_line_punctuation","flagged"] ` +
		`["gopher_repetition.max_top_2gram","gopher_repetition.max_top_3gram","gopher_quality.min_words","gopher_quality.min_alphabetic_words","gopher_quality.min_stop_words","fineweb.max_short_lines"] ` +
		`["gopher_repetition.empty","gopher_quality.empty","fineweb.empty"] ["null"] ["gopher_quality.empty","fineweb.empty"]]`
	if reasons(got) != want {
		t.Errorf("reasons:\n%s\nwant:\n%s", reasons(got), want)
	}
	if keep := fmt.Sprint(got.Column("clean_keep")); keep != "[false false false false false]" {
		t.Errorf("keep: %s", keep)
	}
}

func TestLimitsAndRulesCanBeChanged(t *testing.T) {
	text := "Few words, but enough of them to be kept."
	got := judged(t, map[string]any{"gopher_quality": block(map[string]any{
		"min_words": 5, "min_alphabetic_words": 0.5, "stop_words": []string{"enough", "them"},
	})}, text)
	if reasons(got) != "[[]]" || got.Column("clean_keep")[0] != true {
		t.Errorf("reasons: %s", reasons(got))
	}
	got = judged(t, map[string]any{"gopher_quality": block(map[string]any{"without": []string{"min_words"}})}, text)
	if reasons(got) != "[[]]" {
		t.Errorf("reasons: %s", reasons(got))
	}
}

// Later sets judge the text that C4 leaves.
func TestC4RemovesLines(t *testing.T) {
	got := judged(t, map[string]any{"c4": block(map[string]any{"min_sentences": 1}), "fineweb": block(nil)},
		"Menu\nHome\nAbout\nThis is a sentence of the article.[1]\nPlease enable JavaScript now.\nAnd this one is, too.", "Menu\nHome")
	if left := fmt.Sprintf("%q", got.Column("clean_text")); left != `["This is a sentence of the article.\nAnd this one is, too." ""]` {
		t.Errorf("left: %s", left)
	}
	if reasons(got) != `[[] ["c4.min_sentences","fineweb.empty"]]` {
		t.Errorf("reasons: %s", reasons(got))
	}
}

func TestMeasuresBecomeColumns(t *testing.T) {
	got := judged(t, map[string]any{"measures": true, "fineweb": block(nil)}, "one two\nthree four.\n", "")
	want := map[string]any{
		"clean_fineweb_min_line_punctuation": 0.5, "clean_fineweb_max_short_lines": 1.0,
		"clean_fineweb_max_duplicate_line_chars": 0.0, "clean_fineweb_max_line_feeds": 0.4,
	}
	for column, value := range want {
		if c := got.Column(column); c[0] != value || c[1] != nil {
			t.Errorf("%s: %v, want %v", column, c, value)
		}
	}
}

func TestOddTexts(t *testing.T) {
	all := map[string]any{"gopher_repetition": block(nil), "gopher_quality": block(nil), "c4": block(nil), "refinedweb": block(nil), "fineweb": block(nil)}
	got := judged(t, all, "\r", "\x00", "\u200b", strings.Repeat("a", 300_000), strings.Repeat("\n", 100_000), strings.Repeat("- \n", 1000), strings.Repeat("…", 5000), "[", "[[1]", "[12x] a b.")
	if len(got.Failures) > 0 {
		t.Errorf("failures: %v", got.Failures)
	}
}

func TestMistakesAreReportedWhenPlanning(t *testing.T) {
	for _, c := range []struct {
		args map[string]any
		rows map[string]any
		want string
	}{
		{map[string]any{}, nil, "The stage has no rules"},
		{map[string]any{"fineweb": block(map[string]any{"without": []string{"min_words"}})}, nil, `fineweb has no rule "min_words"`},
		{map[string]any{"fineweb": block(nil)}, map[string]any{"text": "x", "clean_keep": true}, `already has a column named "clean_keep"`},
		{map[string]any{"rule": []map[string]any{{"name": "a", "when": plugintest.Row("bad")}, {"name": "a", "when": plugintest.Row("bad")}}}, nil, `two rules named "a"`},
	} {
		c.args["text"] = plugintest.Row("text")
		if c.rows == nil {
			c.rows = map[string]any{"text": "x", "bad": true}
		}
		_, err := plugintest.Map(t, offer, plugintest.Case{Type: "quality", Name: "clean", Args: c.args, Rows: []map[string]any{c.rows}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %s", c.args, err, c.want)
		}
	}
}

// quality does not depend on what was judged before.
func FuzzVerdictsDependOnTheTextAlone(f *testing.F) {
	for _, text := range []string{"", good, "a\r\nb\u2028c [1] {x}", "ab c a bc ab c", "\xff\xfe 日本 :) ...…", "U.S. e.g. http://a.bc/d don't 10km"} {
		f.Add(text)
	}
	d, sets := &document{tokenizer: tokenizer("en")}, defaults()
	f.Fuzz(func(t *testing.T, text string) {
		fresh := &document{tokenizer: tokenizer("en")}
		for _, s := range sets {
			d.reset(text)
			fresh.reset(text)
			if used, first := firstFailed(d, s), firstFailed(fresh, s); used != first {
				t.Errorf("%s: %q at first, then %q", s.name(), first, used)
			}
		}
		d.reset(text)
		if words := strings.Join(d.allWords(), ""); words != strings.Join(strings.FieldsFunc(text, spacy.IsSpace), "") {
			t.Errorf("%q has the words %q", text, d.allWords())
		}
	})
}

func TestRefinedWebCorrectsTheTextForLaterSets(t *testing.T) {
	long := strings.Repeat("This line has a few words. ", 20)
	got := judged(t, map[string]any{"refinedweb": block(nil), "fineweb": block(nil)},
		long+"\nREAD MORE\n3 likes", long, "!!!", long+strings.Repeat("\n7 comments", 9))
	if reasons(got) != `[[] [] ["refinedweb.empty","fineweb.empty"] ["refinedweb.max_removed_words"]]` {
		t.Errorf("the reasons are %s", reasons(got))
	}
	trimmed := strings.TrimSpace(long)
	for i, want := range []string{trimmed, trimmed, "", trimmed} {
		if have := got.Rows[i]["clean_text"]; have != want {
			t.Errorf("row %d: the text is %q", i, have)
		}
	}
}
