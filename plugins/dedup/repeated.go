package dedup

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/dedup/minhash"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// The columns that method "substrings" adds: where repeated passages are, and with
// 'remove' the text without them.
var (
	repeatedColumn = data.Column{Name: "repeated", Type: "list<struct<start:int64,end:int64>>"}
	restColumn     = data.Column{Name: "rest", Type: "string"}
)

// repeatedType has how many rows and bytes there are, and how many of them are repeated.
var repeatedType = cty.Object(map[string]cty.Type{
	"repeated_rows": cty.Number, "bytes": cty.Number, "repeated_bytes": cty.Number,
})

// prepareRepeated declares the outputs of method "substrings".
func prepareRepeated(p *plugin.Prepare[dedupArgs]) {
	p.KeepInput("input")
	text := plugin.LineageSource{Argument: p.Args.Text.Key}
	columns := data.Schema{repeatedColumn}
	if p.Args.Remove {
		columns = append(columns, restColumn)
	}
	addColumns(p, columns)
	for _, c := range columns {
		p.SetLineage("", c.Name, text)
	}
	p.SetValueType(repeatedType)
}

// addColumns adds columns with names that no argument and no block can change.
func addColumns(p *plugin.Prepare[dedupArgs], columns data.Schema) {
	in := p.Input("input")
	for _, c := range columns {
		if in != nil {
			if _, _, taken := in.Schema.Lookup(c.Name); taken {
				p.Errorf("", "The dataset already has a column named %q\nThis stage would replace it. Rename the column of the input, or drop it, with transform \"map\".", c.Name)
				continue
			}
		}
		p.AddColumn(c.Name, c.Type)
	}
}

// runRepeated finds the passages of texts that occur several times.
func runRepeated(ctx context.Context, r *plugin.Run[dedupArgs]) (err error) {
	s, err := newScan(r)
	if err != nil {
		return err
	}
	all := &repeats{scan: s, length: r.Args.ngram(), shards: make([]*runs, len(s.in.Shards()))}
	defer func() {
		for _, shard := range all.shards {
			err = errors.Join(err, shard.close())
		}
	}()
	if err := all.readRuns(ctx); err != nil {
		return err
	}
	if err := all.merge(ctx); err != nil {
		return err
	}
	w := &repeatedWriter{repeats: all}
	for i := range all.shards {
		if err := w.shard(ctx, i); err != nil {
			return err
		}
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{
		"repeated_rows": cty.NumberIntVal(w.rows),
		"bytes":         cty.NumberIntVal(w.bytes), "repeated_bytes": cty.NumberIntVal(w.repeated),
	}))
	return nil
}

// repeatedWriter writes the new columns.
type repeatedWriter struct {
	*repeats
	rows, bytes, repeated int64
}

// shard writes the columns of one shard.
func (w *repeatedWriter) shard(ctx context.Context, i int) error {
	passages, err := w.passages(ctx, i)
	if err != nil {
		return err
	}
	w.bytes += w.shards[i].bytes
	if !w.run.Args.Remove {
		for from := 0; from < len(passages); from += writtenRows {
			if err := w.write(passages[from:min(len(passages), from+writtenRows)], nil); err != nil {
				return err
			}
		}
		return nil
	}
	for rec, err := range data.ReadRefs(ctx, []data.Shard{w.in.Shards()[i]}, []data.Ref{w.compared}, 0) {
		if err != nil {
			return err
		}
		n := int(rec.NumRows())
		if err := w.write(passages[:n], rec.Column(0).(*array.String)); err != nil {
			return err
		}
		passages = passages[n:]
	}
	return nil
}

// write writes some rows. Without texts, there is no column for the rest.
func (w *repeatedWriter) write(passages [][]minhash.Place, texts *array.String) error {
	columns := data.Schema{repeatedColumn}
	if texts != nil {
		columns = append(columns, restColumn)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, columns.Arrow())
	defer b.Release()
	list := b.Field(0).(*array.ListBuilder)
	place := list.ValueBuilder().(*array.StructBuilder)
	for i, here := range passages {
		if here == nil { // no text
			for _, f := range b.Fields() {
				f.AppendNull()
			}
			continue
		}
		list.Append(true)
		if len(here) > 0 {
			w.rows++
		}
		for _, p := range here {
			w.repeated += int64(p.To - p.From)
			place.Append(true)
			place.FieldBuilder(0).(*array.Int64Builder).Append(int64(p.From))
			place.FieldBuilder(1).(*array.Int64Builder).Append(int64(p.To))
		}
		if texts != nil {
			b.Field(1).(*array.StringBuilder).Append(without(texts.Value(i), here))
		}
	}
	var rec arrow.RecordBatch = b.NewRecordBatch()
	defer rec.Release()
	return w.run.Write("", rec)
}

// without returns a text without some passages.
func without(text string, passages []minhash.Place) string {
	if len(passages) == 0 {
		return text
	}
	rest := make([]byte, 0, len(text))
	from := 0
	for _, p := range passages {
		rest = append(rest, text[from:p.From]...)
		from = p.To
	}
	return string(append(rest, text[from:]...))
}

// passages returns the repeated passages of each row of a shard, and nil for a row
// without a text. They are kept as long as the same runs of the shard are repeated: for
// each row, as numbers (uvarint), their count plus one, or 0 for no text, and for each
// passage its distance from the end of the last one and its length.
func (r *repeats) passages(ctx context.Context, i int) ([][]minhash.Place, error) {
	shard := r.in.Shards()[i]
	name := fileName("passages", shard, r.compared) + "-" + r.shards[i].foreignHash()
	content, err := r.files.read(name)
	if err != nil {
		return nil, err
	}
	if content == nil {
		if content, err = r.findPassages(ctx, shard, r.shards[i]); err != nil {
			return nil, err
		}
		if err := r.files.put(name, content); err != nil {
			return nil, err
		}
	}
	if err := r.files.keep(name); err != nil {
		return nil, err
	}
	return decodePassages(content, int(shard.Rows)), nil
}

func decodePassages(content []byte, rows int) [][]minhash.Place {
	next := func() int {
		n, size := binary.Uvarint(content)
		content = content[size:]
		return int(n)
	}
	out := make([][]minhash.Place, rows)
	for row := range out {
		n := next()
		if n == 0 {
			continue
		}
		out[row] = make([]minhash.Place, n-1)
		at := 0
		for k := range out[row] {
			from := at + next()
			at = from + next()
			out[row][k] = minhash.Place{From: from, To: at}
		}
	}
	return out
}

// findPassages reads the texts of a shard and encodes their repeated passages.
func (r *repeats) findPassages(ctx context.Context, shard data.Shard, known *runs) ([]byte, error) {
	finder, row := minhash.NewRuns(r.length), 0
	var out []byte
	for rec, err := range data.ReadRefs(ctx, []data.Shard{shard}, []data.Ref{r.compared}, 0) {
		if err != nil {
			return nil, err
		}
		texts := rec.Column(0).(*array.String)
		for i := range texts.Len() {
			if row++; texts.IsNull(i) {
				out = append(out, 0)
				continue
			}
			hashes, words := finder.Of(texts.Value(i))
			passages := known.passages(row-1, hashes, words, r.length)
			out = binary.AppendUvarint(out, uint64(len(passages))+1)
			at := 0
			for _, p := range passages {
				out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(p.From-at)), uint64(p.To-p.From))
				at = p.To
			}
		}
	}
	return out, nil
}

// passages joins the repeated runs of a row. A run is repeated if another text with a
// lesser print has it, or if it occurs earlier in the text without overlapping.
func (s *runs) passages(row int, hashes []uint64, words []minhash.Place, length int) []minhash.Place {
	var out []minhash.Place
	first := map[uint64]int{} // where runs of which this text keeps one are
	own := s.print(row)
	for i, hash := range hashes {
		run := s.find(hash)
		if !s.isForeign(run) && s.print(s.owner(run)) == own {
			at, seen := first[hash]
			if !seen {
				first[hash] = i
			}
			if !seen || i < at+length {
				continue
			}
		}
		p := minhash.Place{From: words[i].From, To: words[i+length-1].To}
		if n := len(out); n > 0 && p.From <= out[n-1].To {
			out[n-1].To = p.To
		} else {
			out = append(out, p)
		}
	}
	return out
}
