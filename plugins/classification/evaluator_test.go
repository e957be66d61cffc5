package classification

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var offer = plugin.Plugin{Name: "classification", Version: "1.0.0", Types: Types()}

// labelled are rows with a right label, a good and a bad guess.
func labelled() []map[string]any {
	target, predicted := letters()
	var rows []map[string]any
	for i := range target {
		rows = append(rows, map[string]any{"name": fmt.Sprint("r", i), "right": target[i], "good": target[i], "bad": predicted[i]})
	}
	rows[0]["good"] = nil
	rows[1]["right"] = nil
	return rows
}

func evaluate(t *testing.T, rows []map[string]any) (*plugintest.Ran, error) {
	t.Helper()
	return plugintest.Run(t, offer, plugintest.Case{
		Type: "classification", Rows: rows,
		Args: map[string]any{
			"target": plugintest.Row("right"), "id": plugintest.Row("name"),
			"subjects": map[string]any{"good": plugintest.Row("good"), "bad": plugintest.Row("bad")},
		},
	})
}

func number(t *testing.T, v cty.Value, path ...string) float64 {
	t.Helper()
	for _, step := range path {
		if v.Type().IsMapType() {
			v = v.Index(cty.StringVal(step))
		} else {
			v = v.GetAttr(step)
		}
	}
	f, _ := v.AsBigFloat().Float64()
	return f
}

func TestSubjectsAreScoredOnTheRowsThatHaveARightLabel(t *testing.T) {
	got, err := evaluate(t, labelled())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]float64{
		"scored": 199, "skipped": 1,
		"subjects good accuracy value": 198.0 / 199, "subjects good accuracy n": 199,
		"subjects good coverage value": 198.0 / 199, "subjects good errors": 0,
		"subjects bad coverage value":       1,
		"subjects bad classes e support":    40,
		"subjects bad classes f precision":  0,
		"subjects good classes a precision": 1,
	} {
		if f := number(t, got.Value, strings.Fields(path)...); !near(f, want, 1e-12) {
			t.Errorf("%s = %g, want %g", path, f, want)
		}
	}
	for _, subject := range []string{"good", "bad"} {
		for _, metric := range []string{"accuracy", "macro_f1", "weighted_f1", "coverage"} {
			value := number(t, got.Value, "subjects", subject, metric, "value")
			low, high := number(t, got.Value, "subjects", subject, metric, "low"), number(t, got.Value, "subjects", subject, metric, "high")
			if low > value || value > high || low < 0 || high > 1 {
				t.Errorf("%s of %s: %g is not in [%g, %g]", metric, subject, value, low, high)
			}
		}
	}
}

func TestSingleResultsAndConfusionsAreDatasets(t *testing.T) {
	got, err := evaluate(t, labelled())
	if err != nil {
		t.Fatal(err)
	}
	rows := got.Datasets["rows"]
	if names := strings.Join(rows.Columns.Names(), " "); names != "row id target bad good" {
		t.Errorf("columns: %s", names)
	}
	if len(rows.Rows) != 199 {
		t.Fatalf("%d rows", len(rows.Rows))
	}
	if r := rows.Rows[0]; r["row"] != int64(0) || r["id"] != "r0" || r["good"] != nil || r["bad"] == nil {
		t.Errorf("first row: %v", r)
	}
	if r := rows.Rows[1]; r["row"] != int64(2) || r["id"] != "r2" {
		t.Errorf("second row: %v", r)
	}
	counts := map[any]int64{}
	abstained := int64(0)
	for _, r := range got.Datasets["confusion"].Rows {
		counts[r["subject"]] += r["rows"].(int64)
		if r["predicted"] == nil {
			abstained += r["rows"].(int64)
		}
	}
	if counts["good"] != 199 || counts["bad"] != 199 || abstained != 1 {
		t.Errorf("confusions: %v, %d abstained", counts, abstained)
	}
}

func TestTheReportHoldsTheFiguresForPeopleAndForPrograms(t *testing.T) {
	got, err := evaluate(t, labelled())
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(got.Folders[""], pageFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# test", "199 rows were scored; 1 more", "| good | 0.9950 [", "Most frequent confusions", "(none)"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	text, err := os.ReadFile(filepath.Join(got.Folders[""], metricsFile))
	if err != nil {
		t.Fatal(err)
	}
	var m metrics
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if m.Scored != 199 || m.Subjects["bad"].Accuracy.N != 199 || m.Subjects["bad"].Classes["e"].Support != 40 {
		t.Errorf("metrics: %s", text)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	labels := plugin.Signature{}
	cases := map[string]struct {
		args map[string]any
		want string
	}{
		"no subjects":     {map[string]any{"subjects": map[string]any{}}, "nothing to score"},
		"a doubtful name": {map[string]any{"subjects": map[string]any{"target": plugintest.Row("good")}}, `"target" can't be told`},
		"a confidence of 95 %, written otherwise": {
			map[string]any{"subjects": map[string]any{"good": plugintest.Row("good")}, "confidence": 95}, "such as 0.95"},
		"a model that predicts no label": {
			map[string]any{"subjects": map[string]any{"m": plugintest.Model{Format: "acme/v1", Signature: labels}}}, "predicts no label"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.args["target"] = plugintest.Row("right")
			got, err := plugintest.Prepare(t, offer, plugintest.Case{Type: "classification", Rows: labelled(), Args: c.args})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Text, c.want) {
				t.Errorf("errors: %v", got.Errors)
			}
		})
	}
}

func TestADatasetWithoutRightLabelsCannotBeScored(t *testing.T) {
	rows := labelled()[:3]
	for _, r := range rows {
		r["right"] = nil
	}
	rows[0]["right"] = nil
	_, err := evaluate(t, rows)
	if err == nil || !strings.Contains(err.Error(), "3 have no right label") {
		t.Errorf("error: %v", err)
	}
}
