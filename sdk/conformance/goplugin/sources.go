package goplugin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

var partColumns = data.Schema{{Name: "part", Type: "string"}, {Name: "n", Type: "int64"}}

type partsArgs struct {
	Parts []string `quern:"parts,required" doc:"The names of the parts."`
	Rows  int64    `quern:"rows" default:"2" doc:"The number of rows in each part."`
	Bad   int64    `quern:"bad" default:"0" doc:"The row of each part that is set aside."`
	Fail  string   `quern:"fail" doc:"What fails: fingerprint or read."`
}

// parts is a source that consists of parts.
type parts struct{}

func (parts) Prepare(_ context.Context, p *plugin.Prepare[partsArgs]) error {
	if p.Known("rows") && p.Args.Rows < 0 {
		p.Errorf("rows", "rows must be at least 0\nIt is %d.", p.Args.Rows)
	}
	p.AddDataset("", partColumns)
	return nil
}

func (parts) Fingerprint(_ context.Context, a *partsArgs, memo []byte) (plugin.Fingerprint, error) {
	if a.Fail == "fingerprint" {
		return plugin.Fingerprint{}, plugin.ArgumentErrorf("fail", "there is no fingerprint\nTry again.")
	}
	return plugin.Fingerprint{
		Value: strings.Join(a.Parts, ",") + ":" + strconv.FormatInt(a.Rows, 10), Memo: append(memo, '!'), Summary: fmt.Sprintf("%d parts", len(a.Parts)),
	}, nil
}

func (parts) Read(_ context.Context, a *partsArgs, w *plugin.RowWriter) error {
	for i, name := range a.Parts {
		if err := w.NamedPart("part "+name, "part:"+name, func() error { return a.write(w, name) }); err != nil {
			return err
		}
		w.Progress(int64(i+1), int64(len(a.Parts)), "parts", "")
		if a.Fail == "read" {
			return plugin.ArgumentErrorf("fail", "reading failed\nTry again.")
		}
	}
	return nil
}

func (parts) Preview(_ context.Context, a *partsArgs, _ int64, w *plugin.RowWriter) (plugin.RowCount, error) {
	n := int64(len(a.Parts))
	return plugin.RowCount{Rows: n * a.Rows, Exact: true, Size: n}, a.write(w, a.Parts[0])
}

// write writes the rows of a part.
func (a *partsArgs) write(w *plugin.RowWriter, part string) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, w.Schema().Arrow())
	defer b.Release()
	for n := int64(1); n <= a.Rows; n++ {
		if n == a.Bad {
			if err := w.Quarantine(fmt.Sprintf("part %s, row %d", part, n), strconv.FormatInt(n, 10), errors.New("it is bad")); err != nil {
				return err
			}
			continue
		}
		b.Field(0).(*array.StringBuilder).Append(part)
		b.Field(1).(*array.Int64Builder).Append(n)
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	return w.Write(rec)
}

var allTypes = data.Schema{
	{Name: "string", Type: "string"}, {Name: "int64", Type: "int64"}, {Name: "float64", Type: "float64"}, {Name: "bool", Type: "bool"},
	{Name: "binary", Type: "binary"}, {Name: "date", Type: "date"}, {Name: "timestamp", Type: "timestamp"},
	{Name: "list", Type: "list<string>"}, {Name: "struct", Type: "struct<a:int64,b:list<string>>"},
}

type typesArgs struct {
	Empty bool `quern:"empty" default:"false" doc:"There are no rows."`
}

// types is a source with columns of all types. It has neither parts nor a
// preview.
type types struct{}

func (types) Prepare(_ context.Context, p *plugin.Prepare[typesArgs]) error {
	p.AddDataset("", allTypes)
	return nil
}

func (types) Fingerprint(_ context.Context, a *typesArgs, _ []byte) (plugin.Fingerprint, error) {
	return plugin.Fingerprint{Value: strconv.FormatBool(a.Empty)}, nil
}

func (types) Read(_ context.Context, a *typesArgs, w *plugin.RowWriter) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, w.Schema().Arrow())
	defer b.Release()
	if !a.Empty {
		appendTypes(b)
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	return w.Write(rec)
}

// appendTypes appends a row with usual values, one with extreme and empty
// values, and one with nulls.
func appendTypes(b *array.RecordBuilder) {
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"é\n", ""}, nil)
	b.Field(1).(*array.Int64Builder).AppendValues([]int64{1, math.MinInt64}, nil)
	b.Field(2).(*array.Float64Builder).AppendValues([]float64{0.1, 1e300}, nil)
	b.Field(3).(*array.BooleanBuilder).AppendValues([]bool{true, false}, nil)
	b.Field(4).(*array.BinaryBuilder).AppendValues([][]byte{{0, 0xff}, {}}, nil)
	b.Field(5).(*array.Date32Builder).AppendValues([]arrow.Date32{19723, -1}, nil)
	b.Field(6).(*array.TimestampBuilder).AppendValues([]arrow.Timestamp{1704067200000001, -1}, nil)
	lists := b.Field(7).(*array.ListBuilder)
	appendList(lists)
	lists.AppendEmptyValue()
	structs := b.Field(8).(*array.StructBuilder)
	structs.Append(true)
	structs.FieldBuilder(0).(*array.Int64Builder).Append(7)
	appendList(structs.FieldBuilder(1).(*array.ListBuilder))
	structs.Append(true)
	structs.FieldBuilder(0).AppendNull()
	structs.FieldBuilder(1).AppendNull()
	for _, f := range b.Fields() {
		f.AppendNull()
	}
}

// appendList appends the list of "a" and a null.
func appendList(b *array.ListBuilder) {
	b.Append(true)
	b.ValueBuilder().(*array.StringBuilder).AppendValues([]string{"a", ""}, []bool{true, false})
}
