package rows

import (
	"context"
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/ordering"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type balanceArgs struct {
	Input  plugin.Dataset     `quern:"input,required" doc:"The dataset to balance."`
	By     plugin.Column      `quern:"by,required" type:"string" doc:"The class of a row, such as 'row.label'. Rows for which it is null are left out."`
	Method string             `quern:"method" default:"\"down\"" oneof:"down,up" doc:"How to reach the shares: down leaves out rows of classes that have too many, and up repeats rows of classes that have too few."`
	Shares map[string]float64 `quern:"shares" doc:"The share of each class, such as '{ spam = 0.5, ham = 0.5 }'. Shares must add up to 1. By default, all classes have the same share. Rows of classes without a share are left out."`
	Rows   *int64             `quern:"rows" doc:"The number of rows of the result. By default, it is the largest possible one with down, and the smallest one that leaves out no row with up."`
	Seed   int64              `quern:"seed" default:"0" doc:"The seed. Another seed chooses other rows."`
	ordering.Limit
}

const balanceDoc = `Makes the classes of a dataset equally frequent, or gives them other shares.

A hash of a row's values and the seed decides which rows of a class are left out, or repeated once more than others. The choice does not depend on the order of the rows. Rows keep their order, and a repeated row follows itself. Numbers of rows are rounded, so that shares can be off by one row.

The value ` + "`classes`" + ` has, for each class, ` + "`rows`" + ` of the input and ` + "`taken`" + ` for the result; ` + "`left_out`" + ` is the number of rows without a class or a share.

` + "```hcl" + `
transform "balance" "training" {
  input  = label.intent
  by     = row.intent
  method = "down"
}
` + "```"

// mostRepeated is the number of rows that are written at once.
const mostRepeated = 1 << 16

// mostClasses limits the number of classes: more are a mistake.
const mostClasses = 10_000

var balanceValue = cty.Object(map[string]cty.Type{
	"classes":  cty.Map(cty.Object(map[string]cty.Type{"rows": cty.Number, "taken": cty.Number})),
	"left_out": cty.Number,
})

// balance implements transform "balance".
type balance struct{}

// Prepare declares the input's columns.
func (balance) Prepare(_ context.Context, p *plugin.Prepare[balanceArgs]) error {
	a := p.Args
	if err := a.Check(); p.Known("memory_limit") && err != nil {
		return err
	}
	if p.Known("shares") && a.Shares != nil {
		if err := checkShares(a.Shares); err != nil {
			return err
		}
	}
	if a.Rows != nil && *a.Rows < 0 {
		p.Errorf("rows", "Cannot take %d rows\nrows must be at least 0.", *a.Rows)
	}
	p.SetValueType(balanceValue)
	sameColumns(p, []string{""})
	a.selectRows(p)
	p.SetRowsLineage("", plugin.LineageSource{Argument: "by"})
	return nil
}

// selectRows declares how many rows the result has, as far as this is known.
func (a *balanceArgs) selectRows(p *plugin.Prepare[balanceArgs]) {
	switch {
	case !p.Known("method") || !p.Known("rows") || !p.Known("shares"):
	case a.Rows != nil && a.Shares != nil:
		rows := 0.0
		for _, share := range a.Shares {
			rows += math.Round(float64(*a.Rows) * share)
		}
		p.Select("", plugin.Selection{RowsOf: "input", Exactly: &rows})
	case a.Method == "down":
		p.Select("", plugin.Selection{RowsOf: "input", Some: true, Most: a.Rows})
	}
}

// classSize is how many rows of a class there are and how many are taken.
type classSize struct {
	name        string
	rows, taken int64
}

// Run counts the classes, chooses rows, and then copies them.
func (balance) Run(ctx context.Context, r *plugin.Run[balanceArgs]) error {
	in := r.Dataset(r.Args.Input)
	memory, err := r.Args.Bytes()
	if err != nil {
		return err
	}
	sorter := newNumberSorter(r.WorkDir, memory)
	defer sorter.Close()
	b := &balancer{args: r.Args, index: map[string]int{}}
	if err := b.count(ctx, r, in, sorter); err != nil {
		return err
	}
	if err := b.size(); err != nil {
		return err
	}
	extra, err := b.choose(ctx, sorter, in.Rows)
	if err != nil {
		return err
	}
	r.SetValue(b.value())
	var first int64
	return eachBatch(ctx, r, in, []string{"by"}, func(rec arrow.RecordBatch, by []arrow.Array) error {
		class := by[0].(*array.String)
		var chosen []int
		for i := range class.Len() {
			times := int64(0)
			if class.IsValid(i) {
				c := b.classes[b.index[class.Value(i)]]
				times = c.taken / max(c.rows, 1)
				if extra.has(first + int64(i)) {
					times++
				}
			}
			for range times {
				if chosen = append(chosen, i); len(chosen) == mostRepeated {
					if err := writeRows(r, "", rec, chosen); err != nil {
						return err
					}
					chosen = chosen[:0]
				}
			}
		}
		first += rec.NumRows()
		return writeRows(r, "", rec, chosen)
	})
}

type balancer struct {
	args    *balanceArgs
	classes []classSize
	index   map[string]int
	leftOut int64
}

// count counts the classes, and sorts the rows of each by their hashes.
func (b *balancer) count(ctx context.Context, r *plugin.Run[balanceArgs], in *plugin.DatasetInput, sorter *numberSorter) error {
	h := hasher{seed: uint64(r.Args.Seed)}
	var row int64
	return eachBatch(ctx, r, in, []string{"by"}, func(rec arrow.RecordBatch, by []arrow.Array) error {
		class := by[0].(*array.String)
		for i := range class.Len() {
			if class.IsNull(i) {
				b.leftOut++
				row++
				continue
			}
			c, known := b.index[class.Value(i)]
			if !known {
				if c = len(b.classes); c == mostClasses {
					return plugin.ArgumentErrorf("by", "by has more than %d different values\nIt must be the class of a row.", mostClasses)
				}
				b.index[class.Value(i)] = c
				b.classes = append(b.classes, classSize{name: class.Value(i)})
			}
			b.classes[c].rows++
			place, err := h.place(rec.Columns(), i)
			if err != nil {
				return err
			}
			key := binary.BigEndian.AppendUint32(sorter.key[:0], uint32(c))
			if err := sorter.add(append(key, place[:]...), row); err != nil {
				return err
			}
			row++
		}
		return nil
	})
}

// size decides how many rows of each class are taken.
func (b *balancer) size() error {
	shares := b.args.Shares
	if shares == nil {
		shares = map[string]float64{}
		for _, c := range b.classes {
			shares[c.name] = 1 / float64(len(b.classes))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(shares)) {
		if _, ok := b.index[name]; !ok && shares[name] > 0 {
			return plugin.ArgumentErrorf("shares", "No row has the class %q\nRemove it from shares.", name)
		}
	}
	total := b.total(shares)
	for i := range b.classes {
		c := &b.classes[i]
		if c.taken = int64(math.Round(total * shares[c.name])); shares[c.name] == 0 {
			b.leftOut += c.rows
		}
		if b.args.Method == "down" && c.taken > c.rows {
			return plugin.ArgumentErrorf("rows", "The class %q has only %d rows, but %d are needed\nLower rows, or repeat rows with method = \"up\".", c.name, c.rows, c.taken)
		}
	}
	return nil
}

// total returns the number of rows of the result.
func (b *balancer) total(shares map[string]float64) float64 {
	if b.args.Rows != nil {
		return float64(*b.args.Rows)
	}
	down, total := b.args.Method == "down", 0.0
	for _, c := range b.classes {
		if shares[c.name] == 0 {
			continue
		}
		at := float64(c.rows) / shares[c.name]
		if total == 0 || down && at < total || !down && at > total {
			total = at
		}
	}
	// Rounding must not ask for a row that a class does not have.
	short := func(c classSize) bool { return int64(math.Round(total*shares[c.name])) > c.rows }
	for down && slices.ContainsFunc(b.classes, short) {
		total--
	}
	return total
}

// choose returns the rows that are taken once more than the others of their
// class.
func (b *balancer) choose(ctx context.Context, sorter *numberSorter, rows int64) (rowSet, error) {
	extra := newRowSet(rows)
	seen := make([]int64, len(b.classes))
	for e, err := range sorter.Sorted(ctx) {
		if err != nil {
			return nil, err
		}
		_, row := ordering.Ordinal(e.Key)
		c := binary.BigEndian.Uint32(e.Key)
		if seen[c] < b.classes[c].taken%b.classes[c].rows {
			extra.add(row)
		}
		seen[c]++
	}
	return extra, nil
}

func (b *balancer) value() cty.Value {
	classes := map[string]cty.Value{}
	for _, c := range b.classes {
		classes[c.name] = cty.ObjectVal(map[string]cty.Value{"rows": cty.NumberIntVal(c.rows), "taken": cty.NumberIntVal(c.taken)})
	}
	all := cty.MapValEmpty(balanceValue.AttributeType("classes").ElementType())
	if len(classes) > 0 {
		all = verbatim.Map(classes)
	}
	return cty.ObjectVal(map[string]cty.Value{"classes": all, "left_out": cty.NumberIntVal(b.leftOut)})
}
