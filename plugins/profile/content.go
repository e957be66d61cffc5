package profile

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/quern-dev/quern/internal/fasttext"
	"github.com/quern-dev/quern/internal/fasttext/lid176"
	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/internal/tokens"
	"github.com/quern-dev/quern/plugins/redact"
	"github.com/quern-dev/quern/plugins/stats"
)

const (
	// countedBytes is how much of a text is tokenized. The rest counts as having
	// as many tokens for each byte.
	countedBytes = 1 << 18
	// readBytes is how much of a text is searched for personal data, and used to
	// identify its language.
	readBytes = 1 << 16
	// surely is the least confidence with which a language is identified, and
	// undetermined what the others are.
	surely       = 0.5
	undetermined = "und"
	// longEnough is the mean number of characters of the texts of a column from
	// which on their languages can be identified.
	longEnough = 20
	// mostLanguages is the number of languages that are listed.
	mostLanguages = 10
)

// content is what is measured of the sampled texts of a column.
type content struct {
	tokens    *tokens.Counter
	predictor *fasttext.Predictor
	labels    []string

	n               int
	counts          []float64
	languages, kind map[string]int
}

// newContent returns nil if the content is not wanted.
func newContent(o options) (*content, error) {
	if o.baseline {
		return nil, nil
	}
	c := &content{languages: map[string]int{}, kind: map[string]int{}}
	if o.tokenizer != noTokenizer {
		c.tokens = tokens.For(o.tokenizer)
	}
	model, err := lid176.Model()
	if err != nil {
		return nil, err
	}
	c.predictor, c.labels = model.NewPredictor(), model.Labels()
	return c, nil
}

func (c *content) add(text string) {
	c.n++
	if c.tokens != nil {
		c.counts = append(c.counts, c.count(text))
	}
	text = text[:min(len(text), readBytes)]
	c.languages[c.language(text)]++
	for _, kind := range redact.Kinds(text) {
		c.kind[kind]++
	}
}

func (c *content) count(text string) float64 {
	if len(text) <= countedBytes {
		return float64(c.tokens.Text(text))
	}
	return float64(c.tokens.Text(text[:countedBytes])) * float64(len(text)) / countedBytes
}

func (c *content) language(text string) string {
	if strings.IndexFunc(text, unicode.IsLetter) < 0 {
		return undetermined
	}
	best := c.predictor.Predict(text, 1, nil)
	if len(best) == 0 || best[0].Probability < surely {
		return undetermined
	}
	return c.labels[best[0].Number]
}

// describe adds what was found to the description of the texts, of which there
// are n.
func (c *content) describe(out *measurement.Texts, n int64, o options) {
	if c.n == 0 {
		return
	}
	if c.tokens != nil {
		mean := meanOf(c.counts, o)
		out.Tokens = &measurement.Tokens{Tokenizer: o.tokenizer, Mean: mean, Total: times(mean, float64(n))}
	}
	if *out.Characters.Mean >= longEnough {
		out.Languages = c.shares(c.languages, o)
		out.Languages = out.Languages[:min(len(out.Languages), mostLanguages)]
	}
	out.PII = c.shares(c.kind, o)
}

// shares returns the shares of the texts, starting with the largest.
func (c *content) shares(counts map[string]int, o options) []measurement.Share {
	out := []measurement.Share{}
	for name, k := range counts {
		e := stats.Share(k, c.n, o.confidence)
		s := measurement.Share{Name: name, Figure: measurement.Figure{Value: &e.Value, Low: &e.Low, High: &e.High, N: int64(c.n)}}
		if o.whole {
			s.Low, s.High = s.Value, s.Value
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b measurement.Share) int {
		return cmp.Or(-cmp.Compare(*a.Value, *b.Value), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// meanOf estimates the mean of a column from the sampled rows, with Student's
// interval. The mean of all rows is exact.
func meanOf(sampled []float64, o options) measurement.Figure {
	var m moments
	for _, v := range sampled {
		m.add(v)
	}
	mean := m.mean()
	f := measurement.Figure{Value: known(mean), N: m.n}
	switch {
	case o.whole:
		f.Low, f.High = f.Value, f.Value
	case m.n > 1:
		t := distuv.StudentsT{Sigma: 1, Nu: float64(m.n - 1)}.Quantile(1 - (1-o.confidence)/2)
		reach := t * m.std() / math.Sqrt(float64(m.n))
		f.Low, f.High = known(mean-reach), known(mean+reach)
	}
	return f
}

func times(f measurement.Figure, by float64) measurement.Figure {
	for _, v := range []**float64{&f.Value, &f.Low, &f.High} {
		if *v != nil {
			*v = known(**v * by)
		}
	}
	return f
}

// zOf returns the quantile of the normal distribution for a confidence level.
func zOf(confidence float64) float64 { return distuv.UnitNormal.Quantile(1 - (1-confidence)/2) }
