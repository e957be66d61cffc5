package survey

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

	// known has what is known about each text, by its id in a series.
	known map[uint64]fact
}

// fact is what is known about a text.
type fact struct {
	Tokens   float64
	Language string
	Kinds    []string
}

// newContent returns nil if the content is not wanted.
func newContent(o Options) (*content, error) {
	if o.Distributions {
		return nil, nil
	}
	c := &content{known: map[uint64]fact{}}
	if o.Tokenizer != NoTokenizer {
		c.tokens = tokens.For(o.Tokenizer)
	}
	model, err := lid176.Model()
	if err != nil {
		return nil, err
	}
	c.predictor, c.labels = model.NewPredictor(), model.Labels()
	return c, nil
}

// add measures a text, if it is not known.
func (c *content) add(id uint64, text string) {
	if _, ok := c.known[id]; ok {
		return
	}
	var f fact
	if c.tokens != nil {
		f.Tokens = c.count(text)
	}
	text = text[:min(len(text), readBytes)]
	f.Language, f.Kinds = c.language(text), redact.Kinds(text)
	c.known[id] = f
}

// forget removes what is known about texts that are no longer in the sample.
func (c *content) forget(sampled []uint64) {
	known := make(map[uint64]fact, len(sampled))
	for _, id := range sampled {
		if f, ok := c.known[id]; ok {
			known[id] = f
		}
	}
	c.known = known
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
// are n. sampled are the ids of the sampled ones; 0 means none.
func (c *content) describe(out *measurement.Texts, n int64, sampled []uint64, o Options) {
	var counts []float64
	languages, kinds := map[string]int{}, map[string]int{}
	for _, id := range sampled {
		if id == 0 {
			continue
		}
		f := c.known[id]
		counts = append(counts, f.Tokens)
		languages[f.Language]++
		for _, kind := range f.Kinds {
			kinds[kind]++
		}
	}
	if len(counts) == 0 {
		return
	}
	if c.tokens != nil {
		mean := meanOf(counts, o)
		out.Tokens = &measurement.Tokens{Tokenizer: o.Tokenizer, Mean: mean, Total: times(mean, float64(n))}
	}
	if *out.Characters.Mean >= longEnough {
		out.Languages = shares(languages, len(counts), o)
		out.Languages = out.Languages[:min(len(out.Languages), mostLanguages)]
	}
	out.PII = shares(kinds, len(counts), o)
}

// shares returns the shares of n texts, starting with the largest.
func shares(counts map[string]int, n int, o Options) []measurement.Share {
	out := []measurement.Share{}
	for name, k := range counts {
		e := stats.Share(k, n, o.Confidence)
		s := measurement.Share{Name: name, Figure: measurement.Figure{Value: &e.Value, Low: &e.Low, High: &e.High, N: int64(n)}}
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
func meanOf(sampled []float64, o Options) measurement.Figure {
	var m moments
	for _, v := range sampled {
		m.add(v)
	}
	mean := m.mean()
	f := measurement.Figure{Value: known(mean), N: m.N}
	switch {
	case o.whole:
		f.Low, f.High = f.Value, f.Value
	case m.N > 1:
		t := distuv.StudentsT{Sigma: 1, Nu: float64(m.N - 1)}.Quantile(1 - (1-o.Confidence)/2)
		reach := t * m.std() / math.Sqrt(float64(m.N))
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
