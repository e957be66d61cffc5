package preview

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/responses"
)

// Unknown says why the examples of a prompt cannot be selected: which
// embeddings are not cached, and how to compute them.
type Unknown struct{ Reason string }

func (e *Unknown) Error() string { return e.Reason }

// fill adds the examples that are drawn from a dataset to a request. The error
// is *Unknown if finding them would cost money; the request then lacks them.
func (u Use) fill(ctx context.Context, f From, p *llm.Prompt, row int64) error {
	if p.Examples == nil {
		return nil
	}
	if u.hidden() {
		return &Unknown{"The choice of examples depends on a sensitive value, so it is known only during apply."}
	}
	examples, err := u.examples(ctx, f)
	if err != nil {
		return err
	}
	by, err := u.nearTo(ctx, f, row)
	if err != nil {
		return err
	}
	return p.InsertExamples(examples, by, func(text string) ([]int, error) { return u.nearest(f, examples, text) })
}

// examples returns the examples that the prompt draws from.
func (u Use) examples(ctx context.Context, f From) ([]llm.Example, error) {
	in := u.bound.Inputs[u.examplesKey()]
	user, assistant := u.bound.Rows[u.examplesKey()+".user"], u.bound.Rows[u.examplesKey()+".assistant"]
	if in == nil || user == nil || assistant == nil {
		return nil, errors.New("the plan does not say where examples are drawn from")
	}
	m, err := f.dataset(in)
	if err != nil {
		return nil, err
	}
	questions, err := f.texts(ctx, m, user)
	if err != nil {
		return nil, err
	}
	answers, err := f.texts(ctx, m, assistant)
	if err != nil {
		return nil, err
	}
	var out []llm.Example
	for i := range questions {
		if questions[i] != nil && answers[i] != nil {
			out = append(out, llm.Example{User: *questions[i], Assistant: *answers[i]})
		}
	}
	return out, nil
}

// hidden reports whether the texts that examples are selected by contain
// sensitive values, which are hidden here.
func (u Use) hidden() bool {
	key := u.examplesKey()
	for _, row := range []*plan.RowArg{u.row, u.bound.Rows[key+".user"], u.bound.Rows[key+".assistant"], u.bound.Rows[key+".by"]} {
		if row != nil && len(row.Expr.Secrets) > 0 {
			return true
		}
	}
	return false
}

func (u Use) examplesKey() string { return u.Argument + ".examples" }

// nearTo returns the text that the examples should be near, or "" for the
// question itself.
func (u Use) nearTo(ctx context.Context, f From, row int64) (string, error) {
	by := u.bound.Rows[u.examplesKey()+".by"]
	if by == nil {
		return "", nil
	}
	text, err := u.textOf(ctx, f, by, row)
	if err != nil || text == nil {
		return "", err
	}
	return *text, nil
}

// texts returns the values of a row expression for all rows of a dataset, or
// nil if there is none.
func (f From) texts(ctx context.Context, m *artifact.Artifact, row *plan.RowArg) ([]*string, error) {
	if len(row.Expr.Refs) > 0 {
		return nil, errWaits
	}
	shards, err := m.Dataset.Files(f.Store.Blobs, row.Expr.Columns)
	if err != nil {
		return nil, err
	}
	if len(row.Expr.Columns) == 0 {
		rec := array.NewRecordBatch(data.Schema{}.Arrow(), nil, m.Dataset.Rows)
		return evaluate(ctx, row, rec)
	}
	var out []*string
	for rec, err := range data.Read(ctx, shards, row.Expr.Columns, 0) {
		if err != nil {
			return nil, err
		}
		texts, err := evaluate(ctx, row, rec)
		if err != nil {
			return nil, err
		}
		out = append(out, texts...)
	}
	return out, nil
}

// nearest sorts the examples by cached embeddings.
func (u Use) nearest(f From, examples []llm.Example, text string) ([]int, error) {
	in := u.bound.Inputs[u.examplesKey()+".model"]
	if in == nil {
		return nil, errors.New("choosing the nearest examples requires an embedding model")
	}
	model := f.Plan.Models[in.Address]
	if model == nil || model.Definition == "" {
		return nil, &Unknown{fmt.Sprintf("The nearest examples are chosen by embeddings from %s, which depends on values of other stages or has a secret in its definition.", in.Address)}
	}
	if !model.Info.Cache {
		return nil, &Unknown{fmt.Sprintf("The nearest examples are chosen by embeddings from %s, whose answers are not cached: it has cache = false.", in.Address)}
	}
	cache, err := f.Answers()
	if err != nil {
		return nil, err
	}
	vectors, missing := make([][]float32, len(examples)), 0
	for i, e := range examples {
		if vectors[i] = kept(cache, model, e.User); vectors[i] == nil {
			missing++
		}
	}
	asked := kept(cache, model, text)
	if asked == nil || missing > 0 {
		return nil, u.missing(in.Address, missing, len(examples), asked == nil)
	}
	return llm.RankBySimilarity(vectors, asked), nil
}

// kept returns the cached embedding of a text, normalized to length 1, or nil.
func kept(cache *responses.Cache, model *plan.Model, text string) []float32 {
	if cache == nil {
		return nil
	}
	v := modelhost.KeptEmbedding(cache, model.Definition, text)
	if v == nil {
		return nil
	}
	return llm.Normalize(v)
}

// missing says which embeddings are not cached, and how to compute them.
func (u Use) missing(model string, missing, of int, row bool) error {
	var what []string
	if missing > 0 {
		what = append(what, fmt.Sprintf("those of %d of %d examples", missing, of))
	}
	if row {
		what = append(what, "that of the row")
	}
	return &Unknown{fmt.Sprintf("The nearest examples are chosen by embeddings from %s. Embeddings that are not cached yet: %s. This command does not call models. Run \"quern apply -target=%s\" to request them, along with the answers of that stage.",
		model, strings.Join(what, " and "), u.Node.Address)}
}
