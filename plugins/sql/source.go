//go:build duckdb_arrow

package sql

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/plugins/sql/query"
	"github.com/quern-dev/quern/plugins/watermark"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const sourceDoc = `Reads a table, or the rows of a query, from a DuckDB database file.

The file must have a format that DuckDB 1.5 reads. Newer versions write it with ` + "`ATTACH 'warehouse.duckdb' (STORAGE_VERSION 'v1.5.0')`" + `. It is opened for reading only, and a query can read nothing but its tables: no other files, no network, no clock, and no random numbers.

The database describes the columns when planning. Whole numbers of up to 64 bits are int64, and so are decimals of at most 18 digits without a fraction. Times are in UTC. Lists, arrays, and structs are lists and structs. Other types (HUGEINT, UBIGINT, other decimals, intervals, maps, unions) are strings in the form in which DuckDB writes them, with all their digits: cast them in the query to compute with them, as in ` + "`sum(n)::BIGINT`" + `. An infinite date or time, or a time finer than microseconds, is an error.

A table has the order in which its rows were inserted. Where a query leaves the order open (joins, groups, ` + "`DISTINCT`" + `), rows are ordered by all their columns.

A refresh reads nothing if the size and the time of the file are unchanged. Otherwise, it computes a digest of all rows, so a change to another table of the file runs nothing again.

With ` + "`watermark`" + `, the name of a column that grows with every new row, an apply reads only new rows, in the order of that column. Rows that appear late, below the last value, and deleted rows are noticed. An update is noticed only if it changes the watermark; ` + "`-replace`" + ` reads everything again.

` + "```hcl" + `
source "duckdb" "tickets" {
  path  = "warehouse.duckdb"
  query = "SELECT id, subject, body FROM support.tickets WHERE NOT spam"
}
` + "```"

type sourceArguments struct {
	Path        string `quern:"path,required,operational" doc:"The database file. A relative path is relative to the folder of the configuration."`
	Table       string `quern:"table" doc:"A table or view, as \"NAME\" or \"SCHEMA.NAME\". Either this or query."`
	Query       string `quern:"query" doc:"One SELECT statement. Either this or table."`
	Watermark   string `quern:"watermark" doc:"A column that grows with every new row: a number, a time, or text. It cannot be null."`
	MemoryLimit string `quern:"memory_limit,operational" doc:"The maximum memory for the query, such as \"2GB\". What does not fit is spilled to a temporary folder. The default is four fifths of the machine's memory."`
	Threads     int64  `quern:"threads,operational" doc:"The maximum number of threads. The default is all that the machine has. If the result would depend on the number of threads, the query uses one."`
}

// file implements the source "duckdb".
type file struct{ root func() string }

// Prepare asks the database for the columns.
func (s file) Prepare(ctx context.Context, p *plugin.Prepare[sourceArguments]) error {
	for _, argument := range []string{"path", "table", "query", "watermark"} {
		if !p.Known(argument) {
			p.Errorf(argument, "The %s of a source must be known when planning\nIt depends on a stage that has not been applied yet. Use a value that does not come from another stage.", argument)
			return nil
		}
	}
	checkResources(p, p.Args.MemoryLimit, p.Args.Threads)
	o, err := s.open(ctx, p.Args)
	if err != nil {
		return err
	}
	defer o.Close()
	for _, c := range o.Columns() {
		if !plainName.MatchString(c.Name) && p.Args.Query != "" {
			p.Warnf("query", "A column of the result is named %q\nGive it a plain name with AS, so that other stages can refer to it as row.NAME.", c.Name)
		}
	}
	p.AddDataset("", o.Columns())
	return nil
}

// opened is a query of a file that is open.
type opened struct {
	*query.File
	args  *sourceArguments
	spill string
}

// open opens the file and checks the arguments. The caller closes it.
func (s file) open(ctx context.Context, a *sourceArguments) (*opened, error) {
	switch {
	case a.Table == "" && a.Query == "":
		return nil, plugin.ArgumentErrorf("path", "What to read from the database is missing\nSet table or query.")
	case a.Table != "" && a.Query != "":
		return nil, plugin.ArgumentErrorf("query", "table and query cannot be combined\nRemove one of them.")
	}
	path, err := s.find(a.Path)
	if err != nil {
		return nil, err
	}
	options := query.Options{MemoryLimit: a.MemoryLimit, Threads: int(a.Threads), SpillDir: filepath.Join(os.TempDir(), "quern-duckdb-"+rand.Text())}
	o := &opened{args: a, spill: options.SpillDir}
	if a.Table != "" {
		o.File, err = query.OpenTable(ctx, path, a.Table, options)
	} else {
		o.File, err = query.OpenFile(ctx, path, a.Query, options)
	}
	if err != nil {
		return nil, o.at(err)
	}
	if err := o.checkWatermark(); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// at attributes an error to an argument.
func (o *opened) at(err error) error {
	var unreadable *query.FileError
	var mistake *query.Error
	switch {
	case errors.As(err, &unreadable):
		return &plugin.ArgumentError{Argument: "path", Err: err}
	case errors.As(err, &mistake) && o.args.Table != "":
		return &plugin.ArgumentError{Argument: "table", Err: err}
	case errors.As(err, &mistake):
		return &plugin.ArgumentError{Argument: "query", Err: err}
	}
	return err
}

// Close closes the file, and removes what the query has spilled.
func (o *opened) Close() {
	o.File.Close()
	_ = os.RemoveAll(o.spill)
}

// find returns the full path of a file.
func (s file) find(path string) (string, error) {
	full := path
	if !filepath.IsAbs(full) {
		full = filepath.Join(s.root(), full)
	}
	switch info, err := os.Stat(full); {
	case errors.Is(err, fs.ErrNotExist):
		return "", plugin.ArgumentErrorf("path", "The file %s does not exist\nA relative path is relative to the folder of the configuration.", path)
	case err != nil:
		return "", plugin.ArgumentErrorf("path", "The file %s cannot be opened\n%w", path, err)
	case !info.Mode().IsRegular():
		return "", plugin.ArgumentErrorf("path", "%s is not a file", path)
	}
	return full, nil
}

// memo is what a fingerprint leaves for the next call, if there is no watermark.
type memo struct {
	// Files are the sizes and times of the database and its log, and Of identifies
	// the query.
	Files string `json:"files"`
	Of    string `json:"of"`
	plugin.Fingerprint
}

// settled is how long a file must be unchanged before its size and time are
// trusted to show whether it changed.
const settled = 2 * time.Second

// Fingerprint counts the rows, or computes the digest of all of them.
func (s file) Fingerprint(ctx context.Context, a *sourceArguments, former []byte) (plugin.Fingerprint, error) {
	files, stable := s.state(a.Path)
	now := memo{Files: files, Of: identity(a.Path, a.Table, a.Query)}
	var before memo
	if a.Watermark == "" && json.Unmarshal(former, &before) == nil && files != "" && before.Files == now.Files && before.Of == now.Of {
		before.Memo = former
		return before.Fingerprint, nil
	}
	o, err := s.open(ctx, a)
	if err != nil {
		return plugin.Fingerprint{}, err
	}
	defer o.Close()
	if a.Watermark != "" {
		return watermark.Fingerprint(ctx, identity(a.Path), o, former)
	}
	rows, digest, err := o.Digest(ctx)
	if err != nil {
		return plugin.Fingerprint{}, o.at(err)
	}
	now.Fingerprint = plugin.Fingerprint{Value: fmt.Sprintf("rows:%d:%s", rows, digest), Summary: watermark.RowCount(rows)}
	if !stable {
		return now.Fingerprint, nil
	}
	out := now.Fingerprint
	out.Memo, err = json.Marshal(now)
	return out, err
}

// state returns the sizes and times of the database and of the log of what is not
// in it yet, and whether they show every change.
func (s file) state(path string) (text string, stable bool) {
	full, err := s.find(path)
	if err != nil {
		return "", false
	}
	stable = true
	for _, name := range []string{full, full + ".wal"} {
		info, err := os.Stat(name)
		if err != nil {
			text += " none"
			continue
		}
		text += fmt.Sprintf(" %d %d", info.Size(), info.ModTime().UnixNano())
		stable = stable && time.Since(info.ModTime()) > settled
	}
	return text, stable
}

func identity(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Read streams the rows: all of them, or each range of the watermark as a part.
func (s file) Read(ctx context.Context, a *sourceArguments, w *plugin.RowWriter) error {
	o, err := s.open(ctx, a)
	if err != nil {
		return err
	}
	defer o.Close()
	if !o.Columns().Equal(w.Schema()) {
		return errors.New("the columns of the table or query have changed\nMake a new plan.")
	}
	if a.Watermark != "" {
		return watermark.Read(ctx, identity(a.Path), o, w)
	}
	_, err = o.stream(o.Rows(ctx), w)
	return err
}

// stream writes batches, and returns their number of rows.
func (o *opened) stream(batches iter.Seq2[arrow.RecordBatch, error], w *plugin.RowWriter) (rows int64, err error) {
	for rec, err := range batches {
		if err != nil {
			return rows, o.at(err)
		}
		if err := w.Write(rec); err != nil {
			return rows, err
		}
		rows += rec.NumRows()
		w.Progress(rows, 0, "rows", "")
	}
	return rows, nil
}

// Preview writes the first rows, and counts all of them.
func (s file) Preview(ctx context.Context, a *sourceArguments, bytes int64, w *plugin.RowWriter) (plugin.RowCount, error) {
	o, err := s.open(ctx, a)
	if err != nil {
		return plugin.RowCount{}, err
	}
	defer o.Close()
	rows, _, err := o.Digest(ctx)
	if err != nil {
		return plugin.RowCount{}, o.at(err)
	}
	for rec, err := range o.Rows(ctx) {
		if err != nil {
			return plugin.RowCount{}, o.at(err)
		}
		if err := w.Write(rec); err != nil {
			return plugin.RowCount{}, err
		}
		if bytes -= size(rec); bytes <= 0 {
			break
		}
	}
	return plugin.RowCount{Rows: rows, Exact: true, Size: rows}, nil
}

// size returns the bytes of a batch in memory.
func size(rec arrow.RecordBatch) int64 {
	var n int64
	for _, column := range rec.Columns() {
		n += int64(column.Data().SizeInBytes())
	}
	return n
}

// checkWatermark checks the column of the watermark.
func (o *opened) checkWatermark() error {
	name := o.args.Watermark
	if name == "" {
		return nil
	}
	column, _, ok := o.Columns().Lookup(name)
	if !ok {
		return plugin.ArgumentErrorf("watermark", "The table or query has no column %q", name)
	}
	if !watermark.Usable(column.Type) {
		return plugin.ArgumentErrorf("watermark", "The column %q is %s, which cannot be a watermark\nUse a column of whole numbers, times, or text.", name, column.Type)
	}
	return nil
}

func (o *opened) condition(s watermark.Span) string {
	return s.Condition(query.Quote(o.args.Watermark), query.Literal)
}

// Count counts the rows in a span of the watermark.
func (o *opened) Count(ctx context.Context, s watermark.Span) (watermark.Counted, error) {
	n, err := o.File.Count(ctx, o.condition(s), o.args.Watermark)
	if err != nil {
		return watermark.Counted{}, o.at(err)
	}
	if n.Nulls > 0 {
		return watermark.Counted{}, watermark.NullError(o.args.Watermark, n.Nulls)
	}
	return watermark.Counted{Rows: n.Rows, Min: n.Min, Max: n.Max, Checksum: n.Checksum}, nil
}

// Write writes the rows in a span of the watermark.
func (o *opened) Write(ctx context.Context, s watermark.Span, w *plugin.RowWriter) (int64, error) {
	return o.stream(o.RowsWhere(ctx, o.condition(s), o.args.Watermark), w)
}
