package fasttext

import (
	"context"
	"runtime"
	"strings"
	"unicode"

	"github.com/quern-dev/quern/internal/fasttext"
	"github.com/quern-dev/quern/internal/fasttext/lid176"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// undetermined is the code of ISO 639 for an unknown language.
const undetermined = "und"

type languageArgs struct {
	Input     plugin.Dataset `quern:"input,required" doc:"The dataset to label."`
	Text      plugin.Column  `quern:"text,required" type:"string" doc:"The text whose language is identified, such as 'row.text'."`
	Threshold float64        `quern:"threshold" default:"0.5" doc:"The minimum confidence. A text with a lower confidence gets the label 'und'. FineWeb uses 0.65."`
	Among     []string       `quern:"among" doc:"The codes of the languages to consider. By default, all languages that the model knows. Confidences stay the same: a text in another language has a low confidence in each of them."`
	Path      string         `quern:"path,operational" doc:"The file of another fastText model for languages, .bin or .ftz, such as lid.176.bin. A relative path is relative to the folder of the configuration. Only the file's content affects results."`

	model *fasttext.Model
	only  []bool
}

const languageDoc = `Identifies the language of texts with a fastText model.

The code of the language, such as ` + "`en`" + `, is in a column named after the block, and the model's confidence, from 0 to 1, in ` + "`NAME_confidence`" + `. A text whose confidence is below ` + "`threshold`" + `, or that contains no letters, gets the label ` + "`und`" + ` (undetermined) rather than a guess. A null text gets no label.

The model that comes with quern is fastText's lid.176.ftz, which knows 176 languages: their codes have two letters if ISO 639-1 has one, and three letters otherwise. Labels are those of fastText itself. The model is reliable for texts of about 60 characters or more; closely related languages, such as Croatian and Serbian, are often confused. It is licensed under CC BY-SA 3.0.

` + "```hcl" + `
label "language" "language" {
  input     = source.pages
  text      = row.text
  threshold = 0.65
}

transform "filter" "english" {
  input = label.language
  where = row.language == "en"
}
` + "```"

// language implements label "language".
type language struct{ root func() string }

// Prepare checks the model and declares the columns.
func (l language) Prepare(_ context.Context, p *plugin.Prepare[languageArgs]) error {
	p.KeepInput("input")
	p.AddColumn(p.Name(), "string")
	p.AddColumn(p.Name()+"_confidence", "float64")
	checkShare(p, "threshold", p.Args.Threshold)
	if p.Known("among") && p.Args.Among != nil && len(p.Args.Among) == 0 {
		p.Errorf("among", "among is empty\nList at least one language, or remove the argument to consider all.")
	}
	if !p.Known("path") {
		return nil
	}
	labels, ok := []string(nil), true
	if p.Args.Path != "" {
		labels, ok = declareFile(p, l.root(), p.Args.Path)
	} else if len(p.Args.Among) > 0 {
		m, err := lid176.Model()
		if err != nil {
			return err
		}
		labels = m.Labels()
	}
	if ok && p.Known("among") {
		checkLabels(p, "among", p.Args.Among, labels)
	}
	return nil
}

// Open loads the model.
func (l language) Open(_ context.Context, a *languageArgs) (err error) {
	if a.Path == "" {
		a.model, err = lid176.Model()
	} else {
		a.model, err = load(l.root(), a.Path)
	}
	if err == nil && a.Among != nil {
		a.only = only(a.model.Labels(), a.Among)
	}
	return err
}

// Concurrency is the number of processors: Map only computes.
func (language) Concurrency() int { return runtime.GOMAXPROCS(0) }

// Map labels the texts.
func (language) Map(ctx context.Context, a *languageArgs, b *plugin.Batch) error {
	texts, confidence := b.Strings(a.Text), b.Name()+"_confidence"
	p := a.model.NewPredictor()
	for i := range b.N {
		if err := ctx.Err(); err != nil {
			return err
		}
		text, ok := texts.At(i)
		if !ok {
			continue
		}
		code, sure := a.identify(p, text)
		b.SetString(b.Name(), i, code)
		b.SetFloat(confidence, i, sure)
	}
	return nil
}

// identify returns the code of a text's language and the confidence.
func (a *languageArgs) identify(p *fasttext.Predictor, text string) (string, float64) {
	if strings.IndexFunc(text, isWritten) < 0 {
		return undetermined, 0
	}
	best := p.Predict(text, 1, a.only)
	switch {
	case len(best) == 0:
		return undetermined, 0
	case best[0].Probability < a.Threshold:
		return undetermined, best[0].Probability
	}
	return a.model.Labels()[best[0].Number], best[0].Probability
}

// isWritten reports whether a character can belong to a word.
func isWritten(r rune) bool { return unicode.IsLetter(r) || unicode.IsMark(r) }
