package dataset

import (
	"crypto/sha256"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
)

// chunkRows is the number of rows that are encoded at a time: their bytes
// should stay in the processor's cache until they are hashed.
const chunkRows = 1024

// RowKeys returns the keys of a batch's rows. A row's key is the first 16 bytes
// of a SHA-256 of the salt (a stage's definition key) and the values, names,
// and types of the named columns. If no columns are named, all rows have the
// same key.
func RowKeys(rec arrow.RecordBatch, columns []string, salt string) ([][16]byte, error) {
	arrays := make([]arrow.Array, len(columns))
	h := newFields("quern.row/v1")
	h.text(salt)
	for i, name := range columns {
		at := rec.Schema().FieldIndices(name)
		if len(at) != 1 {
			return nil, fmt.Errorf("key rows: column %q does not exist", name)
		}
		arrays[i] = rec.Column(at[0])
		t, err := data.TypeName(arrays[i].DataType())
		if err != nil {
			return nil, fmt.Errorf("key rows: column %q: %w", name, err)
		}
		h.text(name)
		h.text(t)
	}
	prefix := h.h.Sum(nil)
	keys := make([][16]byte, rec.NumRows())
	columnBytes := make([]encoded, len(arrays))
	var row []byte
	for from := 0; from < len(keys); from += chunkRows {
		to := min(from+chunkRows, len(keys))
		for c := range arrays {
			columnBytes[c].encode(arrays[c], from, to)
		}
		for i := range to - from {
			row = append(row[:0], prefix...)
			for c := range columnBytes {
				row = append(row, columnBytes[c].row(i)...)
			}
			sum := sha256.Sum256(row)
			copy(keys[from+i][:], sum[:])
		}
	}
	return keys, nil
}
