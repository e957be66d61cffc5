package rowwise

import (
	"context"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
)

// mostValues is the maximum number of distinct values in a column that is
// counted.
const mostValues = 1000

// longestValue is the maximum length of a value in such a column, in bytes.
const longestValue = 256

// Coverage returns the share of rows with a value, from 0 to 1, by column. In a
// dataset without rows, it is 0.
func Coverage(m *dataset.Manifest, columns []string) map[string]float64 {
	out := make(map[string]float64, len(columns))
	for _, c := range m.Columns {
		for _, name := range columns {
			if c.Name == name && m.Rows > 0 {
				out[name] = 1 - float64(c.Nulls)/float64(m.Rows)
			} else if c.Name == name {
				out[name] = 0
			}
		}
	}
	return out
}

// Counts counts how often each value occurs in columns of type string, bool,
// and int64, and each element in lists of these. It leaves out columns of other types, and columns with more than a
// thousand distinct values or with a long one, because they are not labels.
func Counts(ctx context.Context, blobs *blob.Store, m *dataset.Manifest, columns []string) (map[string]map[string]int64, error) {
	out := map[string]map[string]int64{}
	var wanted []string
	for _, name := range columns {
		c, _, ok := m.Schema.Lookup(name)
		if ok && data.Countable(c.Type) {
			wanted = append(wanted, name)
			out[name] = map[string]int64{}
		}
	}
	if len(wanted) == 0 || m.Rows == 0 {
		return out, nil
	}
	files, err := m.Files(blobs, wanted)
	if err != nil {
		return nil, err
	}
	for i := range m.Shards {
		for rec, err := range readOne(ctx, files[i], wanted) {
			if err != nil {
				return nil, err
			}
			for c, name := range wanted {
				if values := out[name]; values != nil && !count(values, rec.Column(c)) {
					delete(out, name)
				}
			}
		}
	}
	return out, nil
}

// count adds a column's values. It returns false if there are too many distinct
// ones.
func count(values map[string]int64, a arrow.Array) bool {
	if lists, ok := a.(*array.List); ok {
		return countElements(values, lists)
	}
	var at func(int) string
	switch a := a.(type) {
	case *array.String:
		at = a.Value
	case *array.Boolean:
		at = func(i int) string { return strconv.FormatBool(a.Value(i)) }
	case *array.Int64:
		at = func(i int) string { return strconv.FormatInt(a.Value(i), 10) }
	default:
		return false
	}
	for i := range a.Len() {
		if a.IsNull(i) {
			continue
		}
		v := at(i)
		n, ok := values[v]
		if !ok {
			if len(values) >= mostValues || len(v) > longestValue {
				return false
			}
			// The value is a slice of the batch's memory.
			v = string([]byte(v))
		}
		values[v] = n + 1
	}
	return true
}

func countElements(values map[string]int64, lists *array.List) bool {
	for i := range lists.Len() {
		if lists.IsNull(i) {
			continue
		}
		from, until := lists.ValueOffsets(i)
		elements := array.NewSlice(lists.ListValues(), from, until)
		fits := count(values, elements)
		elements.Release()
		if !fits {
			return false
		}
	}
	return true
}
