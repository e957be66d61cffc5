package rows

import (
	"container/heap"
	"context"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type sampleArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The dataset to draw from."`
	Rows  *int64         `quern:"rows" doc:"The number of rows to draw. If the dataset has fewer rows, all are drawn."`
	Share *float64       `quern:"share" doc:"The share of rows to draw, from 0 to 1. The actual share varies slightly by chance."`
	Seed  int64          `quern:"seed" default:"0" doc:"The seed. Another seed draws another sample."`
}

const sampleDoc = `Draws a stable random sample: when the dataset grows, the rows in the sample stay in it, except that new rows may displace some if ` + "`rows`" + ` fixes the number.

A hash of a row's values and the seed decides whether the row is drawn. With ` + "`share`" + `, identical rows are drawn together. Give either ` + "`rows`" + ` or ` + "`share`" + `.

` + "```hcl" + `
transform "sample" "some" {
  input = source.tickets
  rows  = 1000
}
` + "```"

// sample implements transform "sample".
type sample struct{}

// Prepare declares the input's columns.
func (sample) Prepare(_ context.Context, p *plugin.Prepare[sampleArgs]) error {
	a := p.Args
	switch {
	case a.Rows == nil && a.Share == nil && p.Known("rows") && p.Known("share"):
		p.Errorf("", "The sample size is missing\nGive either rows or share.")
	case a.Rows != nil && a.Share != nil:
		p.Errorf("share", "rows and share cannot be combined\nGive either rows or share.")
	case a.Rows != nil && *a.Rows < 0:
		p.Errorf("rows", "Cannot draw %d rows\nrows must be at least 0.", *a.Rows)
	case a.Share != nil && !(*a.Share >= 0 && *a.Share <= 1):
		p.Errorf("share", "The share %g is out of range\nA share must be from 0 to 1.", *a.Share)
	}
	sameColumns(p, []string{""})
	if a.Rows != nil || a.Share != nil {
		p.Select("", plugin.Selection{RowsOf: "input", Share: a.Share, Most: a.Rows})
	}
	return nil
}

// Run copies the rows of the sample.
func (sample) Run(ctx context.Context, r *plugin.Run[sampleArgs]) error {
	in, a := r.Dataset(r.Args.Input), r.Args
	drawn := func(_ int64, number uint64) bool { return float64(number>>11)/(1<<53) < *a.Share }
	if a.Rows != nil {
		lowest := newLowest(int(min(*a.Rows, in.Rows)))
		err := numbered(ctx, r, in, func(_ arrow.RecordBatch, first int64, numbers []uint64) error {
			for i, n := range numbers {
				lowest.offer(ticket{n, first + int64(i)})
			}
			return nil
		})
		if err != nil {
			return err
		}
		drawn = lowest.holds()
	}
	return numbered(ctx, r, in, func(rec arrow.RecordBatch, first int64, numbers []uint64) error {
		return writeChosen(r, "", rec, func(i int) bool { return drawn(first+int64(i), numbers[i]) })
	})
}

// numbered yields the rows with their hashes. first is the position of a
// batch's first row in the dataset.
func numbered(ctx context.Context, r *plugin.Run[sampleArgs], in *plugin.DatasetInput, work func(rec arrow.RecordBatch, first int64, numbers []uint64) error) error {
	h := hasher{seed: uint64(r.Args.Seed)}
	var first int64
	return eachBatch(ctx, r, in, nil, func(rec arrow.RecordBatch, _ []arrow.Array) error {
		numbers := make([]uint64, rec.NumRows())
		for i := range numbers {
			var err error
			if numbers[i], err = h.hash(rec.Columns(), i); err != nil {
				return err
			}
		}
		err := work(rec, first, numbers)
		first += rec.NumRows()
		return err
	})
}

// ticket is a row's number in the draw. If equal rows have the same number, the
// first of them comes first.
type ticket struct {
	number uint64
	row    int64
}

func (t ticket) less(o ticket) bool {
	return t.number < o.number || t.number == o.number && t.row < o.row
}

// lowest keeps the n lowest tickets, in a heap with the highest of them on top.
type lowest struct {
	n       int
	tickets []ticket
}

func newLowest(n int) *lowest { return &lowest{n: n} }

func (l *lowest) offer(t ticket) {
	switch {
	case len(l.tickets) < l.n:
		heap.Push(l, t)
	case l.n > 0 && t.less(l.tickets[0]):
		l.tickets[0] = t
		heap.Fix(l, 0)
	}
}

// holds returns a function that reports whether a row is among the lowest.
func (l *lowest) holds() func(row int64, number uint64) bool {
	if len(l.tickets) == 0 {
		return func(int64, uint64) bool { return false }
	}
	highest := l.tickets[0]
	return func(row int64, number uint64) bool { return !highest.less(ticket{number, row}) }
}

// Len, Less, Swap, Push, and Pop implement heap.Interface.
func (l *lowest) Len() int           { return len(l.tickets) }
func (l *lowest) Less(i, j int) bool { return l.tickets[j].less(l.tickets[i]) }
func (l *lowest) Swap(i, j int)      { l.tickets[i], l.tickets[j] = l.tickets[j], l.tickets[i] }
func (l *lowest) Push(t any)         { l.tickets = append(l.tickets, t.(ticket)) }
func (l *lowest) Pop() any {
	last := l.tickets[len(l.tickets)-1]
	l.tickets = l.tickets[:len(l.tickets)-1]
	return last
}
