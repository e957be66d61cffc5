package plugintest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// received collects the rows of one dataset output.
type received struct {
	table  *Table
	output *pluginv1.Output
	// sent are the columns that the plugin sends. input is the dataset whose rows the
	// output has, or nil, and next the next of them.
	sent  data.Schema
	input *table
	next  int
}

func (b *bound) receiver(o *pluginv1.Output) *received {
	r := &received{table: &Table{Columns: data.FromProto(o.Columns)}, output: o, input: b.datasets[o.RowsOf]}
	r.sent = data.FromProto(slices.DeleteFunc(slices.Clone(o.Columns), isInput))
	return r
}

func isInput(c *pluginv1.Column) bool {
	return c.Origin == pluginv1.ColumnOrigin_COLUMN_ORIGIN_INPUT
}

// add appends the rows of a message.
func (r *received) add(rows *pluginv1.Rows) error {
	rec, err := data.DecodeBatch(rows.Rows)
	if err != nil {
		return err
	}
	defer rec.Release()
	got, err := data.FromArrow(rec.Schema())
	if err != nil {
		return err
	}
	if !got.Equal(r.sent) {
		return fmt.Errorf("the plugin declared the columns %v, but wrote %v", r.sent, got)
	}
	made := toTable(got, []arrow.RecordBatch{rec}).Rows
	if r.input == nil {
		r.table.Rows = append(r.table.Rows, made...)
		return nil
	}
	if r.next+len(made) > int(r.input.rec.NumRows()) {
		return fmt.Errorf("the plugin wrote %d rows to output %q, but its input has %d", r.next+len(made), rows.Output, r.input.rec.NumRows())
	}
	for i, row := range made {
		for _, c := range r.output.Columns {
			if isInput(c) {
				_, at, _ := r.input.schema.Lookup(c.From)
				row[c.Name] = goValue(r.input.rec.Column(at), r.next)
			}
		}
		r.next++
		if !slices.Contains(rows.Dropped, int64(i)) {
			r.table.Rows = append(r.table.Rows, row)
		}
	}
	return nil
}

// end returns an error if rows are missing.
func (r *received) end() error {
	if r.input != nil && r.next != int(r.input.rec.NumRows()) {
		return fmt.Errorf("the plugin wrote %d rows to output %q, but its input has %d", r.next, r.output.Name, r.input.rec.NumRows())
	}
	return nil
}

// keptFiles returns the files in a folder as those that the last run kept.
func (s *session) keptFiles(dir string) []*pluginv1.File {
	s.t.Helper()
	if dir == "" {
		return nil
	}
	return modelFiles(s.t, dir)
}

// keep gathers the files that a run keeps in a new folder.
func (s *session) keep(former string, done *pluginv1.Done) (string, error) {
	dir := s.t.TempDir()
	for _, name := range done.Kept {
		if err := os.Link(filepath.Join(former, name), filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("keep a file again: %w", err)
		}
	}
	if done.KeptFolder == "" {
		return dir, nil
	}
	made, err := os.ReadDir(done.KeptFolder)
	if err != nil {
		return "", err
	}
	for _, f := range made {
		if err := os.Link(filepath.Join(done.KeptFolder, f.Name()), filepath.Join(dir, f.Name())); err != nil {
			return "", fmt.Errorf("keep a file: %w", err)
		}
	}
	return dir, nil
}
