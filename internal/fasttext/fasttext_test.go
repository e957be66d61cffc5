package fasttext

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t testing.TB, name string) *Model {
	t.Helper()
	m, err := Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// expectation is what fastText predicts for a text.
type expectation struct {
	Model, Text   string
	Labels        []string
	Probabilities []float64
}

func expectations(t *testing.T) []expectation {
	t.Helper()
	f, err := os.Open("testdata/expected.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []expectation
	for in := bufio.NewScanner(f); in.Scan(); {
		var e expectation
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func TestPredictionsAreThoseOfFastText(t *testing.T) {
	models := map[string]*Predictor{}
	for _, want := range expectations(t) {
		p := models[want.Model]
		if p == nil {
			p = open(t, want.Model).NewPredictor()
			models[want.Model] = p
		}
		got := p.Predict(want.Text, 3, nil)
		if len(got) != len(want.Labels) {
			t.Fatalf("%s, %q: %v, want %v", want.Model, want.Text, got, want)
		}
		for i, g := range got {
			// Labels that are equally probable are in any order.
			same := labelPrefix+p.model.Labels()[g.Number] == want.Labels[i]
			if math.Abs(g.Probability-min(1, want.Probabilities[i])) > 1e-5 || !same && !tied(want.Probabilities, i) {
				t.Errorf("%s, %q: %v is %s, want %v", want.Model, want.Text, g, p.model.Labels()[g.Number], want)
			}
		}
	}
	if len(models) != 8 {
		t.Errorf("only %d models were tested", len(models))
	}
}

// tied reports whether a probability is about the same as another one, possibly
// one that is not in the list because it is the next.
func tied(probabilities []float64, i int) bool {
	if i == len(probabilities)-1 {
		return true
	}
	for j, p := range probabilities {
		if j != i && math.Abs(p-probabilities[i]) < 1e-6 {
			return true
		}
	}
	return false
}

func TestOnlySomeLabelsArePredicted(t *testing.T) {
	for _, name := range []string{"softmax.bin", "hierarchical.bin", "onevsall.bin"} {
		m := open(t, name)
		p := m.NewPredictor()
		all := append([]Label{}, p.Predict("everyone has the right to", len(m.Labels()), nil)...)
		only := make([]bool, len(m.Labels()))
		only[all[1].Number], only[all[3].Number] = true, true
		for k, want := range [][]Label{{}, {all[1]}, {all[1], all[3]}, {all[1], all[3]}} {
			got := p.Predict("everyone has the right to", k, only)
			if len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
				t.Errorf("%s, %d: %v, want %v", name, k, got, want)
			}
		}
	}
}

func TestAModelWithOneLabel(t *testing.T) {
	tree, err := newTree([]int64{5})
	if err != nil {
		t.Fatal(err)
	}
	var best ranking
	best.reset(1, nil)
	tree.descend(nil, nil, tree.root(), 0, &best)
	if len(best.scored) != 1 || best.scored[0].label != 0 {
		t.Errorf("ranked %v", best.scored)
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	content, err := os.ReadFile("testdata/softmax.bin")
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int, value int32) []byte {
		b := bytes.Clone(content)
		binary.LittleEndian.PutUint32(b[4*at:], uint32(value))
		return b
	}
	for _, c := range []struct {
		name, want string
		file       []byte
	}{
		{"empty", "ends too early", nil},
		{"text", "not a fastText model", []byte("intent,text\na,b\n")},
		{"version", "version 13", changed(1, 13)},
		{"vectors", "word vectors", changed(9, 1)},
		{"loss", "unknown number 9", changed(8, 9)},
		{"dimension", "-5 values", changed(2, -5)},
		{"buckets", "0 buckets", changed(10, 0)},
		{"entries", "dictionary has", changed(16, 1<<30)},
		{"cut", "ends too early", content[:60]},
		{"cut in a word", "bytes left", content[:92]},
		{"cut in the output", "bytes left", content[:len(content)-3]},
	} {
		_, err := Read(bytes.NewReader(c.file), int64(len(c.file)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := Open("testdata/missing.bin"); !os.IsNotExist(err) {
		t.Errorf("missing: %v", err)
	}
}

// A damaged model is refused, or predicts something: it never panics.
func FuzzDamagedModels(f *testing.F) {
	for _, name := range []string{"words.bin", "pruned.ftz", "quantized.ftz", "negative.bin", "hierarchical.bin"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content, uint32(0), uint32(0))
		f.Add(content, uint32(8), uint32(1<<31))
		f.Add(content, uint32(len(content)/2), uint32(0xffffffff))
	}
	f.Fuzz(func(_ *testing.T, content []byte, at, value uint32) {
		content = bytes.Clone(content)
		if int(at)+4 <= len(content) && value != 0 {
			binary.LittleEndian.PutUint32(content[at:], value)
		}
		m, err := Read(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			return
		}
		m.NewPredictor().Predict("everyone has the </s> right\x00 to ÿ 自由 life", 5, nil)
	})
}

// Every position of the header and of the dictionary is damaged in turn.
func TestNoDamagedByteCausesAPanic(t *testing.T) {
	for _, name := range []string{"pruned.ftz", "negative.bin"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for at := range min(len(content), 6000) {
			damaged := bytes.Clone(content)
			damaged[at] ^= 0xff
			if m, err := Read(bytes.NewReader(damaged), int64(len(damaged))); err == nil {
				m.NewPredictor().Predict("everyone has the right", 2, nil)
			}
		}
	}
}
