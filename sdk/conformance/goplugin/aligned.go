package goplugin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type firstArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"The rows."`
	Text    plugin.Column  `quern:"text,required" type:"string" doc:"The text."`
	Column  *string        `quern:"column" doc:"The column of the count."`
	Drop    bool           `quern:"drop" default:"false" doc:"Drops the rows whose text has occurred before."`
}

// first counts how often a text has occurred. Its dataset has the rows of its
// input.
type first struct{}

func (first) Prepare(_ context.Context, p *plugin.Prepare[firstArgs]) error {
	p.KeepInput("dataset")
	if p.Args.Column != nil {
		p.AddColumn(*p.Args.Column, "int64")
	}
	if p.Args.Drop {
		p.Select("", plugin.Selection{RowsOf: "dataset"})
		p.Notef("keeps the first row of each text")
	}
	p.SetValueType(cty.Object(map[string]cty.Type{"known": cty.Number}))
	return nil
}

func (first) Run(ctx context.Context, r *plugin.Run[firstArgs]) error {
	in, text := r.Dataset(r.Args.Dataset), data.Arguments.Refs(r.Args.Text.Key)
	known, err := remember(r, in, text[0])
	if err != nil {
		return err
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"known": cty.NumberIntVal(known)}))
	seen := map[string]int64{}
	for rec, err := range in.Batches(ctx, text) {
		if err != nil {
			return err
		}
		rows, keep := count(rec.Column(0).(*array.String), seen, r.Args.Column)
		switch {
		case r.Args.Drop:
			err = r.WriteSelected("", rows, keep)
		case r.Args.Column != nil:
			err = r.Write("", rows)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remember keeps a file for each shard, and returns for how many shards the last run
// has kept one.
func remember(r *plugin.Run[firstArgs], in *plugin.DatasetInput, text data.Ref) (known int64, err error) {
	folder, err := r.KeepFolder()
	if err != nil {
		return 0, err
	}
	kept := r.Kept()
	for _, s := range in.Shards() {
		name := strings.ReplaceAll(s.Digest(text), ":", "-")
		if _, ok := kept[name]; ok {
			r.KeepAgain(name)
			known++
		} else if err := os.WriteFile(filepath.Join(folder, name), fmt.Appendf(nil, "%d rows\n", s.Rows), 0o644); err != nil {
			return 0, err
		}
	}
	return known, nil
}

// count returns the counts of texts, as a column if it has a name, and which texts
// are the first of their kind.
func count(texts *array.String, seen map[string]int64, column *string) (arrow.RecordBatch, []bool) {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	keep := make([]bool, texts.Len())
	for i := range keep {
		t := strings.Clone(texts.Value(i))
		seen[t]++
		b.Append(seen[t])
		keep[i] = seen[t] == 1
	}
	if column == nil {
		return array.NewRecordBatch(arrow.NewSchema(nil, nil), nil, int64(len(keep))), keep
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: *column, Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	return array.NewRecordBatch(schema, []arrow.Array{b.NewArray()}, int64(len(keep))), keep
}
