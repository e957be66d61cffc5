package linear

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/plugins/stats"
)

func calibrated() Options {
	o := DefaultOptions()
	o.Calibrate = true
	return o
}

// noisy returns messages of which every fifth has a random label, so that no
// model is right on more than five in six.
func noisy(n int, seed uint64) []Example {
	list := messages(n, seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range list {
		if r.IntN(5) == 0 {
			list[i].Label = list[r.IntN(len(list))].Label
		}
	}
	return list
}

// mixed returns messages that each hide half of what determines their label, so
// that confidences are too low after few epochs.
func mixed(n int, seed uint64) []Example {
	list := messages(n, seed)
	r := rand.New(rand.NewPCG(seed, 2))
	for i := range list {
		other := strings.Fields(list[r.IntN(len(list))].Text)
		list[i].Text += " " + strings.Join(other[2:5], " ")
	}
	return list
}

// reliability compares a model's confidences with the labels.
func reliability(m *Model, list []Example, temperature float64) (r stats.Reliability) {
	before := m.Temperature
	m.Temperature = temperature
	p := m.Predictor()
	for _, e := range list {
		label, confidence := p.Predict(e.Text)
		r.Add(confidence, label == e.Label)
	}
	m.Temperature = before
	return r
}

func TestConfidencesOnBanking77AreCalibrated(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	m := train(t, banking(t, "train.csv"), calibrated())
	test := banking(t, "dev.csv")
	before, after := reliability(m, test, 1), reliability(m, test, m.Temperature)
	t.Logf("temperature %.3f, accuracy %.3f, confidence %.3f -> %.3f, ECE %.3f -> %.3f, Brier %.3f -> %.3f", m.Temperature,
		after.Accuracy(), before.Confidence(), after.Confidence(), before.ECE(), after.ECE(), before.Brier(), after.Brier())
	if before.ECE() < 0.08 || after.ECE() > 0.03 || after.Brier() > before.Brier() {
		t.Error("it is not calibrated")
	}
	if before.Accuracy() != after.Accuracy() {
		t.Errorf("the accuracy was %g", before.Accuracy())
	}
}

func TestConfidencesOfFewRowsAreCalibratedByAllParts(t *testing.T) {
	var few []Example
	for i, e := range banking(t, "train.csv") {
		if i%10 == 0 {
			few = append(few, e)
		}
	}
	o := calibrated()
	o.Features.Words = 1 // faster
	m, test := train(t, few, o), banking(t, "dev.csv")
	if n := m.calibration.Rows; n < 890 || n > 901 {
		t.Errorf("%d rows were held out", n)
	}
	before, after := reliability(m, test, 1), reliability(m, test, m.Temperature)
	if before.ECE() < 0.1 || after.ECE() > 0.06 || after.Brier() > before.Brier() {
		t.Errorf("temperature %g, ECE %g -> %g, Brier %g -> %g", m.Temperature, before.ECE(), after.ECE(), before.Brier(), after.Brier())
	}
}

func TestATemperatureThatDoesNotHelpIsNotUsed(t *testing.T) {
	// Because of random labels, some rows are wrong with a high confidence, and
	// these make up most of the loss. The confidence of the other rows remains
	// about right.
	m := train(t, noisy(600, 1), calibrated())
	if m.Temperature != 1 || !m.calibration.Done() || m.calibration.Before != m.calibration.After {
		t.Errorf("temperature %g: %+v", m.Temperature, m.calibration)
	}
}

func TestCalibrationDoesNotChangeWeightsOrLabels(t *testing.T) {
	list := mixed(300, 1)
	plain, m := train(t, list, DefaultOptions()), train(t, list, calibrated())
	if plain.Temperature != 1 || m.Temperature == 1 {
		t.Fatalf("temperatures %g and %g", plain.Temperature, m.Temperature)
	}
	p, q := plain.Predictor(), m.Predictor()
	for _, e := range append(mixed(300, 2), Example{}) {
		want, _ := p.Predict(e.Text)
		if got, _ := q.Predict(e.Text); got != want {
			t.Errorf("%q: %s became %s", e.Text, want, got)
		}
	}
	m.Temperature = 1
	if !bytes.Equal(files(t, m), files(t, plain)) {
		t.Error("the weights differ")
	}
}

func TestPartsDependOnlyOnTexts(t *testing.T) {
	sizes := make([]int, folds)
	for i := range 5000 {
		fold, chance := foldOf(fmt.Sprint("text ", i))
		sizes[fold]++
		if chance < 0 || chance >= 1 {
			t.Errorf("chance %g", chance)
		}
	}
	for _, n := range sizes {
		if n < 900 || n > 1100 {
			t.Errorf("parts of %v rows", sizes)
		}
	}
	// The texts that a model is trained on and those that it predicts are
	// disjoint, even if a text has several labels.
	list := append(messages(60, 1), Example{messages(60, 1)[0].Text, "other"})
	for fold := range folds {
		seen := map[string]bool{}
		for e := range in(list).only(func(e Example) bool { f, _ := foldOf(e.Text); return f != fold })(t.Context(), nil) {
			seen[e.Text] = true
		}
		for e := range in(list).only(func(e Example) bool { f, _ := foldOf(e.Text); return f == fold })(t.Context(), nil) {
			if seen[e.Text] {
				t.Errorf("%q is held out and learned from", e.Text)
			}
		}
	}
}

func TestTooFewHeldOutRowsLeaveTheConfidenceAsItIs(t *testing.T) {
	three := []Example{{"a card", "card"}, {"a phone", "phone"}, {"my card", "card"}}
	for name, list := range map[string][]Example{
		"three rows": three, "each label once": numbered(120), "labels in one part": append(three, numbered(60)...),
	} {
		m := train(t, list, calibrated())
		if m.Temperature != 1 || m.calibration.Done() || m.calibration.figures() != nil {
			t.Errorf("%s: temperature %g by %d rows", name, m.Temperature, m.calibration.Rows)
		}
	}
	got, err := trained(t, rowsOf(messages(30, 1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "needs at least 50 held-out rows") || !got.Value.GetAttr("calibration").IsNull() {
		t.Errorf("warnings %v, value %#v", got.Warnings, got.Value)
	}
	got, err = trained(t, rowsOf(messages(30, 1)), map[string]any{"calibration": "none"})
	if err != nil || len(got.Warnings) != 0 {
		t.Errorf("warnings %v (%v)", got.Warnings, err)
	}
}

func TestTheValueReportsTheCalibration(t *testing.T) {
	got, err := trained(t, rowsOf(mixed(300, 1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := got.Value.GetAttr("calibration")
	if n, _ := c.GetAttr("n").AsBigFloat().Int64(); n != 300 || c.GetAttr("before").GetAttr("bins").LengthInt() == 0 {
		t.Errorf("%#v", c)
	}
	before, _ := c.GetAttr("before").GetAttr("brier").AsBigFloat().Float64()
	after, _ := c.GetAttr("after").GetAttr("brier").AsBigFloat().Float64()
	if !(after < before) {
		t.Errorf("Brier %g -> %g", before, after)
	}
}

func TestInterruptedCalibrationResumesToTheSameModel(t *testing.T) {
	list, o, dir := mixed(300, 1), calibrated(), t.TempDir()
	o.Epochs = 3
	want := files(t, train(t, list, o))
	ctx, stop := context.WithCancel(t.Context())
	interrupted := func(ctx context.Context, order *rand.PCG) iter.Seq2[Example, error] {
		return func(yield func(Example, error) bool) {
			for _, e := range list {
				if !yield(e, ctx.Err()) || ctx.Err() != nil {
					return
				}
			}
		}
	}
	if _, err := Train(ctx, interrupted, o, dir, func(part, epoch int, _ float64) {
		if part == 2 && epoch == 2 {
			stop()
		}
	}); err == nil {
		t.Fatal("the training was not interrupted")
	}
	var ran []string
	m, err := Train(t.Context(), in(list), o, dir, func(part, epoch int, _ float64) { ran = append(ran, fmt.Sprint(part, ".", epoch)) })
	if err != nil {
		t.Fatal(err)
	}
	if ran[0] != "2.3" {
		t.Errorf("it ran %v", ran)
	}
	if !bytes.Equal(files(t, m), want) {
		t.Error("the model differs from that of an undisturbed training")
	}
}

func TestModelsOfEarlierVersionsPredictAsTheyDid(t *testing.T) {
	m := train(t, messages(300, 1), calibrated())
	dir := t.TempDir()
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, headFile)
	open := func(name string) (io.ReadCloser, error) { return os.Open(filepath.Join(dir, name)) }
	rewrite := func(change func(head map[string]any)) {
		t.Helper()
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var head map[string]any
		if err := json.Unmarshal(content, &head); err != nil {
			t.Fatal(err)
		}
		change(head)
		if content, err = json.Marshal(head); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rewrite(func(h map[string]any) { h["temperature"] = 0 })
	if _, err := Open(open); err == nil || !strings.Contains(err.Error(), "temperature 0 is not valid") {
		t.Errorf("error: %v", err)
	}
	rewrite(func(h map[string]any) { h["format"] = "quern.linear/v1"; delete(h, "temperature") })
	old, err := Open(open)
	if err != nil {
		t.Fatal(err)
	}
	m.Temperature = 1
	p, q := m.Predictor(), old.Predictor()
	for _, e := range messages(60, 3) {
		want, confidence := p.Predict(e.Text)
		if got, same := q.Predict(e.Text); got != want || same != confidence {
			t.Errorf("%q: %s %g became %s %g", e.Text, want, confidence, got, same)
		}
	}
	for _, format := range []string{"quern.linear/v1", "quern.linear/v2"} {
		if !strings.Contains(fmt.Sprint(trainer{}.ModelFormats()), format) {
			t.Errorf("%s is not read", format)
		}
	}
}

// fitted minimizes the loss with scipy to find the temperature of examples.
const fitted = `
import json, sys
import numpy as np
from scipy import optimize, special
scores, right = json.load(open(sys.argv[1]))
scores, n, k = np.array(scores), len(right), len(scores[0])
target = np.full((n, k), 1 / (n + 2) / (k - 1))
target[range(n), right] = (n + 1) / (n + 2)
loss = lambda t: -(target * special.log_softmax(scores / np.exp(t), axis=1)).sum()
print(np.exp(optimize.minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-10}).x))
`

func TestTheTemperatureMatchesScipy(t *testing.T) {
	var h heldOut
	list, o := mixed(600, 1), DefaultOptions()
	m, err := fitWithout(t.Context(), in(list), o, "", 0, func(int, int, float64) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.score(t.Context(), in(list), m, 0); err != nil {
		t.Fatal(err)
	}
	c, err := h.calibration()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal([]any{h.scores, h.right})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "scores.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	want, err := strconv.ParseFloat(strings.TrimSpace(string(reference.Python(t, fitted, path))), 64)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(c.Temperature-want) > 1e-5 {
		t.Errorf("temperature %g, want %g", c.Temperature, want)
	}
}
