package export

import (
	"io"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/internal/arrowjson"
	"github.com/quern-dev/quern/sdk/go/data"
)

// jsonLines writes one object per row, with the columns in the order of the
// schema, and null for missing values.
type jsonLines struct {
	w      io.Writer
	schema data.Schema
	values arrowjson.Encoder
	rows   int64
	buffer []byte
}

func (j *jsonLines) Write(rec arrow.RecordBatch) error {
	for i := range int(rec.NumRows()) {
		j.buffer = append(j.buffer, '{')
		for c, column := range j.schema {
			if c > 0 {
				j.buffer = append(j.buffer, ',')
			}
			j.buffer = append(arrowjson.AppendString(j.buffer, column.Name), ':')
			var err error
			if j.buffer, err = j.values.Append(j.buffer, rec.Column(c), i); err != nil {
				return rowError(j.rows+int64(i), column.Name, err)
			}
		}
		j.buffer = append(j.buffer, "}\n"...)
		if len(j.buffer) >= flushAt {
			if err := j.Close(); err != nil {
				return err
			}
		}
	}
	j.rows += rec.NumRows()
	return nil
}

func (j *jsonLines) Close() error {
	_, err := j.w.Write(j.buffer)
	j.buffer = j.buffer[:0]
	return err
}

// flushAt is how many bytes are buffered before they are written.
const flushAt = 256 << 10
