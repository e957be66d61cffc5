package linear

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// messages returns n examples of six intents, sorted by intent as files often
// are. The same seed gives the same examples.
func messages(n int, seed uint64) []Example {
	intents := []struct{ label, subject, trouble string }{
		{"card_arrival", "card letter delivery post", "arrived late tracking waiting"},
		{"cash_withdrawal", "cash machine atm notes", "withdrawal refused declined empty"},
		{"exchange_rate", "exchange rate currency euros", "wrong rate converted abroad"},
		{"lost_phone", "phone mobile device handset", "lost stolen missing gone"},
		{"pin_blocked", "pin code number passcode", "blocked unlock attempts wrong"},
		{"top_up", "top-up balance account money", "pending failed reverted missing"},
	}
	filler := strings.Fields("please help me my the is has been why when can you I do not know what to it still today")
	r := rand.New(rand.NewPCG(seed, 0))
	pick := func(words []string) string { return words[r.IntN(len(words))] }
	var out []Example
	for _, in := range intents {
		for range n / len(intents) {
			words := []string{pick(filler), pick(filler), pick(strings.Fields(in.subject)), pick(filler), pick(strings.Fields(in.trouble)), pick(filler)}
			out = append(out, Example{Text: strings.Join(words, " "), Label: in.label})
		}
	}
	return out
}

func in(list []Example) Rows {
	return func(context.Context, *rand.PCG) iter.Seq2[Example, error] {
		return func(yield func(Example, error) bool) {
			for _, e := range list {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

func train(t *testing.T, list []Example, o Options) *Model {
	t.Helper()
	m, err := Train(t.Context(), in(list), o, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// files returns the bytes of a saved model.
func files(t *testing.T, m *Model) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, name := range []string{headFile, weightsFile} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

func accuracy(m *Model, list []Example) float64 {
	p, right := m.Predictor(), 0
	for _, e := range list {
		if label, _ := p.Predict(e.Text); label == e.Label {
			right++
		}
	}
	return float64(right) / float64(len(list))
}

func TestAModelClassifiesMessagesThatItHasNotSeen(t *testing.T) {
	m := train(t, messages(600, 1), DefaultOptions())
	if got := accuracy(m, messages(600, 2)); got < 0.95 {
		t.Errorf("accuracy is %.3f", got)
	}
}

func TestAFewRowsAreEnoughToLearnSomething(t *testing.T) {
	m := train(t, messages(60, 1), DefaultOptions())
	if got := accuracy(m, messages(600, 2)); got < 0.8 {
		t.Errorf("accuracy is %.3f", got)
	}
}

func TestTheSameSeedGivesTheSameBytesOnAnyNumberOfCores(t *testing.T) {
	list, o := messages(300, 1), DefaultOptions()
	o.Epochs = 3
	want := files(t, train(t, list, o))
	for _, cores := range []int{1, 2, 5} {
		before := runtime.GOMAXPROCS(cores)
		got := files(t, train(t, list, o))
		runtime.GOMAXPROCS(before)
		if !bytes.Equal(got, want) {
			t.Errorf("%d cores make another model", cores)
		}
	}
	o.Seed = 7
	if bytes.Equal(files(t, train(t, list, o)), want) {
		t.Error("another seed makes the same model: it is not used")
	}
}

func TestInterruptedTrainingResumesToTheSameModel(t *testing.T) {
	list, o, dir := messages(300, 1), DefaultOptions(), t.TempDir()
	o.Epochs = 5
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
	_, err := Train(ctx, interrupted, o, dir, func(_, epoch int, _ float64) {
		if epoch == 3 {
			stop()
		}
	})
	if err == nil {
		t.Fatal("the training was not interrupted")
	}

	var epochs []int
	m, err := Train(t.Context(), in(list), o, dir, func(_, epoch int, _ float64) { epochs = append(epochs, epoch) })
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(epochs) != "[4 5]" {
		t.Errorf("it ran the epochs %v", epochs)
	}
	if !bytes.Equal(files(t, m), want) {
		t.Error("the model differs from that of an undisturbed training")
	}
}

func TestACheckpointThatDoesNotMatchIsIgnored(t *testing.T) {
	list, o := messages(120, 1), DefaultOptions()
	o.Epochs = 2
	want := files(t, train(t, list, o))
	spoil := map[string]func(content []byte) []byte{
		"a flipped bit":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"a cut end":       func(b []byte) []byte { return b[:len(b)-100] },
		"nothing in it":   func([]byte) []byte { return nil },
		"something else":  func([]byte) []byte { return bytes.Repeat([]byte("x"), 5000) },
		"another options": nil,
	}
	for name, change := range spoil {
		t.Run(name, func(t *testing.T) {
			dir, other := t.TempDir(), o
			if change == nil {
				other.L2 = 1e-4
			}
			if _, err := Train(t.Context(), in(list), other, dir, nil); err != nil {
				t.Fatal(err)
			}
			if change != nil {
				path := filepath.Join(dir, checkpointFile)
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, change(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			m, err := Train(t.Context(), in(list), o, dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(files(t, m), want) {
				t.Error("the model was spoilt")
			}
		})
	}
}

func TestASavedModelPredictsAsBefore(t *testing.T) {
	m := train(t, messages(300, 1), DefaultOptions())
	dir := t.TempDir()
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	open := func(name string) (io.ReadCloser, error) { return os.Open(filepath.Join(dir, name)) }
	again, err := Open(open)
	if err != nil {
		t.Fatal(err)
	}
	p, q := m.Predictor(), again.Predictor()
	for _, e := range append(messages(60, 3), Example{}, Example{Text: "ζωή 你好"}) {
		label, confidence := p.Predict(e.Text)
		label2, confidence2 := q.Predict(e.Text)
		if label != label2 || confidence != confidence2 {
			t.Errorf("%q: %s %g became %s %g", e.Text, label, confidence, label2, confidence2)
		}
	}
	if err := os.Truncate(filepath.Join(dir, weightsFile), 100); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(open); err == nil || !strings.Contains(err.Error(), "too short") {
		t.Errorf("a cut model opens: %v", err)
	}
}

func TestProbabilitiesAddUpToOne(t *testing.T) {
	p := train(t, messages(120, 1), DefaultOptions()).Predictor()
	for _, text := range []string{"", "pin blocked", "\xff\xfe", strings.Repeat("a very long text ", 5000)} {
		var sum float64
		for _, x := range p.Probabilities(text) {
			if x < 0 || x > 1 {
				t.Errorf("%.20q: probability %g", text, x)
			}
			sum += float64(x)
		}
		if sum < 0.9999 || sum > 1.0001 {
			t.Errorf("%.20q: they add up to %g", text, sum)
		}
	}
}

func TestClassWeightsMoveTheDecisionBoundary(t *testing.T) {
	// The same texts occur with both labels: nine times out of ten with
	// "common".
	var list []Example
	for i := range 200 {
		label := "common"
		if i%10 == 0 {
			label = "rare"
		}
		list = append(list, Example{Text: "the same words", Label: label})
	}
	share := func(change func(*Options)) float64 {
		o := DefaultOptions()
		change(&o)
		return float64(train(t, list, o).Predictor().Probabilities("the same words")[1])
	}
	plain := share(func(*Options) {})
	balanced := share(func(o *Options) { o.Balanced = true })
	heavy := share(func(o *Options) { o.ClassWeights = map[string]float64{"rare": 50} })
	if !(plain < 0.25 && balanced > 0.35 && balanced < 0.65 && heavy > 0.7) {
		t.Errorf("probability of the rare class: plain %.2f, balanced %.2f, heavy %.2f", plain, balanced, heavy)
	}
}

func TestAMistakeIsReportedAtItsArgument(t *testing.T) {
	o := DefaultOptions()
	o.Epochs = 0
	var mistake *plugin.ArgumentError
	if !errors.As(o.Check(), &mistake) || mistake.Argument != "epochs" {
		t.Errorf("the error is %v", o.Check())
	}
}

func TestMistakesInOptionsAreNamed(t *testing.T) {
	cases := map[string]struct {
		change func(*Options)
		want   string
	}{
		"no epochs":           {func(o *Options) { o.Epochs = 0 }, "number of epochs must be at least 1"},
		"a rate of zero":      {func(o *Options) { o.LearningRate = 0 }, "learning rate"},
		"a negative pull":     {func(o *Options) { o.L2 = -1 }, "regularisation"},
		"no features":         {func(o *Options) { o.Features.Words, o.Features.CharsMax = 0, 0 }, "no word or character n-grams"},
		"too many bits":       {func(o *Options) { o.Features.Bits = 60 }, "from 8 to 24"},
		"turned about chars":  {func(o *Options) { o.Features.CharsMin = 6 }, "1 to 5 characters"},
		"an unheard-of class": {func(o *Options) { o.ClassWeights = map[string]float64{"nobody": 2} }, `"nobody"`},
		"a negative weight":   {func(o *Options) { o.ClassWeights = map[string]float64{"top_up": -2} }, `"top_up"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := DefaultOptions()
			c.change(&o)
			_, err := Train(t.Context(), in(messages(60, 1)), o, "", nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
	if _, err := Train(t.Context(), in([]Example{{"a", "x"}, {"b", "x"}}), DefaultOptions(), "", nil); err == nil {
		t.Error("one class is enough")
	}
}
