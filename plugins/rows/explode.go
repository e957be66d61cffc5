package rows

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type explodeArgs struct {
	Input     plugin.Dataset `quern:"input,required" doc:"The dataset to explode."`
	Values    plugin.Column  `quern:"values,required" doc:"The list whose elements become rows, such as 'row.tags'."`
	As        string         `quern:"as,required" doc:"The name of the column for the elements. It can be the name of the list's column if 'values' is that column."`
	Index     string         `quern:"index" doc:"The name of a column for the position of the element in its list, starting at 0. By default, there is no such column."`
	KeepEmpty bool           `quern:"keep_empty" default:"false" doc:"Whether an empty or null list gives one row with a null element and position. Otherwise it gives no rows."`
}

const explodeDoc = `Makes a row for each element of a list.

Each new row repeats the columns of the input, followed by the element. If 'values' is a column, such as 'row.tags', that column is left out. Rows and elements keep their order. Only rows that are new or changed are exploded again.

` + "```hcl" + `
transform "explode" "tags" {
  input  = source.tickets
  values = row.tags
  as     = "tag"
}
` + "```"

// explode implements transform "explode".
type explode struct{}

// Prepare declares the columns.
func (explode) Prepare(_ context.Context, p *plugin.Prepare[explodeArgs]) error {
	p.KeepInput("input")
	typ, column := p.RowArgument("values")
	if column != "" {
		p.DropColumn(column)
	}
	element, ok := strings.CutPrefix(typ, "list<")
	if !ok {
		p.Errorf("values", "Only a list can be exploded\nThis has type %s. To turn a text into a list, split it: split(\",\", row.tags).", typ)
		return nil
	}
	if p.Known("as") {
		if p.Args.As == "" {
			p.Errorf("as", "A column needs a name\nThis name is empty. Use the name of the new column, such as as = \"tag\".")
			return nil
		}
		p.AddColumn(p.Args.As, strings.TrimSuffix(element, ">"))
	}
	if p.Args.Index != "" {
		p.AddColumn(p.Args.Index, "int64")
	}
	return nil
}

// FlatMap passes on the elements without looking at them.
func (explode) FlatMap(_ context.Context, a *explodeArgs, b *plugin.FlatBatch) error {
	list, ok := b.Array(a.Values.Key).(*array.List)
	if !ok {
		return fmt.Errorf("values has type %T, but must be a list", b.Array(a.Values.Key))
	}
	counts := make([]int64, b.N)
	var pieces []arrow.Array
	defer func() {
		for _, p := range pieces {
			p.Release()
		}
	}()
	for i := range counts {
		if from, to := list.ValueOffsets(i); list.IsValid(i) && from < to {
			counts[i] = to - from
			pieces = append(pieces, array.NewSlice(list.ListValues(), from, to))
		} else if a.KeepEmpty {
			counts[i] = 1
			pieces = append(pieces, array.MakeArrayOfNull(memory.DefaultAllocator, list.ListValues().DataType(), 1))
		}
	}
	b.YieldCounts(counts)
	elements := array.MakeArrayOfNull(memory.DefaultAllocator, list.ListValues().DataType(), 0)
	if len(pieces) > 0 {
		var err error
		if elements, err = array.Concatenate(pieces, memory.DefaultAllocator); err != nil {
			return fmt.Errorf("concatenate the elements: %w", err)
		}
	}
	b.SetArray(a.As, elements)
	if a.Index != "" {
		setPositions(a.Index, list, counts, b)
	}
	return nil
}

// setPositions fills the column of positions. Positions for empty lists are
// null.
func setPositions(column string, list *array.List, counts []int64, b *plugin.FlatBatch) {
	out := 0
	for i, n := range counts {
		from, to := list.ValueOffsets(i)
		for k := range n {
			if list.IsValid(i) && from < to {
				b.SetInt(column, out, k)
			}
			out++
		}
	}
}
