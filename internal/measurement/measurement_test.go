package measurement

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

func number(v float64) *float64 { return &v }

func whole(v int64) *int64 { return &v }

// everything has a value for each member.
type everything struct {
	Description
	Figure   Figure   `json:"figure"`
	Usage    Usage    `json:"usage"`
	Contrast Contrast `json:"contrast"`
	Class    Class    `json:"class"`
}

// stored is the stored form of the value that follows.
const stored = `{
  "metrics": [
    {"name": "exact", "kind": "", "weight": 0, "threshold": null, "share": true, "rowwise": false},
    {"name": "tone", "kind": "rubric", "weight": 2, "threshold": 0.5, "rubric": "Kind?", "share": false, "rowwise": true}
  ],
  "order": ["b", "a"],
  "baseline": "a",
  "figure": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 8, "errors": 0},
  "usage": {
    "cost": {"value": 0.5, "low": null, "high": null, "n": 8, "total": 4},
    "tokens": {"value": null, "low": null, "high": null, "n": 0, "total": null},
    "latency": {"value": null, "low": null, "high": null, "n": 0, "p50": 1.5, "p95": 2}
  },
  "contrast": {"value": -0.125, "low": null, "high": null, "n": 8, "p": 0.5, "p_adjusted": 1, "detectable": null, "test": "mcnemar"},
  "class": {
    "precision": {"value": 1, "low": null, "high": null, "n": 3},
    "recall": {"value": null, "low": null, "high": null, "n": 0},
    "f1": {"value": null, "low": null, "high": null, "n": 0},
    "support": 3
  }
}`

var value = everything{
	Description: Description{
		Metrics: []Metric{
			{Name: "exact", Share: true},
			{Name: "tone", Kind: "rubric", Weight: 2, Threshold: number(0.5), Rubric: "Kind?", Rowwise: true},
		},
		Order: []string{"b", "a"}, Baseline: "a",
	},
	Figure: Figure{Value: number(0.5), Low: number(0.25), High: number(0.75), N: 8, Errors: whole(0)},
	Usage: Usage{
		Cost:    Total{Figure: Figure{Value: number(0.5), N: 8}, Total: number(4)},
		Latency: Latency{P50: number(1.5), P95: number(2)},
	},
	Contrast: Contrast{Figure: Figure{Value: number(-0.125), N: 8}, P: number(0.5), PAdjusted: number(1), Test: "mcnemar"},
	Class:    Class{Precision: ClassFigure{Figure{Value: number(1), N: 3}}, Support: 3},
}

func TestTheStoredFormIsReadAndWrittenAlike(t *testing.T) {
	got, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := json.Compact(&want, []byte(stored)); err != nil {
		t.Fatal(err)
	}
	if string(got) != want.String() {
		t.Errorf("written as %s\nwant       %s", got, &want)
	}
	var read everything
	if err := json.Unmarshal([]byte(stored), &read); err != nil || !reflect.DeepEqual(read, value) {
		t.Errorf("read as %+v, %v", read, err)
	}
}

func TestAClassWithoutIntervalsIsRead(t *testing.T) {
	var c Class
	if err := json.Unmarshal([]byte(`{"precision": 0.5, "recall": 1, "f1": null, "support": 2}`), &c); err != nil {
		t.Fatal(err)
	}
	if c.Precision.Number() != 0.5 || c.Recall.Number() != 1 || c.F1.Number() != 0 || c.Support != 2 {
		t.Errorf("read as %+v", c)
	}
}

func TestValuesHaveTheTypesThatArePlanned(t *testing.T) {
	counted := value.Figure
	plain := Figure{N: 3}
	for name, c := range map[string]struct {
		got  cty.Value
		want cty.Type
	}{
		"figure":         {plain.Object(), FigureType},
		"counted errors": {counted.Object(), MeasuredType},
		"contrast":       {value.Contrast.Object(), ContrastType},
		"usage":          {cty.ObjectVal(value.Usage.Attributes()), cty.Object(UsageTypes)},
	} {
		if !c.got.Type().Equals(c.want) {
			t.Errorf("%s is a %#v, want %#v", name, c.got.Type(), c.want)
		}
	}
}
