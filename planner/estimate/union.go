package estimate

import (
	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
)

// unitedRows bounds the rows of a sample of several datasets.
const unitedRows = 4 * keptRows

// together returns a sample with the rows of several. A column is known if it is in all
// of them.
func together(address string, schema data.Schema, parts []sample) sample {
	rows := 0
	for _, s := range parts {
		rows += len(s.weights)
	}
	if rows > unitedRows {
		for i, s := range parts {
			parts[i] = s.thin(max(1, unitedRows/2/len(parts)))
		}
	}
	out := sample{madeBy: map[string]string{}}
	var known []arrow.Field
	for _, c := range schema {
		if field, until := inAll(c.Name, address, parts); until == "" {
			known = append(known, field)
		} else {
			out.madeBy[c.Name] = until
		}
	}
	var batches []arrow.RecordBatch
	for _, s := range parts {
		shared := &columns{}
		for _, field := range known {
			shared.add(field, s.rows.Column(s.rows.Schema().FieldIndices(field.Name)[0]))
		}
		batches = append(batches, shared.batch(s.rows.NumRows()))
		out.weights, out.isFresh = append(out.weights, s.weights...), append(out.isFresh, s.isFresh...)
	}
	var err error
	if out.rows, err = data.Concat(arrow.NewSchema(known, nil), batches); err != nil {
		return unread(address, schema)
	}
	return out
}

// inAll returns a column that is known in all samples, or the stage that has to run
// before it is.
func inAll(name, address string, parts []sample) (field arrow.Field, until string) {
	for _, s := range parts {
		at := s.rows.Schema().FieldIndices(name)
		if len(at) == 1 {
			field = s.rows.Schema().Field(at[0])
			continue
		}
		if by := s.madeBy[name]; by != "" {
			return field, by
		}
		return field, address
	}
	return field, ""
}

// thin keeps at most so many new rows, and as many others. They also represent those
// that are left out.
func (s sample) thin(most int) sample {
	var old []int
	for i, isFresh := range s.isFresh {
		if !isFresh {
			old = append(old, i)
		}
	}
	var kept []int
	var factors []float64
	for _, rows := range [][]int{s.fresh(), old} {
		some := evenly(rows, most)
		for range some {
			factors = append(factors, float64(len(rows))/float64(len(some)))
		}
		kept = append(kept, some...)
	}
	out, err := s.pick(kept)
	if err != nil {
		return s
	}
	for i, factor := range factors {
		out.weights[i] *= factor
	}
	return out
}
