package redact

import (
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// finds are what was found in a row.
type finds []found

// found is where something was found, without what it is.
type found struct {
	column     string // or a path in it, such as messages[0].content
	kind       string
	start, end int64 // in characters
}

// column redacts an array of any type that contains texts.
type column struct {
	*replacer
	found []finds // by row
}

// redact returns an array like a, with redacted texts. rows are the rows of the
// batch that its values belong to, or -1, and path names a value. The caller
// releases the result.
func (c *column) redact(a arrow.Array, rows []int, path func(i int) string) arrow.Array {
	switch a := a.(type) {
	case *array.String:
		return c.texts(a, rows, path)
	case *array.List:
		return c.lists(a, rows, path)
	case *array.Struct:
		return c.structs(a, rows, path)
	}
	a.Retain()
	return a
}

func (c *column) texts(a *array.String, rows []int, path func(i int) string) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(a.Len())
	for i := range a.Len() {
		if a.IsNull(i) || rows[i] < 0 {
			b.AppendNull()
			continue
		}
		text := a.Value(i)
		redacted, matches := c.replacer.redact(text)
		b.Append(redacted)
		at, chars := 0, 0 // a place in bytes and in characters
		for _, m := range matches {
			start := chars + utf8.RuneCountInString(text[at:m.start])
			at, chars = m.end, start+utf8.RuneCountInString(text[m.start:m.end])
			c.found[rows[i]] = append(c.found[rows[i]], found{path(i), m.kind, int64(start), int64(chars)})
		}
	}
	return b.NewArray()
}

func (c *column) lists(a *array.List, rows []int, path func(i int) string) arrow.Array {
	values := a.ListValues()
	inner, list, first := make([]int, values.Len()), make([]int, values.Len()), make([]int, a.Len())
	for k := range inner {
		inner[k] = -1
	}
	for i := range a.Len() {
		from, until := a.ValueOffsets(i)
		first[i] = int(from)
		for k := from; k < until && a.IsValid(i); k++ {
			inner[k], list[k] = rows[i], i
		}
	}
	redacted := c.redact(values, inner, func(k int) string { return fmt.Sprintf("%s[%d]", path(list[k]), k-first[list[k]]) })
	defer redacted.Release()
	old := a.Data()
	d := array.NewData(a.DataType(), a.Len(), old.Buffers(), []arrow.ArrayData{redacted.Data()}, a.NullN(), old.Offset())
	defer d.Release()
	return array.MakeFromData(d)
}

func (c *column) structs(a *array.Struct, rows []int, path func(i int) string) arrow.Array {
	t := a.DataType().(*arrow.StructType)
	children := make([]arrow.ArrayData, a.NumField())
	for k := range children {
		name := t.Field(k).Name
		field := c.redact(a.Field(k), rows, func(i int) string { return path(i) + "." + name })
		defer field.Release()
		children[k] = field.Data()
	}
	var valid *memory.Buffer
	if a.NullN() > 0 {
		valid = memory.NewBufferBytes(make([]byte, bitutil.BytesForBits(int64(a.Len()))))
		for i := range a.Len() {
			bitutil.SetBitTo(valid.Bytes(), i, a.IsValid(i))
		}
	}
	d := array.NewData(t, a.Len(), []*memory.Buffer{valid}, children, a.NullN(), 0)
	defer d.Release()
	return array.MakeFromData(d)
}

// kindsColumn lists the kinds that were found in each row, in order; null if
// nothing was.
func kindsColumn(rows []finds) arrow.Array {
	b := array.NewListBuilder(memory.DefaultAllocator, arrow.BinaryTypes.String)
	defer b.Release()
	kinds := b.ValueBuilder().(*array.StringBuilder)
	for _, all := range rows {
		if len(all) == 0 {
			b.AppendNull()
			continue
		}
		b.Append(true)
		for _, f := range all {
			kinds.Append(f.kind)
		}
	}
	return b.NewArray()
}

// spansColumn lists where something was found in each row.
func spansColumn(t arrow.DataType, rows []finds) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, t).(*array.ListBuilder)
	defer b.Release()
	one := b.ValueBuilder().(*array.StructBuilder)
	for _, all := range rows {
		b.Append(true)
		for _, f := range all {
			one.Append(true)
			one.FieldBuilder(0).(*array.StringBuilder).Append(f.column)
			one.FieldBuilder(1).(*array.StringBuilder).Append(f.kind)
			one.FieldBuilder(2).(*array.Int64Builder).Append(f.start)
			one.FieldBuilder(3).(*array.Int64Builder).Append(f.end)
		}
	}
	return b.NewArray()
}
