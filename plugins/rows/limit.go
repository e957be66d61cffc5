package rows

import (
	"context"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/plugins/ordering"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type limitArgs struct {
	Input  plugin.Dataset `quern:"input,required" doc:"The dataset whose first rows are kept."`
	Rows   int64          `quern:"rows,required" doc:"The maximum number of rows to keep."`
	Offset int64          `quern:"offset" default:"0" doc:"The number of rows to skip first."`
	Per    plugin.Column  `quern:"per" type:"dynamic" doc:"What to count rows by: 'rows' and 'offset' then apply to the rows of each value separately, such as the first 10 rows of each domain. Rows for which it is null are a group of their own."`
	ordering.Limit
}

const limitDoc = `Keeps the first rows of a dataset, or of each group of its rows.

Rows keep their order. Without ` + "`per`" + `, reading stops after the last row that is kept. For a random sample, use transform "sample"; for the best rows, put transform "sort" before it.

` + "```hcl" + `
transform "limit" "some_of_each" {
  input = source.pages
  rows  = 100
  per   = row.domain
}
` + "```"

// limit implements transform "limit".
type limit struct{}

// Prepare declares the input's columns.
func (limit) Prepare(_ context.Context, p *plugin.Prepare[limitArgs]) error {
	a := p.Args
	if p.Known("rows") && a.Rows < 0 {
		p.Errorf("rows", "Cannot keep %d rows\nrows must be at least 0.", a.Rows)
	}
	if p.Known("offset") && a.Offset < 0 {
		p.Errorf("offset", "Cannot skip %d rows\noffset must be at least 0.", a.Offset)
	}
	if err := a.Check(); p.Known("memory_limit") && err != nil {
		return err
	}
	sameColumns(p, []string{""})
	s := plugin.Selection{RowsOf: "input", Some: a.Per.IsSet() || !p.Known("rows") || !p.Known("offset") || a.Offset > 0}
	if p.Known("rows") && !a.Per.IsSet() {
		s.Most = &a.Rows
	}
	p.Select("", s)
	return nil
}

// Run copies the first rows.
func (limit) Run(ctx context.Context, r *plugin.Run[limitArgs]) error {
	in, a := r.Dataset(r.Args.Input), r.Args
	if a.Per.IsSet() {
		return limitEach(ctx, r, in)
	}
	var first int64
	for rec, err := range in.Batches(ctx, data.Columns.Refs(in.Schema.Names()...)) {
		if err != nil {
			return err
		}
		if first-a.Offset >= a.Rows {
			break
		}
		err := writeChosen(r, "", rec, func(i int) bool {
			after := first + int64(i) - a.Offset
			return after >= 0 && after < a.Rows
		})
		if err != nil {
			return err
		}
		first += rec.NumRows()
		r.Progress(min(first, a.Rows), a.Rows, "rows", "")
	}
	return nil
}

// limitEach sorts the numbers of rows by their groups, and then copies the
// first ones of each group.
func limitEach(ctx context.Context, r *plugin.Run[limitArgs], in *plugin.DatasetInput) error {
	memory, err := r.Args.Bytes()
	if err != nil {
		return err
	}
	groups := newNumberSorter(r.WorkDir, memory)
	defer groups.Close()
	var first int64
	err = eachBatch(ctx, r, in, []string{r.Args.Per.Key}, func(rec arrow.RecordBatch, per []arrow.Array) error {
		for i := range int(rec.NumRows()) {
			key, err := ordering.AppendKey(groups.key[:0], per, nil, i)
			if err == nil {
				err = groups.add(key, first+int64(i))
			}
			if err != nil {
				return err
			}
		}
		first += rec.NumRows()
		return nil
	})
	if err != nil {
		return err
	}
	wanted := newRowSet(first)
	var group string
	var seen int64
	for e, err := range groups.Sorted(ctx) {
		if err != nil {
			return err
		}
		of, row := ordering.Ordinal(e.Key)
		if seen == 0 || string(of) != group {
			group, seen = string(of), 0
		}
		if seen++; seen > r.Args.Offset && seen-r.Args.Offset <= r.Args.Rows {
			wanted.add(row)
		}
	}
	first = 0
	return eachBatch(ctx, r, in, nil, func(rec arrow.RecordBatch, _ []arrow.Array) error {
		err := writeChosen(r, "", rec, func(i int) bool { return wanted.has(first + int64(i)) })
		first += rec.NumRows()
		return err
	})
}

// numberSorter sorts the numbers of rows by keys.
type numberSorter struct {
	*ordering.Sorter
	key  []byte
	none arrow.RecordBatch // the columns of a row: none
}

func newNumberSorter(workDir string, memory int64) *numberSorter {
	schema := arrow.NewSchema(nil, nil)
	return &numberSorter{
		Sorter: ordering.NewSorter(schema, filepath.Join(workDir, "sort"), memory),
		none:   array.NewRecordBatch(schema, nil, 0),
	}
}

// add adds a row's number, which also decides between equal keys.
func (s *numberSorter) add(key []byte, row int64) error {
	s.key = ordering.AppendOrdinal(key, row)
	return s.Add(s.key, ordering.Row{Batch: s.none})
}

// rowSet is a set of the numbers of rows.
type rowSet []uint64

func newRowSet(rows int64) rowSet { return make(rowSet, rows/64+1) }

func (s rowSet) add(row int64)      { s[row/64] |= 1 << (row % 64) }
func (s rowSet) has(row int64) bool { return s[row/64]>>(row%64)&1 == 1 }
