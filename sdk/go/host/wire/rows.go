package wire

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// MaxRows is the maximum size of a message's rows in bytes; it leaves room for
// the rest. Only tests change it.
var MaxRows = MaxMessage - 1<<20

// Piece is a range of a batch's rows that fits into one message.
type Piece struct {
	From, To int64 // rows of the batch
	Rows     []byte
	// Counts is the number of Rows for each row, for a FlatMapper.
	Counts []int64
	// Size is the size of the rows in bytes. If it is above MaxRows, the piece
	// is a single row that is too large to send: Rows has nulls instead or, with
	// Counts, nothing.
	Size int
}

// TooLarge reports whether the piece is a row that cannot be sent.
func (p *Piece) TooLarge() bool { return p.Size > MaxRows }

// Excess says how large a row that is too large is, what the limit is, and what
// to do.
func (p *Piece) Excess() string {
	const mib = 1 << 20
	return fmt.Sprintf("%d MiB, but a row between quern and a plugin can take at most %d MiB; keep such content in a file, and its path in the row",
		(p.Size+mib-1)/mib, MaxRows/mib)
}

// Cut splits a batch into pieces, in order: one, or more if the rows are too
// large for one message. For a FlatMapper, counts is the number of rows for
// each input row, and pieces consist of whole input rows; otherwise it is nil.
func Cut(rec arrow.RecordBatch, counts []int64) ([]Piece, error) {
	return CutNoted(rec, counts, nil)
}

// NoteBytes is what a note of a row, an error or a token, takes in a message in
// addition to its texts, at most.
const NoteBytes = 64

// maxNotes is the maximum size of a message's notes in bytes, unless a single
// row has more. It fits into the room that MaxRows leaves.
const maxNotes = 512 << 10

// CutNoted is Cut for a batch with notes: the bytes that a message contains
// about a row in addition to its values, by row.
func CutNoted(rec arrow.RecordBatch, counts []int64, notes map[int64]int) ([]Piece, error) {
	whole := Piece{To: rec.NumRows(), Counts: counts}
	if counts != nil {
		whole.To = int64(len(counts))
	}
	if len(notes) == 0 {
		return whole.cut(rec)
	}
	var pieces []Piece
	for from := int64(0); ; {
		to, size := from, 0
		for ; to < whole.To && (to == from || size+notes[to] <= maxNotes); to++ {
			size += notes[to]
		}
		cut, err := whole.between(from, to, rec)
		if err != nil {
			return nil, err
		}
		if pieces = append(pieces, cut...); to == whole.To {
			return pieces, nil
		}
		from = to
	}
}

// between cuts the rows from from to to-1 of a whole batch.
func (p Piece) between(from, to int64, rec arrow.RecordBatch) ([]Piece, error) {
	part, start, end := Piece{From: from, To: to}, from, to
	if p.Counts != nil {
		part.Counts, start = p.Counts[from:to], sum(p.Counts[:from])
		end = start + sum(part.Counts)
	}
	return part.cut(rec.NewSlice(start, end))
}

// cut returns the piece, or those of its halves.
func (p Piece) cut(rec arrow.RecordBatch) ([]Piece, error) {
	var err error
	if p.Rows, err = data.EncodeBatch(rec); err != nil {
		return nil, err
	}
	p.Size = len(p.Rows)
	if !p.TooLarge() {
		return []Piece{p}, nil
	}
	if p.To-p.From == 1 {
		err := p.empty(rec.Schema())
		return []Piece{p}, err
	}
	half := (p.To - p.From) / 2
	first, second, at := Piece{From: p.From, To: p.From + half}, Piece{From: p.From + half, To: p.To}, half
	if p.Counts != nil {
		first.Counts, second.Counts = p.Counts[:half], p.Counts[half:]
		at = sum(first.Counts)
	}
	pieces, err := first.cut(rec.NewSlice(0, at))
	if err != nil {
		return nil, err
	}
	rest, err := second.cut(rec.NewSlice(at, rec.NumRows()))
	return append(pieces, rest...), err
}

// empty removes the content of a row that is too large.
func (p *Piece) empty(schema *arrow.Schema) (err error) {
	rows := int64(1)
	if p.Counts != nil {
		p.Counts, rows = []int64{0}, 0
	}
	p.Rows, err = data.EncodeBatch(Nulls(schema, rows))
	return err
}

// Nulls returns rows without values.
func Nulls(schema *arrow.Schema, rows int64) arrow.RecordBatch {
	columns := make([]arrow.Array, schema.NumFields())
	for i, f := range schema.Fields() {
		columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, int(rows))
	}
	return array.NewRecordBatch(schema, columns, rows)
}

func sum(counts []int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// Gathering combines the messages that answer one batch.
type Gathering struct {
	// Rows is the number of rows in the batch. Flat means that each produces any
	// number of rows.
	Rows int64
	Flat bool

	// Counts and Errors are those of the messages so far, by the rows of the
	// batch.
	Counts []int64
	Errors []*pluginv1.RowError

	parts    []arrow.RecordBatch
	answered int64 // rows of the batch
}

// Add takes a message and reports whether the answer is complete. A message
// that does not match the batch is an error. Messages of Predict are converted
// to those of Map.
func (g *Gathering) Add(m *pluginv1.MapResponse) (whole bool, err error) {
	rec, err := data.DecodeBatch(m.GetRows())
	if err != nil {
		return false, err
	}
	if len(g.parts) > 0 {
		if rec, err = data.Conform(rec, g.parts[0].Schema()); err != nil {
			return false, fmt.Errorf("its messages have different columns: %w", err)
		}
	}
	g.parts = append(g.parts, rec)
	n := rec.NumRows()
	if g.Flat {
		n = int64(len(m.GetCounts()))
		if err := checkCounts(m.GetCounts(), rec.NumRows()); err != nil {
			return false, err
		}
	}
	if err := g.check(n, m); err != nil {
		return false, err
	}
	for _, e := range m.GetErrors() {
		e.Row += g.answered
	}
	g.Counts, g.Errors = append(g.Counts, m.GetCounts()...), append(g.Errors, m.GetErrors()...)
	g.answered += n
	return !m.GetMore(), nil
}

// check compares a message that answers n rows with the remaining rows.
func (g *Gathering) check(n int64, m *pluginv1.MapResponse) error {
	switch answered := g.answered + n; {
	case m.GetMore() && (n == 0 || answered >= g.Rows):
		return fmt.Errorf("it says that more rows follow after a message with %d rows, but has then answered %d of %d rows", n, answered, g.Rows)
	case !m.GetMore() && answered != g.Rows:
		return fmt.Errorf("it answered %d rows, but the batch has %d", answered, g.Rows)
	}
	for _, e := range m.GetErrors() {
		if e.GetRow() < 0 || e.GetRow() >= n {
			return fmt.Errorf("it reports row %d of %d as failed", e.GetRow(), n)
		}
	}
	return nil
}

// checkCounts compares counts with the rows that a FlatMapper made.
func checkCounts(counts []int64, made int64) error {
	left := made
	for i, n := range counts {
		if n < 0 || n > left {
			return fmt.Errorf("it counts %d output rows for row %d, but sent %d in total", n, i, made)
		}
		left -= n
	}
	if left != 0 {
		return fmt.Errorf("it counts %d output rows for %d rows, but sent %d", made-left, len(counts), made)
	}
	return nil
}

// Record is the whole answer, which the caller releases.
func (g *Gathering) Record() (arrow.RecordBatch, error) {
	return data.Concat(g.parts[0].Schema(), g.parts)
}

// Release drops what has come.
func (g *Gathering) Release() {
	for _, p := range g.parts {
		p.Release()
	}
	g.parts = nil
}
