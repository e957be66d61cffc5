package data

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// EncodeBatch encodes a batch as a self-contained Arrow IPC stream.
func EncodeBatch(rec arrow.RecordBatch) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(int(batchBytes(rec)) + 4096)
	w := ipc.NewWriter(&buf, ipc.WithSchema(rec.Schema()))
	if err := w.Write(rec); err != nil {
		return nil, fmt.Errorf("encode a batch of %d rows: %w", rec.NumRows(), err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encode a batch of %d rows: %w", rec.NumRows(), err)
	}
	return buf.Bytes(), nil
}

// DecodeBatch decodes one Arrow IPC stream. Several batches become one; no
// batches become a batch without rows. Bytes that are not such a stream, or
// whose buffers do not fit together, are an error. It protects against
// mistakes, not against bytes made to exhaust memory. The batch refers to b,
// which must not change. The caller releases the batch.
func DecodeBatch(b []byte) (rec arrow.RecordBatch, err error) {
	defer func() {
		if r := recover(); r != nil {
			rec, err = nil, fmt.Errorf("decode a batch: malformed Arrow stream: %v", r)
		}
	}()
	r, err := ipc.NewReaderFromMessageReader(&messages{rest: b}, ipc.WithAllocator(memory.DefaultAllocator))
	if err != nil {
		return nil, fmt.Errorf("decode a batch: %w", err)
	}
	defer r.Release()
	var all []arrow.RecordBatch
	defer func() {
		for _, part := range all {
			part.Release()
		}
	}()
	for r.Next() {
		part := r.RecordBatch()
		part.Retain()
		all = append(all, part)
		if err := validate(part); err != nil {
			return nil, fmt.Errorf("decode a batch: %w", err)
		}
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("decode a batch: %w", err)
	}
	return Concat(r.Schema(), all)
}

// messages reads the messages of an Arrow IPC stream that is in memory, without
// copying them, which is what ipc.NewReader would do.
type messages struct{ rest []byte }

// continuation precedes the length of each message's metadata.
const continuation = 0xffffffff

// Message returns the next message, or io.EOF at the end of the stream. It panics
// if the metadata is damaged.
func (m *messages) Message() (*ipc.Message, error) {
	if len(m.rest) == 0 {
		return nil, io.EOF
	}
	if len(m.rest) < 8 || binary.LittleEndian.Uint32(m.rest) != continuation {
		return nil, errors.New("the Arrow stream has no message where one should begin")
	}
	size := int64(binary.LittleEndian.Uint32(m.rest[4:]))
	if size == 0 {
		return nil, io.EOF
	}
	rest := m.rest[8:]
	if size > int64(len(rest)) {
		return nil, io.ErrUnexpectedEOF
	}
	meta, body := memory.NewBufferBytes(rest[:size]), rest[size:]
	length := ipc.NewMessage(meta, memory.NewBufferBytes(nil)).BodyLen()
	if length < 0 || length > int64(len(body)) {
		return nil, io.ErrUnexpectedEOF
	}
	m.rest = body[length:]
	return ipc.NewMessage(meta, memory.NewBufferBytes(body[:length])), nil
}

// Retain does nothing: the garbage collector owns the bytes.
func (*messages) Retain() {}

// Release does nothing, as Retain.
func (*messages) Release() {}

// Concat joins batches that have the same schema. The caller releases the
// result, and still owns the parts.
func Concat(schema *arrow.Schema, parts []arrow.RecordBatch) (arrow.RecordBatch, error) {
	if len(parts) == 1 {
		parts[0].Retain()
		return parts[0], nil
	}
	rows := int64(0)
	for _, p := range parts {
		rows += p.NumRows()
	}
	columns := make([]arrow.Array, schema.NumFields())
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i := range columns {
		if len(parts) == 0 {
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, schema.Field(i).Type, 0)
			continue
		}
		chunks := make([]arrow.Array, len(parts))
		for j, p := range parts {
			chunks[j] = p.Column(i)
		}
		joined, err := array.Concatenate(chunks, memory.DefaultAllocator)
		if err != nil {
			return nil, fmt.Errorf("join column %q: %w", schema.Field(i).Name, err)
		}
		columns[i] = joined
	}
	return array.NewRecordBatch(schema, columns, rows), nil
}

// validate rejects arrays whose offsets point outside their buffers: data from
// another process must not crash this one.
func validate(rec arrow.RecordBatch) error {
	for i, c := range rec.Columns() {
		if int64(c.Len()) != rec.NumRows() {
			return fmt.Errorf("column %q has %d values in a batch of %d rows", rec.ColumnName(i), c.Len(), rec.NumRows())
		}
		if err := array.ValidateFull(c); err != nil {
			return fmt.Errorf("column %q: %w", rec.ColumnName(i), err)
		}
	}
	return nil
}

// batchBytes estimates the size of a batch's values. A slice of a larger batch
// shares its buffers, but they are not written.
func batchBytes(rec arrow.RecordBatch) uint64 {
	total := uint64(0)
	for _, c := range rec.Columns() {
		total += valueBytes(c)
	}
	return total
}

func valueBytes(a arrow.Array) uint64 {
	n := uint64(a.Len())
	switch a := a.(type) {
	case *array.String:
		return 4*(n+1) + uint64(len(a.ValueBytes()))
	case *array.Binary:
		return 4*(n+1) + uint64(len(a.ValueBytes()))
	}
	if t, ok := a.DataType().(arrow.FixedWidthDataType); ok {
		return n*uint64(t.BitWidth())/8 + n/8
	}
	return a.Data().SizeInBytes()
}
