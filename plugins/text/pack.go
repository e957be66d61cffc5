package text

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type packArgs struct {
	Input     plugin.Dataset `quern:"input,required" doc:"The dataset that contains the tokens."`
	Tokens    plugin.Column  `quern:"tokens,required" type:"dynamic" doc:"The tokens of a row, such as 'row.tokens': a list of IDs."`
	Length    int            `quern:"length,required" doc:"The length of a sequence, in tokens."`
	Separator *int64         `quern:"separator" doc:"The ID of a token to put after the tokens of each row, such as that of '</s>'."`
	Split     bool           `quern:"split" default:"true" doc:"Whether a row's tokens may continue in the next sequence. Otherwise each row is in one sequence, and sequences have at most 'length' tokens."`
	Rest      string         `quern:"rest" default:"\"keep\"" oneof:"keep,drop" doc:"With 'split = true', what becomes of the last sequence if it is shorter than 'length': 'keep' or 'drop'."`
}

const packDoc = `Puts the tokens of rows into sequences of one length, as trainers read them.

By default, rows follow each other, and a sequence ends after exactly ` + "`length`" + ` tokens, even within a row; only the last one is shorter. With ` + "`split = false`" + `, each row goes, as a whole, to the sequence that it fills best; a row with more than ` + "`length`" + ` tokens is an error. quern looks for it among the last 256 sequences that are not full, so the result does not need to fit into memory. Rows without tokens are left out.

The columns are ` + "`input_ids`" + `, a list, and ` + "`seq_lengths`" + `, the number of tokens of each row, or part of one, in the sequence, in their order. With ` + "`separator`" + `, that token counts as the last one of its row. The values are ` + "`input_rows`" + `, ` + "`tokens`" + ` (with separators), ` + "`dropped_tokens`" + ` (those in no sequence), and ` + "`filled`" + ` (the share of the sequences' length).

` + "```hcl" + `
transform "pack" "sequences" {
  input     = transform.tokens
  tokens    = row.tokens
  length    = 2048
  separator = 2
}
` + "```"

// pack implements transform "pack".
type pack struct{}

var packed = data.Schema{{Name: "input_ids", Type: "list<int64>"}, {Name: "seq_lengths", Type: "list<int64>"}}

// Prepare declares the sequences.
func (pack) Prepare(_ context.Context, p *plugin.Prepare[packArgs]) error {
	a := p.Args
	if typ, _ := p.RowArgument("tokens"); typ != "list<int64>" && typ != "" {
		p.Errorf("tokens", "These are not tokens\nTokens are a list of integers, such as transform \"tokenize\" makes. This has the type %s.", typ)
	}
	if p.Known("length") && a.Length < 1 {
		p.Errorf("length", "The length is out of range\nlength must be at least 1, not %d.", a.Length)
	}
	if p.Known("split") && p.Known("rest") && !a.Split && a.Rest == "drop" {
		p.Errorf("rest", "rest has no effect with split = false\nOnly with split = true, all sequences but the last one have the same length.")
	}
	if a.Separator != nil && *a.Separator < 0 {
		p.Errorf("separator", "The separator is not a token\nThe ID of a token is at least 0, not %d.", *a.Separator)
	}
	p.AddDataset("", packed)
	if p.Known("split") && !a.Split {
		p.Select("", plugin.Selection{RowsOf: "input", Some: true}) // each row is in one sequence
	}
	p.SetLineage("", "input_ids", plugin.LineageSource{Argument: "tokens"})
	p.SetLineage("", "seq_lengths", plugin.LineageSource{Argument: "tokens"})
	p.SetRowsLineage("", plugin.LineageSource{Argument: "tokens"})
	p.SetValueType(cty.Object(map[string]cty.Type{
		"input_rows": cty.Number, "tokens": cty.Number, "dropped_tokens": cty.Number, "filled": cty.Number,
	}))
	return nil
}

// Run packs the rows in their order.
func (pack) Run(ctx context.Context, r *plugin.Run[packArgs]) error {
	w := newSequences(r)
	defer w.rows.Release()
	var packer interface {
		add(tokens []int64) error
		finish() error
	} = &whole{sequences: w}
	if r.Args.Split {
		packer = &running{sequences: w}
	}
	in := r.Dataset(r.Args.Input)
	var done int64
	for rec, err := range in.Batches(ctx, data.Arguments.Refs(r.Args.Tokens.Key)) {
		if err != nil {
			return err
		}
		if err := w.each(rec.Column(0), done, packer.add); err != nil {
			return err
		}
		done += rec.NumRows()
		r.Progress(done, in.Rows, "rows", "")
	}
	if err := packer.finish(); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.report(done)
	return nil
}

// sequences writes sequences.
type sequences struct {
	run             *plugin.Run[packArgs]
	rows            *array.RecordBuilder
	pending         int // tokens in rows
	count           int64
	tokens, dropped int64
}

func newSequences(r *plugin.Run[packArgs]) *sequences {
	return &sequences{run: r, rows: array.NewRecordBuilder(memory.DefaultAllocator, packed.Arrow())}
}

// each yields the tokens of the rows of a column, with the separator. They are
// valid until the next row.
func (w *sequences) each(column arrow.Array, first int64, add func([]int64) error) error {
	lists, ok := column.(*array.List)
	if !ok {
		return fmt.Errorf("tokens has type %s, but must be a list", column.DataType())
	}
	values, ok := lists.ListValues().(*array.Int64)
	if !ok {
		return fmt.Errorf("tokens has type %s, but must be a list of integers", column.DataType())
	}
	var row []int64
	for i := range lists.Len() {
		from, to := lists.ValueOffsets(i)
		if lists.IsNull(i) || from == to {
			continue
		}
		for k := from; k < to; k++ {
			if values.IsNull(int(k)) {
				return plugin.ArgumentErrorf("tokens", "A token is null\nIt is token %d of row %d.", k-from, first+int64(i))
			}
		}
		row = append(row[:0], values.Int64Values()[from:to]...)
		if w.run.Args.Separator != nil {
			row = append(row, *w.run.Args.Separator)
		}
		if n := len(row); !w.run.Args.Split && n > w.run.Args.Length {
			return plugin.ArgumentErrorf("length", "A row is longer than a sequence\nRow %d has %d tokens, with its separator, but a sequence has at most %d. Raise length, use split = true, or leave such rows out.", first+int64(i), n, w.run.Args.Length)
		}
		w.tokens += int64(len(row))
		if err := add(row); err != nil {
			return err
		}
	}
	return nil
}

// mostPending is the number of tokens after which sequences are written.
const mostPending = 1 << 20

func (w *sequences) write(s *sequence) error {
	for i, values := range [][]int64{s.tokens, s.lengths} {
		list := w.rows.Field(i).(*array.ListBuilder)
		list.Append(true)
		list.ValueBuilder().(*array.Int64Builder).AppendValues(values, nil)
	}
	w.count++
	if w.pending += len(s.tokens); w.pending < mostPending {
		return nil
	}
	return w.flush()
}

func (w *sequences) flush() error {
	rec := w.rows.NewRecordBatch()
	defer rec.Release()
	w.pending = 0
	if rec.NumRows() == 0 {
		return nil
	}
	return w.run.Write("", rec)
}

func (w *sequences) report(rows int64) {
	filled := 0.0
	if w.count > 0 {
		filled = float64(w.tokens-w.dropped) / float64(w.count*int64(w.run.Args.Length))
	}
	w.run.SetValue(cty.ObjectVal(map[string]cty.Value{
		"input_rows": cty.NumberIntVal(rows), "tokens": cty.NumberIntVal(w.tokens),
		"dropped_tokens": cty.NumberIntVal(w.dropped), "filled": cty.NumberFloatVal(filled),
	}))
}

// sequence is a sequence that is being filled.
type sequence struct{ tokens, lengths []int64 }

func (s *sequence) add(tokens []int64) {
	s.tokens, s.lengths = append(s.tokens, tokens...), append(s.lengths, int64(len(tokens)))
}

// running lets rows continue in the next sequence.
type running struct {
	*sequences
	open sequence
}

func (k *running) add(tokens []int64) error {
	length := k.run.Args.Length
	for len(tokens) > 0 {
		n := min(len(tokens), length-len(k.open.tokens))
		k.open.add(tokens[:n])
		tokens = tokens[n:]
		if len(k.open.tokens) < length {
			continue
		}
		if err := k.write(&k.open); err != nil {
			return err
		}
		k.open.tokens, k.open.lengths = k.open.tokens[:0], k.open.lengths[:0]
	}
	return nil
}

func (k *running) finish() error {
	if len(k.open.tokens) == 0 {
		return nil
	}
	if k.run.Args.Rest == "drop" {
		k.dropped += int64(len(k.open.tokens))
		return nil
	}
	return k.write(&k.open)
}

// whole keeps rows together. A row goes to the open sequence that it leaves the
// least room in.
type whole struct {
	*sequences
	open []*sequence
}

// mostOpen is the maximum number of sequences that are being filled. If there are
// more, the oldest one is written.
const mostOpen = 256

func (k *whole) add(tokens []int64) error {
	length, best := k.run.Args.Length, -1
	for i, s := range k.open {
		if len(s.tokens)+len(tokens) <= length && (best < 0 || len(s.tokens) > len(k.open[best].tokens)) {
			best = i
		}
	}
	if best < 0 {
		best = len(k.open)
		k.open = append(k.open, &sequence{})
	}
	k.open[best].add(tokens)
	switch {
	case len(k.open[best].tokens) == length:
		return k.close(best)
	case len(k.open) > mostOpen:
		return k.close(0)
	}
	return nil
}

func (k *whole) close(i int) error {
	err := k.write(k.open[i])
	k.open = append(k.open[:i], k.open[i+1:]...)
	return err
}

func (k *whole) finish() error {
	for len(k.open) > 0 {
		if err := k.close(0); err != nil {
			return err
		}
	}
	return nil
}
