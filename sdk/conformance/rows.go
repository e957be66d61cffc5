package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// column is a column of rows as scenarios write it.
type column struct {
	// Column is the name of a column, and Argument the key of a row argument.
	// One of them is set.
	Column   *string         `json:"column,omitempty"`
	Argument *string         `json:"argument,omitempty"`
	Late     *string         `json:"late,omitempty"`
	Type     string          `json:"type"`
	Values   json.RawMessage `json:"values,omitempty"`
	// Lengths are given in place of texts that are too long to show.
	Lengths []int `json:"lengths,omitempty"`
}

// maxShown is the number of bytes from which texts are too long to show.
const maxShown = 1 << 20

func (c column) name() (data.Namespace, string) {
	switch {
	case c.Argument != nil:
		return data.Arguments, *c.Argument
	case c.Late != nil:
		return data.LateNames, *c.Late
	case c.Column != nil:
		return data.Columns, *c.Column
	}
	return data.Columns, ""
}

// record returns the rows that a scenario writes as a list of columns.
func record(v any) (arrow.RecordBatch, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var columns []column
	if err := decodeJSON(text, &columns); err != nil {
		return nil, fmt.Errorf("rows must be a list of columns: %w", err)
	}
	fields, values, n := make([]arrow.Field, len(columns)), make([]arrow.Array, len(columns)), 0
	for i, c := range columns {
		t, err := data.ArrowType(c.Type)
		if err != nil {
			return nil, err
		}
		in, name := c.name()
		fields[i] = in.Field(name, t)
		if values[i], _, err = array.FromJSON(memory.DefaultAllocator, t, strings.NewReader(string(c.Values))); err != nil {
			return nil, fmt.Errorf("column %q: %w", name, err)
		}
		n = values[i].Len()
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), values, int64(n)), nil
}

func encodeRows(rec arrow.RecordBatch) ([]byte, error) {
	defer rec.Release()
	return data.EncodeBatch(rec)
}

// columnsOf is the inverse of record, for rows in Arrow's form. Metadata that a
// plugin sends has no meaning.
func columnsOf(rows []byte) (any, error) {
	rec, err := data.DecodeBatch(rows)
	if err != nil {
		return nil, err
	}
	defer rec.Release()
	return columnsOfRecord(rec)
}

func columnsOfRecord(rec arrow.RecordBatch) (any, error) {
	out := make([]column, rec.NumCols())
	for i, f := range rec.Schema().Fields() {
		typ, err := data.TypeName(f.Type)
		if err != nil {
			return nil, err
		}
		out[i].Type = typ
		out[i].Column = &f.Name
		if texts, ok := rec.Column(i).(*array.String); ok && len(texts.ValueBytes()) > maxShown {
			for j := range texts.Len() {
				out[i].Lengths = append(out[i].Lengths, len(texts.Value(j)))
			}
			continue
		}
		if out[i].Values, err = json.Marshal(rec.Column(i)); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	var tree any
	err = decodeJSON(text, &tree)
	return tree, err
}

// store writes the dataset that a scenario gives an artifact to a Parquet file.
func (r *runner) store(artifact map[string]any) (map[string]any, error) {
	given, ok := artifact["dataset"]
	if !ok {
		return artifact, nil
	}
	rec, err := record(given)
	if err != nil {
		return nil, err
	}
	defer rec.Release()
	out := &pluginv1.Artifact{Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET, Digest: "sha256:0", Rows: rec.NumRows()}
	schema, stored := data.Schema{}, []data.Stored{}
	for i, f := range rec.Schema().Fields() {
		typ, err := data.TypeName(f.Type)
		if err != nil {
			return nil, err
		}
		in, name := data.Columns, f.Name
		declared := &pluginv1.Column{Name: name, Type: typ}
		if data.Arguments.Holds(f) {
			in = data.Arguments
			out.Arguments = append(out.Arguments, declared)
		} else {
			out.Columns = append(out.Columns, declared)
		}
		values, err := rec.Column(i).MarshalJSON()
		if err != nil {
			return nil, err
		}
		schema = append(schema, data.Column{Name: fmt.Sprintf("c%d", i), Type: typ})
		stored = append(stored, data.Stored{
			Stored: schema[i].Name, Name: name, Namespace: in, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(values)),
		})
	}
	path, err := r.writeParquet(schema, rec)
	if err != nil {
		return nil, err
	}
	out.Shards = data.ShardsToProto([]data.Shard{{Rows: rec.NumRows(), Groups: []data.Group{{Path: path, Columns: stored}}}})
	return tree(out)
}

// writeParquet writes rows to a new file and returns its path.
func (r *runner) writeParquet(schema data.Schema, rec arrow.RecordBatch) (string, error) {
	f, err := os.CreateTemp(r.folder, "dataset-*.parquet")
	if err != nil {
		return "", err
	}
	defer f.Close()
	w, err := data.NewFileWriter(f, schema)
	if err != nil {
		return "", err
	}
	named := array.NewRecordBatch(schema.Arrow(), rec.Columns(), rec.NumRows())
	defer named.Release()
	if err := w.Write(named); err != nil {
		return "", err
	}
	return f.Name(), w.Close()
}
