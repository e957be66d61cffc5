// Package report writes an evaluation as one HTML page for people: subjects
// side by side with plots of their intervals, differences, confusions, and
// individual answers with their requests.
//
// The page is self-contained: it loads nothing and sends nothing, and its
// security policy makes the browser enforce that. Figures and tables are HTML.
// Only the answers need its script, which builds only text nodes, so that
// nothing that a model says is interpreted as HTML. Equal evaluations produce
// equal pages.
package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"iter"
	"sync"

	"github.com/quern-dev/quern/ui/results"
)

// Options are what a page depends on in addition to the evaluation.
type Options struct {
	// Rows is the maximum number of embedded rows, or 0 for DefaultRows.
	Rows int
	// Bytes is the maximum size of embedded answers, or 0 for DefaultBytes. A
	// row is embedded completely or not at all.
	Bytes int
	// Environment is the environment of the evaluation, and Made when it was
	// run, for people.
	Environment, Made string
}

// The defaults of Options.
const (
	DefaultRows  = 2000
	DefaultBytes = 16 << 20
)

//go:embed page.html
var pageText string

//go:embed page.css
var styleText string

//go:embed page.js
var scriptText string

var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{"color": color}).Parse(pageText))
})

// page is the data of the template.
type page struct {
	Title, Type, Extent string
	Environment, Made   string
	Subjects            []string
	Figures             []figureRow
	Extras              []extraRow
	// Board contains the figures of many subjects. If it is set, Figures is not
	// shown, and colors have no meaning.
	Board           *board
	Compared, Pairs int
	Baseline        string
	Differences     []differenceRow
	Classes         *classTable
	Confused        *results.Table
	Matrices        []matrix
	Style           template.CSS
	Script, Data    template.JS
	Policy          string
	Embedded        int64
	Rows            int64
	Cut, Answers    bool
}

// Write writes the page. It reads as many rows as it embeds. If rows yields
// ErrNoRows, the page has no individual answers.
func Write(w io.Writer, e *results.Evaluation, rows iter.Seq2[*results.Row, error], o Options) error {
	if o.Rows <= 0 {
		o.Rows = DefaultRows
	}
	if o.Bytes <= 0 {
		o.Bytes = DefaultBytes
	}
	embedded, err := embed(e, rows, o)
	if err != nil {
		return err
	}
	text, err := json.Marshal(embedded)
	if err != nil {
		return fmt.Errorf("encode the answers: %w", err)
	}
	sum := sha256.Sum256([]byte(scriptText))
	p := &page{
		Title: e.Address, Type: e.Type, Extent: e.Extent(), Environment: o.Environment, Made: o.Made,
		Subjects: e.Names(), Figures: figureRows(e), Extras: extraRows(e), Differences: differenceRows(e), Board: newBoard(e),
		Compared: len(e.Comparisons()), Pairs: len(e.Differences), Baseline: e.Baseline,
		Classes: classes(e), Confused: e.Confused(12), Matrices: matrices(e),
		// json.Marshal escapes <, >, and &, so that no text can close the
		// script element.
		Style: template.CSS(styleText), Script: template.JS(scriptText), Data: template.JS(text),
		Policy:   "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'",
		Embedded: int64(len(embedded.Rows)), Rows: e.Rows, Cut: embedded.cut, Answers: len(embedded.Rows) > 0,
	}
	var b bytes.Buffer
	if err := pageTemplate().Execute(&b, p); err != nil {
		return fmt.Errorf("fill in the page: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}
