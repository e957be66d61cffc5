package profile

import (
	"math"
	"runtime"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// pass reads the rows of a dataset once. The columns of a batch are processed in
// parallel, so each column sees its values in order.
type pass struct {
	schema  data.Schema
	columns []column
	options options
	rows    int64
	// repeated counts the rows that have occurred before.
	repeated *repeats
	chooser  chooser
	sampled  int64
	rowHash  []uint64
}

func newPass(schema data.Schema, rows int64, o options) (*pass, error) {
	p := &pass{schema: schema, chooser: newChooser(rows, o.sample, o.seed), repeated: newRepeats(o.dir)}
	o.whole = p.chooser.all
	p.options = o
	for _, c := range schema {
		column, err := newColumn(c, o)
		if err != nil {
			return nil, err
		}
		p.columns = append(p.columns, column)
	}
	return p, nil
}

func (p *pass) add(rec arrow.RecordBatch) error {
	sampled := p.chooser.of(p.rows, int(rec.NumRows()))
	p.sampled += int64(len(sampled))
	all := make([][]uint64, len(p.columns))
	errs := make([]error, len(p.columns))
	parallel.For(len(p.columns), runtime.GOMAXPROCS(0), func(i int) {
		if all[i], errs[i] = hashes(rec.Column(i)); errs[i] == nil {
			errs[i] = p.columns[i].add(rec.Column(i), all[i], sampled)
		}
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	p.rowHash = p.rowHash[:0]
	for range rec.NumRows() {
		p.rowHash = append(p.rowHash, 0)
	}
	for _, hashes := range all {
		for i, h := range hashes {
			p.rowHash[i] = join(p.rowHash[i], h)
		}
	}
	p.rows += rec.NumRows()
	return p.repeated.add(p.rowHash...)
}

func (p *pass) finish() (*measurement.Profile, error) {
	out := &measurement.Profile{
		Version: measurement.ProfileVersion, Rows: p.rows, Sampled: p.sampled, Confidence: p.options.confidence,
		Columns: make([]measurement.ProfileColumn, len(p.columns)),
	}
	errs := make([]error, len(p.columns))
	parallel.For(len(p.columns), runtime.GOMAXPROCS(0), func(i int) {
		out.Columns[i].Name, out.Columns[i].Type = p.schema[i].Name, p.schema[i].Type
		errs[i] = p.columns[i].finish(&out.Columns[i], p.options)
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	var err error
	if out.DuplicateRows, err = p.repeated.count(); err != nil {
		return nil, err
	}
	for i := range out.Columns {
		out.NullCells += out.Columns[i].Nulls
		identify(&out.Columns[i])
	}
	if out.Associations, err = p.associations(out); err != nil {
		return nil, err
	}
	out.Warnings = warnings(out)
	return out, nil
}

func (p *pass) close() {
	p.repeated.close()
	for _, c := range p.columns {
		c.close()
	}
}

// chooser chooses the rows of the sample. Whether it chooses a row depends only
// on the seed, the row's position, and the number of rows.
type chooser struct {
	all   bool
	limit uint64
	seed  uint64
}

// newChooser returns a chooser of about wanted of the rows. If there are at most
// a quarter more, it chooses all, because exact figures are worth more.
func newChooser(rows, wanted, seed int64) chooser {
	if rows <= wanted+wanted/4 {
		return chooser{all: true}
	}
	return chooser{limit: uint64(float64(wanted) / float64(rows) * math.MaxUint64), seed: mix(uint64(seed) + 1)}
}

// of returns which of n rows it chooses. first is the position of the first one in
// the dataset.
func (c chooser) of(first int64, n int) []int {
	var out []int
	for i := range n {
		if c.all || mix(c.seed^mix(uint64(first)+uint64(i)+1)) < c.limit {
			out = append(out, i)
		}
	}
	return out
}
