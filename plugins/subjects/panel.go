package subjects

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Answer is a subject's answer for a row.
type Answer struct {
	// Request is the JSON of the request to a model, and Question is its last
	// user message.
	Request  []byte
	Question string
	// Err says why there is no valid answer. Response may then be nil.
	Err      error
	Response *llm.Response
	// Free is set if the answer cost nothing because no language model was
	// called.
	Free bool
	// Confidence is that of a trained model, or nil if it returns none.
	Confidence *float64
	// Asked are the requests that were answered for the row.
	Asked Requests
}

// Asking asks a subject's model. If it returns an error, the response may be
// nil.
type Asking func(ctx context.Context, host prompting.Asker, s *Subject, r *llm.Request, draw int) (*llm.Response, error)

// Plainly sends the request as the prompt defines it, and accepts any answer.
func Plainly(ctx context.Context, host prompting.Asker, s *Subject, r *llm.Request, draw int) (*llm.Response, error) {
	return host.Chat(ctx, s.Model, r, draw)
}

// Run contains the methods of plugin.Run that a panel needs.
type Run interface {
	Host() *plugin.Host
	Model(plugin.Model) *plugin.ModelInput
	Dataset(plugin.Dataset) *plugin.DatasetInput
}

// Panel contains the subjects of a run. Once its fields are set, Answers can be
// called by several goroutines.
type Panel struct {
	// Repeats is the number of times that each model is asked for each row.
	Repeats int
	// Ask asks a subject's model.
	Ask Asking
	// Skip is the name of a column. Models are not asked about rows in which it
	// is null. If it is empty, all rows are used.
	Skip string
	// If Answered is not nil, it is called once for each row, draw, and subject
	// with a prompt, as soon as the answer is complete.
	Answered func()
	// If Failed is not nil, it is called for each answer that failed, with the
	// position of its row in the dataset.
	Failed func(row int64, err error) error

	run      Run
	subjects []Subject
	// pools contains the examples that the subjects' prompts draw from.
	pools []*prompting.Pool
	calls Calls
}

// NewPanel reads the examples that prompts draw from. By default, models are
// asked once for each row, with Plainly.
func NewPanel(ctx context.Context, run Run, all []Subject) (*Panel, error) {
	p := &Panel{Repeats: 1, Ask: Plainly, run: run, subjects: all, pools: make([]*prompting.Pool, len(all)), calls: NewCalls()}
	for i := range all {
		if !all[i].Asked() {
			continue
		}
		var err error
		p.pools[i], err = prompting.NewPool(ctx, run.Host(), all[i].Prompt, run.Dataset(prompting.Dataset(all[i].Prompt)))
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Calls limits the number of concurrent calls.
type Calls chan struct{}

// openCalls is large, because the models' own limits are what matters.
const openCalls = 1024

// NewCalls returns the usual limit.
func NewCalls() Calls { return make(Calls, openCalls) }

// Go waits until a call is allowed, and lets the group call f. It does not if
// ctx, the group's own context, ends first.
func (c Calls) Go(ctx context.Context, g parallel.Group, f func() error) {
	select {
	case c <- struct{}{}:
	case <-ctx.Done():
		g.Go(func() error { return context.Cause(ctx) })
		return
	}
	g.Go(func() error {
		defer func() { <-c }()
		return f()
	})
}

// Answers gets the answers of all subjects for some rows, by subject, draw, and
// row. It returns an error of the run; errors of a row are in its answer.
func (p *Panel) Answers(ctx context.Context, c Chunk) ([][][]*Answer, error) {
	rec := c.Rec
	g, ctx := parallel.WithContext(ctx)
	all := make([][][]*Answer, len(p.subjects))
	for i := range p.subjects {
		s := &p.subjects[i]
		all[i] = make([][]*Answer, p.Repeats)
		for d := range all[i] {
			all[i][d] = make([]*Answer, rec.NumRows())
		}
		var err error
		switch {
		case s.Asked():
			p.chat(ctx, g, i, c, all[i])
		case s.Model.IsSet():
			err = p.predict(ctx, s, c, all[i])
		default:
			err = column(s, rec, all[i])
		}
		if err != nil {
			return nil, errors.Join(err, g.Wait())
		}
	}
	return all, g.Wait()
}

// chat asks a model with a prompt, for each row and draw.
func (p *Panel) chat(ctx context.Context, g parallel.Group, at int, c Chunk, to [][]*Answer) {
	s, rec := &p.subjects[at], c.Rec
	prompts, near := Texts(rec, s.Prompt.Key), Texts(rec, prompting.ByKey(s.Prompt.Key))
	skipped := Texts(rec, p.Skip)
	host := p.run.Host()
	for i := range int(rec.NumRows()) {
		text, ok := Text(prompts, i)
		by, _ := Text(near, i)
		answers := make([]*Answer, len(to))
		for d := range to {
			answers[d] = &Answer{}
			to[d][i] = answers[d]
		}
		if skipped != nil && skipped.IsNull(i) {
			p.answered(len(to))
			continue
		}
		p.calls.Go(ctx, g, func() error {
			request, err := p.request(ctx, at, text, ok, by)
			if err != nil {
				fatal := ofRun(err)
				for _, a := range answers {
					a.Err = err
					fatal = errors.Join(fatal, p.failed(c.First+int64(i), err))
				}
				p.answered(len(answers))
				return fatal
			}
			encoded, err := request.Encode()
			if err != nil {
				return err
			}
			for d, a := range answers {
				a.Request, a.Question = encoded, lastUser(request)
				a.Response, a.Err = p.Ask(ctx, a.Asked.Through(host), s, request, d)
				if a.Err != nil && !prompting.OfRow(a.Err) {
					return a.Err
				}
				if err := p.failed(c.First+int64(i), a.Err); err != nil {
					return err
				}
				p.answered(1)
			}
			return nil
		})
	}
}

func (p *Panel) failed(row int64, err error) error {
	if p.Failed == nil || err == nil {
		return nil
	}
	return p.Failed(row, err)
}

func (p *Panel) answered(n int) {
	if p.Answered == nil {
		return
	}
	for range n {
		p.Answered()
	}
}

// Asks returns the number of model answers that a row takes.
func (p *Panel) Asks() int {
	n := 0
	for i := range p.subjects {
		if p.subjects[i].Asked() {
			n += p.Repeats
		}
	}
	return n
}

// badPrompt is the error of a prompt that is not valid for a row.
type badPrompt struct{ error }

// ofRun returns err if it concerns the run, and nil if it concerns only a row.
func ofRun(err error) error {
	var bad *badPrompt
	if errors.As(err, &bad) || prompting.OfRow(err) {
		return nil
	}
	return err
}

func (p *Panel) request(ctx context.Context, at int, text string, ok bool, by string) (*llm.Request, error) {
	if !ok {
		return nil, &badPrompt{errors.New("the prompt has no value for this row")}
	}
	read, err := llm.DecodePrompt(text)
	if err != nil {
		return nil, &badPrompt{err}
	}
	return read.Request, p.pools[at].Fill(ctx, read, by)
}

func lastUser(r *llm.Request) string {
	for i := len(r.Messages) - 1; i >= 0; i-- {
		if r.Messages[i].Role == llm.User {
			return r.Messages[i].Content
		}
	}
	return ""
}

// answered sets an answer that is the same in each draw.
func answered(to [][]*Answer, i int, text string, ok bool, confidence *float64, err error) {
	if !ok && err == nil {
		err = ErrNoAnswer
	}
	for d := range to {
		a := &Answer{Err: err, Free: true, Confidence: confidence}
		if err == nil {
			a.Response = &llm.Response{Text: text}
		}
		to[d][i] = a
	}
}

// ErrNoAnswer says that a column has no value for the row, or that a trained
// model returned none.
var ErrNoAnswer = errors.New("no answer")

func column(s *Subject, rec arrow.RecordBatch, to [][]*Answer) error {
	values := Texts(rec, s.Key)
	if values == nil {
		return fmt.Errorf("the values of subject %q are not strings", s.Name)
	}
	for i := range int(rec.NumRows()) {
		text, ok := Text(values, i)
		answered(to, i, strings.Clone(text), ok, nil, nil)
	}
	return nil
}

// predict applies a trained model.
func (p *Panel) predict(ctx context.Context, s *Subject, c Chunk, to [][]*Answer) error {
	rec := c.Rec
	model := p.run.Model(s.Model)
	columns := make([]arrow.Array, len(s.Inputs))
	for i, input := range s.Inputs {
		columns[i] = data.Arguments.Find(rec, s.feature(input))
		if columns[i] == nil {
			return fmt.Errorf("the rows have no input %q of subject %q", input, s.Name)
		}
	}
	in := array.NewRecordBatch(model.Signature.Inputs.Arrow(), columns, rec.NumRows())
	defer in.Release()
	out, failed, err := model.Predict(ctx, in)
	if err != nil {
		return fmt.Errorf("predict with subject %q: %w", s.Name, err)
	}
	defer out.Release()
	labels, _ := data.Columns.Find(out, s.Label).(*array.String)
	confidence, sure := data.Columns.Find(out, s.Confidence).(*array.Float64)
	if labels == nil || s.Confidence != "" && !sure {
		return fmt.Errorf("predict with subject %q: its model returned columns that do not match its signature: %s", s.Name, out.Schema())
	}
	errs := map[int]error{}
	for _, f := range failed {
		errs[f.Row] = errors.New(f.Message)
		if err := p.failed(c.First+int64(f.Row), errs[f.Row]); err != nil {
			return err
		}
	}
	for i := range int(rec.NumRows()) {
		text, ok := Text(labels, i)
		var how *float64
		if sure && confidence.IsValid(i) && errs[i] == nil {
			v := confidence.Value(i)
			how = &v
		}
		answered(to, i, strings.Clone(text), ok, how, errs[i])
	}
	return nil
}

// Texts returns the values of a row argument of type string, or nil if the
// argument is not set.
func Texts(rec arrow.RecordBatch, key string) *array.String {
	a, _ := data.Arguments.Find(rec, key).(*array.String)
	return a
}

// Text returns a value of such a column, and whether it exists.
func Text(a *array.String, i int) (string, bool) {
	if a == nil || a.IsNull(i) {
		return "", false
	}
	return a.Value(i), true
}
