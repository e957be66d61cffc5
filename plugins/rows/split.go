package rows

import (
	"context"
	"maps"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type splitArgs struct {
	Input    plugin.Dataset     `quern:"input,required" doc:"The dataset to split."`
	Shares   map[string]float64 `quern:"shares,required" doc:"The parts and the share of rows for each, such as '{ train = 0.8, test = 0.2 }'. Shares must add up to 1. Each part is a dataset, such as 'transform.NAME.train'."`
	By       plugin.Column      `quern:"by" type:"dynamic" doc:"What to split by: rows for which this is equal go to the same part. Without it, the whole row decides."`
	Stratify plugin.Column      `quern:"stratify" type:"dynamic" doc:"Splits the rows of each value of this expression separately, as close to the shares as possible. The split is then less stable: when rows are added, rows near a boundary may move to another part."`
	Seed     int64              `quern:"seed" default:"0" doc:"The seed. Another seed gives another split. To split a part again by the same expression, use another seed: with the same one, the same hashes decide both splits, and the shares of the second come out wrong."`
}

const splitDoc = `Splits a dataset into parts. The split is stable: without ` + "`stratify`" + `, a row never moves to another part when other rows are added or removed.

A hash of the row decides which part it goes to, so the sizes of parts vary by chance, with a standard deviation of at most half the square root of the number of rows. Set ` + "`by`" + ` to what must stay together, such as a customer or a text that may occur twice.

` + "```hcl" + `
transform "split" "parts" {
  input  = label.intent
  by     = row.text
  shares = { train = 0.9, test = 0.1 }
}
` + "```"

// split implements transform "split".
type split struct{}

// Prepare declares a dataset for each share.
func (split) Prepare(_ context.Context, p *plugin.Prepare[splitArgs]) error {
	if !p.Known("shares") {
		p.Errorf("shares", "The shares must be known at plan time\nThey cannot depend on the result of another stage.")
		return nil
	}
	if err := checkShares(p.Args.Shares); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(p.Args.Shares))
	sameColumns(p, names)
	for _, name := range names {
		share := p.Args.Shares[name]
		p.Select(name, plugin.Selection{RowsOf: "input", Share: &share})
	}
	return nil
}

func checkShares(shares map[string]float64) error {
	sum := 0.0
	for _, name := range slices.Sorted(maps.Keys(shares)) {
		if s := shares[name]; !(s >= 0 && s <= 1) {
			return plugin.ArgumentErrorf("shares", "The share of %q, %g, is out of range\nA share must be from 0 to 1.", name, s)
		}
		sum += shares[name]
	}
	if math.Abs(sum-1) > 1e-6 {
		return plugin.ArgumentErrorf("shares", "The shares add up to %g\nThey must add up to 1. If you do not need some of the rows, give them a part of their own.", sum)
	}
	return nil
}

// Run writes each row to its part.
func (split) Run(ctx context.Context, r *plugin.Run[splitArgs]) error {
	in := r.Dataset(r.Args.Input)
	s := newSplitter(r.Args)
	if r.Args.Stratify.IsSet() {
		err := s.eachRow(ctx, r, in, func(_ arrow.RecordBatch, stratum, number []uint64) error {
			for i := range number {
				s.strata[stratum[i]] = append(s.strata[stratum[i]], number[i])
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	s.place()
	return s.eachRow(ctx, r, in, func(rec arrow.RecordBatch, stratum, number []uint64) error {
		for k, name := range s.names {
			err := writeChosen(r, name, rec, func(i int) bool { return s.part(stratum[i], number[i]) == k })
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// splitter knows the boundaries between parts, on the scale of all possible
// hashes.
type splitter struct {
	args  *splitArgs
	names []string // of the parts, sorted
	upTo  []float64
	hash  hasher
	// strata contains the numbers of all rows by the hash of their stratum,
	// until the boundaries are placed.
	strata  map[uint64][]uint64
	borders map[uint64][]uint64
}

func newSplitter(a *splitArgs) *splitter {
	s := &splitter{args: a, names: slices.Sorted(maps.Keys(a.Shares)), hash: hasher{seed: uint64(a.Seed)}, strata: map[uint64][]uint64{}}
	sum := 0.0
	for _, name := range s.names {
		sum += a.Shares[name]
		s.upTo = append(s.upTo, sum)
	}
	return s
}

// eachRow yields the rows with the hash of their stratum and their own hash.
func (s *splitter) eachRow(ctx context.Context, r *plugin.Run[splitArgs], in *plugin.DatasetInput, work func(rec arrow.RecordBatch, stratum, number []uint64) error) error {
	var arguments []string
	if s.args.By.IsSet() {
		arguments = append(arguments, s.args.By.Key)
	}
	if s.args.Stratify.IsSet() {
		arguments = append(arguments, s.args.Stratify.Key)
	}
	return eachBatch(ctx, r, in, arguments, func(rec arrow.RecordBatch, columns []arrow.Array) error {
		decides, stratify := rec.Columns(), []arrow.Array(nil)
		if s.args.By.IsSet() {
			decides, columns = columns[:1], columns[1:]
		}
		if s.args.Stratify.IsSet() {
			stratify = columns[:1]
		}
		number, stratum := make([]uint64, rec.NumRows()), make([]uint64, rec.NumRows())
		for i := range number {
			var err error
			if number[i], err = s.hash.hash(decides, i); err != nil {
				return err
			}
			if stratum[i], err = s.hash.hash(stratify, i); err != nil {
				return err
			}
		}
		return work(rec, stratum, number)
	})
}

// place sets the boundaries: without strata, at the shares of all possible
// hashes; with strata, at the shares of each stratum's rows.
func (s *splitter) place() {
	s.borders = map[uint64][]uint64{}
	for stratum, numbers := range s.strata {
		slices.Sort(numbers)
		borders := make([]uint64, len(s.upTo))
		for k, share := range s.upTo {
			borders[k] = math.MaxUint64
			if n := int(math.Round(share * float64(len(numbers)))); n < len(numbers) {
				borders[k] = numbers[n]
			}
		}
		s.borders[stratum] = borders
	}
	s.strata = nil
}

// part returns the index of the part that a row belongs to.
func (s *splitter) part(stratum, number uint64) int {
	last := len(s.names) - 1
	if borders, ok := s.borders[stratum]; ok {
		for k := range last {
			if number < borders[k] {
				return k
			}
		}
		return last
	}
	// A float64 can represent only the upper 53 bits exactly.
	at := float64(number>>11) / (1 << 53)
	for k := range last {
		if at < s.upTo[k] {
			return k
		}
	}
	return last
}
