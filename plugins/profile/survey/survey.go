package survey

import (
	"fmt"
	"math"
	"runtime"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/profile/drift"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// NoTokenizer is the tokenizer that counts no tokens.
const NoTokenizer = "none"

// Options are what figures depend on.
type Options struct {
	// Top is the number of frequent values of each column.
	Top        int
	Confidence float64
	// Tokenizer is the name of an encoding, NoTokenizer, or anything else for
	// estimates.
	Tokenizer string
	// Sample is about how many rows to sample, and Seed determines which.
	Sample, Seed int64
	// Dir is a folder for temporary files.
	Dir string
	// Distributions is set if only the sketches are wanted.
	Distributions bool
	// whole is set if the sample contains all rows.
	whole bool
}

// Defaults returns the options that evaluate "profile" has by default.
func Defaults() Options {
	return Options{Top: 10, Confidence: 0.95, Tokenizer: "o200k_base", Sample: 10_000}
}

// Survey reads the rows of a dataset once. The columns of a batch are processed in
// parallel, so each column sees its values in order.
type Survey struct {
	schema  data.Schema
	columns []column
	options Options
	rows    int64
	// repeated counts the rows that have occurred before.
	repeated *repeats
	chooser  chooser
	// sample has the keys of the sampled rows; see chooser.
	sample []uint64
	// hashes are those of the values of each column, and rowHash those of the rows,
	// in the last batch.
	hashes  [][]uint64
	rowHash []uint64
}

// New returns a survey of a dataset with a number of rows.
func New(schema data.Schema, rows int64, o Options) (*Survey, error) {
	s := &Survey{schema: schema, chooser: newChooser(rows, o.Sample, o.Seed), repeated: newRepeats(o.Dir), hashes: make([][]uint64, len(schema))}
	o.whole = s.chooser.all
	s.options = o
	for _, c := range schema {
		column, err := newColumn(c, o)
		if err != nil {
			return nil, err
		}
		s.columns = append(s.columns, column)
	}
	return s, nil
}

// Rows returns how many rows were added.
func (s *Survey) Rows() int64 { return s.rows }

// Add adds the next rows.
func (s *Survey) Add(rec arrow.RecordBatch) error {
	var sampled []int
	sampled, s.sample = s.chooser.of(s.rows, int(rec.NumRows()), s.sample)
	err := s.each(func(i int) (err error) {
		if s.hashes[i], err = hashes(rec.Column(i), s.hashes[i]); err != nil {
			return err
		}
		return s.columns[i].add(rec.Column(i), s.hashes[i], sampled)
	})
	if err != nil {
		return fmt.Errorf("profile the rows from %d on: %w", s.rows, err)
	}
	s.rowHash = append(s.rowHash[:0], make([]uint64, rec.NumRows())...)
	for _, hashes := range s.hashes {
		for i, h := range hashes {
			s.rowHash[i] = join(s.rowHash[i], h)
		}
	}
	s.rows += rec.NumRows()
	return s.repeated.add(s.rowHash)
}

// each calls f for all columns in parallel.
func (s *Survey) each(f func(i int) error) error {
	errs := make([]error, len(s.columns))
	parallel.For(len(s.columns), runtime.GOMAXPROCS(0), func(i int) { errs[i] = f(i) })
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("column %q: %w", s.schema[i].Name, err)
		}
	}
	return nil
}

// Finish returns what was found, and the distributions of the columns. No rows can
// be added after that.
func (s *Survey) Finish() (*measurement.Profile, *drift.Sketches, error) {
	out := &measurement.Profile{
		Version: measurement.ProfileVersion, Rows: s.rows, Sampled: int64(len(s.sample)), Confidence: s.options.Confidence,
		Columns: make([]measurement.ProfileColumn, len(s.columns)),
	}
	err := s.each(func(i int) error {
		out.Columns[i].Name, out.Columns[i].Type = s.schema[i].Name, s.schema[i].Type
		return s.columns[i].finish(&out.Columns[i], s.options)
	})
	if err != nil {
		return nil, nil, err
	}
	if out.DuplicateRows, err = s.repeated.count(); err != nil {
		return nil, nil, err
	}
	for i := range out.Columns {
		out.NullCells += out.Columns[i].Nulls
		identify(&out.Columns[i])
	}
	if out.Associations, err = s.associations(out); err != nil {
		return nil, nil, err
	}
	out.Warnings = warnings(out)
	return out, s.sketches(out), nil
}

// sketches returns the distributions of the columns.
func (s *Survey) sketches(found *measurement.Profile) *drift.Sketches {
	out := drift.New(s.rows)
	for i, c := range s.columns {
		about := &found.Columns[i]
		sketch := drift.Column{Name: about.Name, Type: about.Type, Nulls: about.Nulls, Values: about.Values}
		c.sketch(&sketch)
		out.Columns = append(out.Columns, sketch)
	}
	return out
}

// Close removes temporary files.
func (s *Survey) Close() {
	s.repeated.close()
	for _, c := range s.columns {
		c.close()
	}
}

// chooser chooses the rows of the sample. Each row has a key, which depends only
// on the seed and the row's position, and it chooses those with keys below a limit,
// which depends only on the number of rows. So the sample of more rows consists of
// some of the earlier ones, and of new ones.
type chooser struct {
	all   bool
	limit uint64
	seed  uint64
}

// newChooser returns a chooser of about wanted of the rows. If there are at most
// a quarter more, it chooses all, because exact figures are worth more.
func newChooser(rows, wanted, seed int64) chooser {
	c := chooser{limit: math.MaxUint64, seed: mix(uint64(seed) + 1)}
	if c.all = rows <= wanted+wanted/4; !c.all {
		c.limit = uint64(float64(wanted) / float64(rows) * math.MaxUint64)
	}
	return c
}

// of returns which of n rows it chooses, and appends their keys. first is the
// position of the first one in the dataset.
func (c chooser) of(first int64, n int, keys []uint64) ([]int, []uint64) {
	var out []int
	for i := range n {
		if key := mix(c.seed ^ mix(uint64(first)+uint64(i)+1)); c.has(key) {
			out, keys = append(out, i), append(keys, key)
		}
	}
	return out, keys
}

// has reports whether it chooses the row with a key.
func (c chooser) has(key uint64) bool { return c.all || key < c.limit }
