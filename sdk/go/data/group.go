package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// readBuffer is the number of bytes of a column that are read at once.
const readBuffer = 256 << 10

// groupReader reads some columns of one Parquet file, batch by batch.
type groupReader struct {
	path string
	file *os.File
	rows int64
	recs pqarrow.RecordReader

	// types and positions (in a batch of recs) of the wanted columns, in the
	// order wanted.
	types     []arrow.DataType
	positions []int

	current arrow.RecordBatch
	offset  int64 // rows of current that were taken
}

func openGroup(ctx context.Context, path string, wanted []string, batchRows int) (g *groupReader, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
			err = fmt.Errorf("open %s: %w", path, err)
		}
	}()
	props := parquet.NewReaderProperties(memory.DefaultAllocator)
	props.BufferedStreamEnabled = true
	props.BufferSize = readBuffer
	// The pages are our own. A page of large values can be larger than the defaults.
	props.MaxCompressedPageSize, props.MaxUncompressedPageSize = math.MaxInt32, math.MaxInt32
	pf, err := file.NewParquetReader(f, file.WithReadProps(props))
	if err != nil {
		return nil, err
	}
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: int64(batchRows), PreAllocBinaryData: true}, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	g = &groupReader{path: path, file: f, rows: pf.NumRows()}
	leaves, err := g.locate(fr.Manifest, wanted)
	if err != nil {
		return nil, err
	}
	if g.rows > 0 {
		g.recs, err = fr.GetRecordReader(ctx, leaves, nil)
	}
	return g, err
}

// locate finds the wanted columns in the file and returns their leaves, in the
// order of the file.
func (g *groupReader) locate(m *pqarrow.SchemaManifest, wanted []string) ([]int, error) {
	g.types = make([]arrow.DataType, len(wanted))
	g.positions = make([]int, len(wanted))
	var leaves []int
	found, position := 0, 0
	for i := range m.Fields {
		field := &m.Fields[i]
		is := false
		for k, name := range wanted {
			if name != field.Field.Name {
				continue
			}
			t, err := canonical(field.Field.Type)
			if err != nil {
				return nil, fmt.Errorf("column %q: %w", name, err)
			}
			g.types[k], g.positions[k] = t, position
			is = true
			found++
		}
		if is {
			position++
			leaves = appendLeaves(leaves, field)
		}
	}
	if found < len(wanted) {
		return nil, fmt.Errorf("it lacks some of the columns %q", wanted)
	}
	return leaves, nil
}

func appendLeaves(leaves []int, f *pqarrow.SchemaField) []int {
	if f.IsLeaf() {
		return append(leaves, f.ColIndex)
	}
	for i := range f.Children {
		leaves = appendLeaves(leaves, &f.Children[i])
	}
	return leaves
}

// canonical returns the type that ArrowType returns for the same column type.
func canonical(t arrow.DataType) (arrow.DataType, error) {
	name, err := TypeName(t)
	if err != nil {
		return nil, err
	}
	return ArrowType(name)
}

// fill makes sure that a row can be taken.
func (g *groupReader) fill() error {
	if g.left() > 0 {
		return nil
	}
	g.drop()
	rec, err := g.recs.Read()
	if errors.Is(err, io.EOF) || err == nil && rec.NumRows() == 0 {
		return fmt.Errorf("read %s: it ends early", g.path)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", g.path, err)
	}
	rec.Retain()
	g.current = rec
	return nil
}

func (g *groupReader) left() int64 {
	if g.current == nil {
		return 0
	}
	return g.current.NumRows() - g.offset
}

// take returns the next n rows of the wanted columns; the caller releases
// them.
func (g *groupReader) take(n int64) []arrow.Array {
	out := make([]arrow.Array, len(g.positions))
	for k, p := range g.positions {
		d := retypeData(g.current.Column(p).Data(), g.types[k])
		whole := array.MakeFromData(d)
		d.Release()
		if g.offset == 0 && n == g.current.NumRows() {
			out[k] = whole
			continue
		}
		out[k] = array.NewSlice(whole, g.offset, g.offset+n)
		whole.Release()
	}
	g.offset += n
	return out
}

// end checks that no rows are left.
func (g *groupReader) end() error {
	if g.left() > 0 {
		return fmt.Errorf("read %s: it has more rows than it says", g.path)
	}
	return nil
}

func (g *groupReader) drop() {
	if g.current != nil {
		g.current.Release()
		g.current = nil
	}
	g.offset = 0
}

func (g *groupReader) close() {
	g.drop()
	if g.recs != nil {
		g.recs.Release()
	}
	g.file.Close()
}
