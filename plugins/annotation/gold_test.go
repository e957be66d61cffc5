package annotation

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// judged returns the votes in a file, with the gold labels of its items.
func judged(t *testing.T, file string) (rows []map[string]any, gold map[string]string) {
	t.Helper()
	gold = map[string]string{}
	for _, row := range votes(t, strings.TrimSuffix(file, ".csv")+"-gold.csv") {
		gold[row["item"].(string)] = row["gold"].(string)
	}
	rows = votes(t, file)
	for _, row := range rows {
		row["gold"] = nil
		if g, known := gold[row["item"].(string)]; known {
			row["gold"] = g
		}
	}
	return rows, gold
}

func withGold(method string) map[string]any {
	given := long()
	given["method"], given["gold"] = method, plugintest.Row("gold")
	return given
}

// figuresOf computes the figures of confidences from their definitions.
const figuresOf = `
import json, sys
import numpy as np
c, r = (np.array(x, float) for x in json.load(open(sys.argv[1])))
at = np.searchsorted(np.linspace(0, 1, 16)[1:-1], c)
ece = sum(abs((c - r)[at == b].sum()) for b in range(15)) / len(c)
print(json.dumps([ece, ((c - r) ** 2).mean(), c.mean(), r.mean()]))
`

func TestGoldShowsHowAccurateConfidencesAre(t *testing.T) {
	for _, file := range []string{"binary5.csv", "site-rating.csv"} {
		for _, method := range []string{"majority", "dawid_skene", "mace"} {
			rows, gold := judged(t, file)
			given := withGold(method)
			given["ties"], given["calibration"] = "first", "none"
			got := run(t, "vote", rows, given)
			var confidences, right []float64
			for _, row := range got.Datasets[""].Rows {
				confidences = append(confidences, row["topic_confidence"].(float64))
				right = append(right, map[bool]float64{true: 1}[row["topic"] == gold[row["item"].(string)]])
			}
			text, err := json.Marshal([]any{confidences, right})
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "given.json")
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
			var want [4]float64
			if err := json.Unmarshal(reference.Python(t, figuresOf, path), &want); err != nil {
				t.Fatal(err)
			}
			c := got.Value.GetAttr("calibration")
			for i, path := range [][]string{{"before", "ece"}, {"before", "brier"}, {"before", "confidence"}, {"accuracy"}} {
				if v := number(t, c, path...); math.Abs(v-want[i]) > 1e-9 {
					t.Errorf("%s, %s: %v is %v, want %v", file, method, path, v, want[i])
				}
			}
			if n := number(t, c, "n"); n != float64(len(gold)) || !c.GetAttr("after").IsNull() || !c.GetAttr("temperature").IsNull() {
				t.Errorf("%s, %s: %#v", file, method, c)
			}
		}
	}
}

func TestGoldCalibratesTheConfidencesOfModels(t *testing.T) {
	for _, file := range []string{"binary5.csv", "site-rating.csv"} {
		for _, method := range []string{"dawid_skene", "mace"} {
			rows, gold := judged(t, file)
			given := withGold(method)
			got := run(t, "vote", rows, given)
			given["calibration"] = "none"
			plain := run(t, "vote", rows, given)
			if fmt.Sprint(got.Datasets[""].Column("topic")) != fmt.Sprint(plain.Datasets[""].Column("topic")) {
				t.Errorf("%s, %s: the labels differ", file, method)
			}
			c := got.Value.GetAttr("calibration")
			t.Logf("%s, %s: temperature %.2f, accuracy %.3f, confidence %.3f -> %.3f, ECE %.3f -> %.3f, Brier %.3f -> %.3f", file, method,
				number(t, c, "temperature"), number(t, c, "accuracy"), number(t, c, "before", "confidence"), number(t, c, "after", "confidence"),
				number(t, c, "before", "ece"), number(t, c, "after", "ece"), number(t, c, "before", "brier"), number(t, c, "after", "brier"))
			if number(t, c, "before", "ece") < 0.15 || number(t, c, "after", "ece") > 0.12 || number(t, c, "after", "brier") > number(t, c, "before", "brier")-0.02 {
				t.Errorf("%s, %s: it is not calibrated", file, method)
			}
			var mean float64
			for _, row := range got.Datasets[""].Rows {
				mean += row["topic_confidence"].(float64) / float64(len(gold))
			}
			if math.Abs(mean-number(t, c, "accuracy")) > 0.06 {
				t.Errorf("%s, %s: the mean confidence is %g", file, method, mean)
			}
		}
	}
}

func TestCalibrationDoesNotDependOnTheOrderOfRows(t *testing.T) {
	rows, _ := judged(t, "binary5.csv")
	for _, method := range []string{"dawid_skene", "mace"} {
		want := run(t, "vote", rows, withGold(method))
		shuffled := slices.Clone(rows)
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		got := run(t, "vote", shuffled, withGold(method))
		for _, path := range [][]string{{"temperature"}, {"before", "ece"}, {"after", "ece"}, {"after", "brier"}} {
			a, b := number(t, got.Value.GetAttr("calibration"), path...), number(t, want.Value.GetAttr("calibration"), path...)
			if math.Abs(a-b) > 1e-6 {
				t.Errorf("%s: %v is %v, and %v in another order", method, path, b, a)
			}
		}
	}
}

func TestGoldOfColumnsComesFromTheSameRow(t *testing.T) {
	rows := []map[string]any{
		{"a": "x", "b": "x", "gold": "x"}, {"a": "y", "b": "y", "gold": "x"}, {"a": "x", "b": "x", "gold": nil},
		{"a": nil, "b": nil, "gold": "x"}, {"a": "y", "b": "y", "gold": "nobody said that"},
	}
	got := run(t, "vote", rows, map[string]any{"votes": columns("a", "b"), "gold": plugintest.Row("gold")})
	c := got.Value.GetAttr("calibration")
	if n, accuracy, ece := number(t, c, "n"), number(t, c, "accuracy"), number(t, c, "before", "ece"); n != 3 || math.Abs(accuracy-1.0/3) > 1e-9 || math.Abs(ece-2.0/3) > 1e-9 {
		t.Errorf("%g items, accuracy %g, ECE %g", n, accuracy, ece)
	}
}

func TestThereIsAWarningIfGoldIsInsufficient(t *testing.T) {
	rows, _ := judged(t, "binary5.csv")
	for name, c := range map[string]struct {
		rows []map[string]any
		want string
	}{
		"few":  {rows[:200], "Calibration needs at least 50 items with a gold label, but there are 40"},
		"none": {votes(t, "binary5.csv"), "No item with votes has a gold label"},
	} {
		for _, row := range c.rows {
			if name == "none" {
				row["gold"] = nil
			}
		}
		got := run(t, "vote", c.rows, withGold("dawid_skene"))
		if len(got.Warnings) == 0 || !strings.Contains(strings.Join(got.Warnings, "\n"), c.want) {
			t.Errorf("%s: warnings %v", name, got.Warnings)
		}
		if calibration := got.Value.GetAttr("calibration"); name == "none" && !calibration.IsNull() || name == "few" && !calibration.GetAttr("temperature").IsNull() {
			t.Errorf("%s: %#v", name, calibration)
		}
	}
	rows[0]["gold"] = "2"
	_, err := plugintest.Run(t, offer, plugintest.Case{Type: "vote", Name: "topic", Args: withGold("majority"), Rows: rows})
	if err == nil || !strings.Contains(err.Error(), "has two different gold labels") {
		t.Errorf("error: %v", err)
	}
}

func TestWithoutGoldNothingIsCompared(t *testing.T) {
	given := long()
	given["method"] = "mace"
	if c := run(t, "vote", votes(t, "binary5.csv"), given).Value.GetAttr("calibration"); !c.IsNull() {
		t.Errorf("%#v", c)
	}
}
