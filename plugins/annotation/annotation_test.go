package annotation

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var offer = plugin.Plugin{Name: "annotation", Version: "1.0.0", Types: Types()}

func run(t *testing.T, typ string, rows []map[string]any, given map[string]any) *plugintest.RunResult {
	t.Helper()
	got, err := plugintest.Run(t, offer, plugintest.Case{Type: typ, Name: "topic", Args: given, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func columns(names ...string) map[string]any {
	votes := map[string]any{}
	for _, n := range names {
		votes[n] = plugintest.Row(n)
	}
	return votes
}

func long() map[string]any {
	return map[string]any{"item": plugintest.Row("item"), "annotator": plugintest.Row("annotator"), "label": plugintest.Row("label")}
}

func number(t *testing.T, v cty.Value, path ...string) float64 {
	t.Helper()
	for _, step := range path {
		if v.Type().IsMapType() {
			v = v.Index(cty.StringVal(step))
			continue
		}
		v = v.GetAttr(step)
	}
	if v.IsNull() {
		return math.NaN()
	}
	f, _ := v.AsBigFloat().Float64()
	return f
}

func TestTheMajorityDecidesTheLabelAndATieGivesNone(t *testing.T) {
	rows := []map[string]any{
		{"text": "1", "a": "x", "b": "x", "c": "y"}, {"text": "2", "a": "x", "b": "y", "c": nil},
		{"text": "3", "a": nil, "b": nil, "c": nil}, {"text": "4", "a": "y", "b": "y", "c": "y"},
	}
	got := run(t, "vote", rows, map[string]any{"votes": columns("a", "b", "c")})
	out := got.Datasets[""]
	if names := strings.Join(out.Columns.Names(), " "); names != "a b c text topic topic_confidence topic_votes" {
		t.Errorf("columns: %s", names)
	}
	if line := fmt.Sprint(out.Column("topic"), out.Column("topic_votes"), out.Column("text")); line != "[x <nil> <nil> y] [3 2 0 3] [1 2 3 4]" {
		t.Errorf("labels: %s", line)
	}
	if c := number(t, got.Value, "coverage", "topic"); c != 0.5 {
		t.Errorf("coverage: %v", c)
	}
	// If there is a tie, the first label is chosen: x, which a said and b did
	// not.
	if a, b := number(t, got.Value, "annotators", "a", "accuracy"), number(t, got.Value, "annotators", "b", "accuracy"); a != 1 || math.Abs(b-2.0/3) > 1e-9 {
		t.Errorf("accuracies: %v, %v", a, b)
	}
	first := run(t, "vote", rows, map[string]any{"votes": columns("a", "b", "c"), "ties": "first", "min_votes": 3})
	if line := fmt.Sprint(first.Datasets[""].Column("topic")); line != "[x <nil> <nil> y]" {
		t.Errorf("labels: %s", line)
	}
}

func TestTheLabelModelFindsReliableAnnotators(t *testing.T) {
	// c always gives the wrong label. The two others are right except for one
	// item each.
	var rows []map[string]any
	for i := range 40 {
		truth, other := "x", "y"
		if i%2 == 1 {
			truth, other = other, truth
		}
		a, b := truth, truth
		if i == 0 {
			a = other
		}
		if i == 3 {
			b = other
		}
		for annotator, label := range map[string]string{"a": a, "b": b, "c": other} {
			rows = append(rows, map[string]any{"item": fmt.Sprint(i), "annotator": annotator, "label": label})
		}
	}
	given := long()
	given["method"] = "dawid_skene"
	given["smoothing"] = 0.1
	got := run(t, "vote", rows, given)
	for i, row := range got.Datasets[""].Rows {
		want := "x"
		if i%2 == 1 {
			want = "y"
		}
		if row["item"] != fmt.Sprint(i) || row["topic"] != want {
			t.Errorf("item %d: %v", i, row)
		}
	}
	if c := number(t, got.Value, "annotators", "c", "accuracy"); c > 0.1 {
		t.Errorf("the accuracy of the one who errs: %v", c)
	}
	if c := confusion(got, "c", "x", "y"); c == nil || c["votes"] != int64(20) || c["probability"].(float64) < 0.9 {
		t.Errorf("what the one who errs says of x: %v", c)
	}
}

// confusion returns the row of a cell, or nil if there is none.
func confusion(got *plugintest.RunResult, annotator, label, given string) map[string]any {
	for _, row := range got.Datasets["confusion"].Rows {
		if row["annotator"] == annotator && row["label"] == label && row["given"] == given {
			return row
		}
	}
	return nil
}

func TestTheValueStaysSmallWithManyLabels(t *testing.T) {
	// A table of annotators by labels squared would be 44 * 926 * 926 numbers.
	var rows []map[string]any
	for i := range 1000 {
		rows = append(rows, map[string]any{"item": fmt.Sprint(i / 2), "annotator": fmt.Sprint(i % 44), "label": fmt.Sprint(i % 926)})
	}
	for _, method := range []string{"majority", "dawid_skene"} {
		given := long()
		given["method"] = method
		got := run(t, "vote", rows, given)
		if n := len(got.Datasets["confusion"].Rows); n < 900 || n > 1000 {
			t.Errorf("%s: %d rows of confusions", method, n)
		}
		text, err := ctyjson.Marshal(got.Value, got.Value.Type())
		if err != nil || len(text) > 8000 {
			t.Errorf("%s: a value of %d bytes (%v)", method, len(text), err)
		}
	}
}

func TestConfusionsContainOnlyCombinationsThatOccur(t *testing.T) {
	rows := []map[string]any{
		{"a": "x", "b": "x", "c": "y"}, {"a": "x", "b": "x", "c": "x"}, {"a": "y", "b": "y", "c": "y"},
	}
	got := run(t, "vote", rows, map[string]any{"votes": columns("a", "b", "c")})
	if n := len(got.Datasets["confusion"].Rows); n != 7 {
		t.Errorf("%d rows: %v", n, got.Datasets["confusion"].Rows)
	}
	if c := confusion(got, "c", "x", "y"); c == nil || c["votes"] != int64(1) || c["probability"] != 0.5 {
		t.Errorf("c of x: %v", c)
	}
}

func TestTheValueListsTheAnnotatorsWithTheMostVotes(t *testing.T) {
	var rows []map[string]any
	for i := range 1200 {
		rows = append(rows, map[string]any{"item": "1", "annotator": fmt.Sprint(i), "label": "x"})
	}
	rows = append(rows, map[string]any{"item": "2", "annotator": "1199", "label": "x"})
	got := run(t, "vote", rows, long())
	if n := got.Value.GetAttr("annotators").LengthInt(); n != 1000 || number(t, got.Value, "annotators", "1199", "votes") != 2 {
		t.Errorf("%d annotators", n)
	}
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "1000 of 1200 annotators") {
		t.Errorf("warnings: %q", got.Warnings)
	}
}

func TestAModelThatDoesNotConvergeIsReported(t *testing.T) {
	for iterations, want := range map[int]int{2: 1, 200: 0} {
		given := long()
		given["method"], given["max_iterations"] = "dawid_skene", iterations
		got := run(t, "vote", votes(t, "binary5.csv"), given)
		if len(got.Warnings) != want || want > 0 && !strings.Contains(got.Warnings[0], "did not converge in 2 iterations") {
			t.Errorf("%d iterations: %q", iterations, got.Warnings)
		}
	}
}

// votes reads a file of votes that the tests of package stats use, too.
func votes(t *testing.T, name string) []map[string]any {
	t.Helper()
	f, err := os.Open("../../plugins/stats/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	for _, l := range lines[1:] {
		row := map[string]any{}
		for i, column := range lines[0] {
			row[column] = l[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// published returns the votes of the worked example with three annotators in
// Krippendorff, Computing Krippendorff's Alpha-Reliability (2011).
func published(t *testing.T) []map[string]any { return votes(t, "krippendorff-3x15.csv") }

func TestTheLabelModelIsCloseToGoldLabels(t *testing.T) {
	gold := map[any]any{}
	for _, row := range votes(t, "binary5-gold.csv") {
		gold[row["item"]] = row["gold"]
	}
	right := map[string]int{}
	for _, method := range []string{"majority", "dawid_skene"} {
		given := long()
		given["method"] = method
		for _, row := range run(t, "vote", votes(t, "binary5.csv"), given).Datasets[""].Rows {
			if row["topic"] == gold[row["item"]] {
				right[method]++
			}
		}
	}
	if right["dawid_skene"] < 150 || right["dawid_skene"] < right["majority"] {
		t.Errorf("right of %d: %v", len(gold), right)
	}
}

func TestAlphaMatchesThePublishedExample(t *testing.T) {
	for level, want := range map[string]float64{"nominal": 0.69135802, "ordinal": 0.80672142, "interval": 0.81084489} {
		given := long()
		given["level"] = level
		got := run(t, "agreement", published(t), given)
		if alpha := number(t, got.Value, "alpha", "value"); math.Abs(alpha-want) > 1e-6 {
			t.Errorf("%s: %v, want %v", level, alpha, want)
		}
		if low, high := number(t, got.Value, "alpha", "low"), number(t, got.Value, "alpha", "high"); !(low < want && want < high) {
			t.Errorf("%s: from %v to %v", level, low, high)
		}
		if fleiss := number(t, got.Value, "fleiss", "value"); !math.IsNaN(fleiss) {
			t.Errorf("Fleiss' kappa with missing votes: %v", fleiss)
		}
	}
}

func TestCohensKappaOfTwoAnnotators(t *testing.T) {
	// A table whose Cohen's kappa is 0.4: 20, 5, 10, 15.
	var rows []map[string]any
	for _, c := range []struct {
		n    int
		a, b string
	}{{20, "yes", "yes"}, {5, "yes", "no"}, {10, "no", "yes"}, {15, "no", "no"}} {
		for range c.n {
			rows = append(rows, map[string]any{"a": c.a, "b": c.b})
		}
	}
	got := run(t, "agreement", rows, map[string]any{"votes": columns("a", "b")})
	if kappa := number(t, got.Value, "cohen", "a - b", "value"); math.Abs(kappa-0.4) > 1e-9 {
		t.Errorf("kappa: %v", kappa)
	}
	if n := number(t, got.Value, "fleiss", "n"); n != 50 {
		t.Errorf("items: %v", n)
	}
	page, err := os.ReadFile(got.Folders[""] + "/report.md")
	if err != nil || !strings.Contains(string(page), "| Cohen's kappa, a - b | 0.4000 [") {
		t.Errorf("page: %s (%v)", page, err)
	}
}

func TestMistakesInTheArgumentsAreReported(t *testing.T) {
	for name, c := range map[string]struct {
		args map[string]any
		want string
	}{
		"nothing":       {map[string]any{}, "The votes are missing"},
		"one annotator": {map[string]any{"votes": columns("label")}, "one annotator"},
		"both forms":    {map[string]any{"votes": columns("label", "item"), "item": plugintest.Row("item")}, "cannot be combined"},
	} {
		got, err := plugintest.Prepare(t, offer, plugintest.Case{Type: "agreement", Rows: published(t), Args: c.args})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Text, c.want) {
			t.Errorf("%s: %v", name, got.Errors)
		}
	}
	given := long()
	given["level"] = "interval"
	_, err := plugintest.Run(t, offer, plugintest.Case{Type: "agreement", Rows: []map[string]any{{"item": "1", "annotator": "a", "label": "high"}}, Args: given})
	if err == nil || !strings.Contains(err.Error(), `"high" is not a number`) {
		t.Errorf("error: %v", err)
	}
}

// rated returns rows of two annotators' labels.
func rated(pairs ...[2]any) []map[string]any {
	var rows []map[string]any
	for _, p := range pairs {
		rows = append(rows, map[string]any{"a": p[0], "b": p[1]})
	}
	return rows
}

var texts = rated([2]any{"low", "low"}, [2]any{"low", "medium"}, [2]any{"medium", "medium"}, [2]any{"high", "high"}, [2]any{"high", "medium"}, [2]any{"low", "low"})

func TestTheOrderOfTextsIsNotGuessed(t *testing.T) {
	for name, given := range map[string]map[string]any{
		"ordinal": {"level": "ordinal"}, "linear": {"weights": "linear"}, "quadratic": {"weights": "quadratic"},
	} {
		given["votes"] = columns("a", "b")
		_, err := plugintest.Run(t, offer, plugintest.Case{Type: "agreement", Rows: texts, Args: given})
		if err == nil || !strings.Contains(err.Error(), "The order of the labels is unknown") ||
			!strings.Contains(err.Error(), `The labels are "high", "low", "medium"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnOrderOfTextsGivesTheSameFiguresAsNumbers(t *testing.T) {
	as := map[any]any{"low": "1", "medium": "2", "high": "10"}
	var numbers []map[string]any
	for _, row := range texts {
		numbers = append(numbers, map[string]any{"a": as[row["a"]], "b": as[row["b"]]})
	}
	for _, level := range []string{"ordinal", "nominal"} {
		given := map[string]any{"votes": columns("a", "b"), "level": level, "weights": "linear"}
		want := run(t, "agreement", numbers, given)
		given["order"] = []any{"low", "medium", "high"}
		if got := run(t, "agreement", texts, given); !got.Value.RawEquals(want.Value) {
			t.Errorf("%s: %#v, want %#v", level, got.Value, want.Value)
		}
		// Alphabetically, high and low are neighbors.
		given["order"] = []any{"high", "low", "medium"}
		if got := run(t, "agreement", texts, given); got.Value.RawEquals(want.Value) {
			t.Errorf("%s: the order changes nothing", level)
		}
	}
}

func TestEqualNumbersAreOneLabelInAllFigures(t *testing.T) {
	plain := rated([2]any{"1", "1"}, [2]any{"2", "2"}, [2]any{"1", "2"}, [2]any{"3", "3"})
	written := rated([2]any{"1", "1.0"}, [2]any{"2.00", " 2"}, [2]any{"1e0", "2"}, [2]any{"3", "3.0"})
	for _, level := range []string{"ordinal", "interval"} {
		given := map[string]any{"votes": columns("a", "b"), "level": level}
		want, got := run(t, "agreement", plain, given), run(t, "agreement", written, given)
		if !got.Value.RawEquals(want.Value) {
			t.Errorf("%s: %#v, want %#v", level, got.Value, want.Value)
		}
	}
	// Texts that differ are two labels in all figures.
	got := run(t, "agreement", rated([2]any{"1", "1.0"}, [2]any{"1.0", "1"}, [2]any{"1", "1.0"}), map[string]any{"votes": columns("a", "b")})
	for _, path := range [][]string{{"alpha", "value"}, {"fleiss", "value"}, {"cohen", "a - b", "value"}} {
		if v := number(t, got.Value, path...); v >= 0 {
			t.Errorf("%v: %v", path, v)
		}
	}
}

func TestWithoutVotesFiguresAreNullAndThereIsAWarning(t *testing.T) {
	given := map[string]any{"votes": columns("a", "b")}
	for name, c := range map[string]plugintest.Case{
		"all null": {Args: given, Rows: rated([2]any{nil, nil}, [2]any{nil, nil})},
		"no rows":  {Args: given, Rows: []map[string]any{}, Columns: data.Schema{{Name: "a", Type: "string"}, {Name: "b", Type: "string"}}},
		"rows of votes": {Args: long(), Rows: []map[string]any{{"item": "1", "annotator": "a", "label": nil}},
			Columns: data.Schema{{Name: "item", Type: "string"}, {Name: "annotator", Type: "string"}, {Name: "label", Type: "string"}}},
	} {
		c.Type = "agreement"
		got, err := plugintest.Run(t, offer, c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "There are no votes") {
			t.Errorf("%s: warnings: %v", name, got.Warnings)
		}
		for _, figure := range []string{"alpha", "fleiss"} {
			if n, v := number(t, got.Value, figure, "n"), number(t, got.Value, figure, "value"); n != 0 || !math.IsNaN(v) {
				t.Errorf("%s: %s is %v of %v items", name, figure, v, n)
			}
		}
	}
}

func TestAnInvalidOrderIsReported(t *testing.T) {
	for want, given := range map[string]map[string]any{
		"twice":         {"level": "ordinal", "order": []any{"low", "low"}},
		"has no effect": {"order": []any{"low", "high"}},
		"are numbers":   {"level": "interval", "order": []any{"low", "high"}},
		"not list":      {"level": "ordinal", "order": []any{"low", "high"}},
	} {
		given["votes"] = columns("a", "b")
		_, err := plugintest.Run(t, offer, plugintest.Case{Type: "agreement", Rows: texts, Args: given})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
