package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/foreign"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/registry"
	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/responses"
)

// requestFinder finds out which requests to models belong to a row. It calls no model.
type requestFinder struct {
	ui    *terminal
	args  *arguments.Lineage
	cache *responses.Cache

	// Opened for the first row that is asked about again:
	workspace *workspace
	replay    *runner.Replay
}

// addRequests adds the requests to models to the rows of a lineage.
func addRequests(ctx context.Context, ui *terminal, args *arguments.Lineage, s *store.Store, row *inspect.Row) (err error) {
	cache, err := s.Responses(func(err error) { ui.notef("%s\n", err) })
	if err != nil {
		return err
	}
	f := &requestFinder{ui: ui, args: args, cache: cache}
	defer func() { err = errors.Join(err, f.close()) }()
	if !cache.Complete() {
		return diag.Failed("The cached answers cannot be read", "Another process uses the answers of language models. Wait until it has ended, or omit -calls.")
	}
	ctx, cancel := interruptible(ctx)
	defer cancel()
	return f.add(ctx, row)
}

func (f *requestFinder) close() error {
	if f.replay != nil {
		f.replay.Close()
	}
	if f.workspace != nil {
		f.workspace.close()
	}
	return f.cache.Close()
}

func (f *requestFinder) add(ctx context.Context, row *inspect.Row) error {
	var err error
	switch {
	case !row.AsksModels:
	case len(row.Recorded) > 0:
		f.recorded(row)
	case row.AskedRow == nil && len(row.Models) > 0:
		row.RequestsUnknown = "the stage does not ask about one row at a time"
	case row.AskedRow == nil: // a trained model
	default:
		err = f.repeat(ctx, row)
	}
	if err != nil {
		return diag.Failed(fmt.Sprintf("The requests for row %d of %s cannot be found", row.Row, row.Address), "%w", err)
	}
	for _, from := range row.From {
		if err := f.add(ctx, from); err != nil {
			return err
		}
	}
	return nil
}

// recorded looks up the requests that a row of an evaluation contains.
func (f *requestFinder) recorded(row *inspect.Row) {
	for _, q := range row.Recorded {
		if strings.Contains(q.Text, value.Redacted) {
			row.RequestsUnknown = "a request contains a sensitive value, which is not stored"
			continue
		}
		found, err := f.lookUp(q)
		if err != nil {
			row.RequestsUnknown = "a request in the row is not valid: " + err.Error()
			continue
		}
		found.Model, found.Draw, found.Cost = q.Model, q.Draw, q.Cost
		if q.Usage != (llm.Usage{}) {
			found.Usage = q.Usage
		}
		row.Requests = append(row.Requests, inspect.Request(found))
	}
}

func (f *requestFinder) lookUp(q inspect.Recorded) (modelhost.Request, error) {
	switch {
	case q.Digest != "":
		return modelhost.LookUp(f.cache, q.Digest)
	case q.Text != "":
		return modelhost.Recorded(f.cache, q.Definition, []byte(q.Text), q.Draw)
	}
	return modelhost.Request{}, nil // the model's answers are not cached
}

// repeat asks a row-wise stage about a row again, and the cache answers.
func (f *requestFinder) repeat(ctx context.Context, row *inspect.Row) error {
	if f.replay == nil {
		if err := f.open(ctx); err != nil {
			return err
		}
	}
	asked, err := f.replay.Row(ctx, row.Address, row.ActionKey, *row.AskedRow)
	var unrepeatable *runner.Unrepeatable
	if errors.As(err, &unrepeatable) {
		row.RequestsUnknown, err = unrepeatable.Reason, nil
	}
	slices.SortStableFunc(asked, func(a, b modelhost.Request) int { return cmp.Compare(a.Draw, b.Draw) })
	for _, q := range asked {
		row.Requests = append(row.Requests, inspect.Request(q))
	}
	if err == nil && len(asked) == 0 && len(row.Models) > 0 && row.RequestsUnknown == "" {
		row.RequestsUnknown = "the stage asks nothing for this row"
	}
	return err
}

// open plans, because the requests of a stage depend on its configuration.
func (f *requestFinder) open(ctx context.Context) (err error) {
	request := f.args.Request()
	if f.workspace, err = openWorkspace(ctx, f.ui, request.Environment, request.Variables, nil); err != nil {
		return err
	}
	w := f.workspace
	st, err := loadState(w.store, request.Environment)
	if err != nil {
		return err
	}
	p, err := w.plan(ctx, request, st)
	if err != nil {
		return err
	}
	f.replay, err = runner.NewReplay(ctx, p, registry.Builtin, runner.Options{
		Store: w.store, State: st, Plugins: w.plugins, Functions: foreign.New(ctx, w.plugins), Secrets: w.secrets(p),
	})
	return err
}

// requestTrees describes the requests to a model for a row.
func requestTrees(r *inspect.Row, model string) []*tree {
	var all []*tree
	for _, q := range r.Requests {
		if q.Model == model {
			all = append(all, requestTree(q))
		}
	}
	return all
}

func requestTree(q inspect.Request) *tree {
	t := &tree{name: strings.TrimSpace("request " + shortDigest(q.Digest)), key: fmt.Sprint("request ", q.Model, q.Digest, q.Draw)}
	if q.Draw > 0 {
		t.words = append(t.words, fmt.Sprint("draw ", q.Draw))
	}
	if q.Texts > 0 {
		t.words = append(t.words, "embeddings of "+english.Count(q.Texts, "text"))
	}
	if q.Usage != (llm.Usage{}) {
		t.words = append(t.words, tokenWords(q.Usage))
	}
	if q.Cost != nil {
		t.words = append(t.words, "cost "+llm.FormatMoney(*q.Cost))
	}
	switch {
	case !q.Cached && q.Digest == "" && q.Texts < 2: // embeddings of several texts have several digests
		return t.with("the model's answers are not cached")
	case !q.Cached:
		return t.with("its answer is not in the cache")
	case q.Asked.IsZero():
		return t.with("cached")
	}
	return t.with("cached " + q.Asked.Local().Format("2006-01-02 15:04:05"))
}

func tokenWords(u llm.Usage) string {
	words := english.Count(u.Input, "token") + " in, " + english.Number(u.Output) + " out"
	if u.Estimated {
		words += " (estimated)"
	}
	return words
}

// with adds words to a tree.
func (t *tree) with(words ...string) *tree {
	t.words = append(t.words, words...)
	return t
}
