//go:build duckdb_arrow

package query

import (
	"context"
	"fmt"
	"iter"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
)

// Input is a table with its rows. The query must not read columns that are
// missing from the shards.
type Input struct {
	Table
	Shards []data.Shard
}

// Options limits the resources of a run. It does not affect the result.
type Options struct {
	// MemoryLimit is written in DuckDB's format, such as "2GB". By default, it
	// is four fifths of the machine's memory.
	MemoryLimit string
	// Threads is the maximum number of threads. 0 means the number of
	// processors.
	Threads int
	// SpillDir is a folder for rows that do not fit into memory. It is created
	// when needed and removed at the end. If it is empty, a query that needs
	// more memory than the limit fails.
	SpillDir string
	// Progress is called periodically with the share of the work that is done,
	// from 0 to 1.
	Progress func(share float64)
}

// progressInterval is the time between two calls of Options.Progress.
const progressInterval = 500 * time.Millisecond

// batchRows is the minimum number of rows in a batch, except for the last one.
const batchRows = 32768

// Run executes a query that was analyzed for tables with the same columns, and
// yields batches with the columns of the analysis. A batch is released when the
// loop continues; call Retain to keep it. An error caused by the rows is an
// *Error.
func Run(ctx context.Context, a *Analysis, inputs []Input, o Options) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		if err := run(ctx, a, inputs, o, func(rec arrow.RecordBatch) bool { return yield(rec, nil) }); err != nil {
			yield(nil, tidy(err, a.Tables))
		}
	}
}

func run(ctx context.Context, a *Analysis, inputs []Input, o Options, yield func(arrow.RecordBatch) bool) error {
	if o.SpillDir != "" {
		defer os.RemoveAll(o.SpillDir)
	}
	db, err := openInputs(a, inputs, o)
	if err != nil {
		return err
	}
	defer db.close()
	defer watch(db, o.Progress)()
	return a.batches(ctx, db, a.selection(db.view), yield)
}

// batches passes on the rows of a statement that selects the result's columns,
// until yield returns false.
func (a *Analysis) batches(ctx context.Context, db *database, statement string, yield func(arrow.RecordBatch) bool) error {
	result, err := db.query(ctx, statement)
	if err != nil {
		return err
	}
	defer result.close()
	schema := a.Columns.Arrow()
	var waiting []arrow.RecordBatch
	defer func() { release(waiting) }()
	var n int64
	for {
		rec, err := result.next()
		if err != nil {
			return err
		}
		if rec != nil {
			waiting, n = append(waiting, rec), n+rec.NumRows()
		}
		if n >= batchRows || rec == nil && n > 0 {
			batch, err := join(schema, waiting)
			if err != nil {
				return err
			}
			more := yield(batch)
			batch.Release()
			release(waiting)
			waiting, n = waiting[:0], 0
			if !more {
				return nil
			}
		}
		if rec == nil {
			return nil
		}
	}
}

func release(recs []arrow.RecordBatch) {
	for _, r := range recs {
		r.Release()
	}
}

// selection returns the statement that reads the result.
func (a *Analysis) selection(view string) string {
	sql := "SELECT " + a.list + " FROM " + view
	if a.ordering.sort {
		sql += " ORDER BY ALL"
	}
	return sql
}

// openInputs opens a database that contains the inputs and the view of the
// result, and cannot access anything else.
func openInputs(a *Analysis, inputs []Input, o Options) (*database, error) {
	tables, err := fileTables(inputs, a.Reads)
	if err != nil {
		return nil, err
	}
	db, err := o.open(a.ordering.parallel)
	if err != nil {
		return nil, err
	}
	files := paths(inputs)
	for i := range files {
		files[i] = quoteText(files[i])
	}
	err = db.exec("SET allowed_paths = [" + strings.Join(files, ", ") + "]; SET enable_external_access = false; SET lock_configuration = true")
	if err == nil {
		err = db.exec(tables)
	}
	if err == nil {
		err = db.define(a.text)
	}
	if err != nil {
		db.close()
		return nil, fmt.Errorf("open the inputs: %w", err)
	}
	return db, nil
}

func (o Options) open(parallel bool) (*database, error) {
	threads := o.threads()
	if !parallel {
		threads = 1
	}
	return openDatabase(threads, o.settings()...)
}

// openFile opens a database file that can only be read, and cannot access anything
// else.
func (o Options) openFile(path string) (*database, error) {
	return openConfigured(path, fileView, map[string]string{"access_mode": "READ_ONLY", "threads": strconv.Itoa(o.threads())},
		append(o.settings(), "enable_external_access = false"))
}

func (o Options) threads() int {
	if o.Threads <= 0 {
		return runtime.NumCPU()
	}
	return o.Threads
}

func (o Options) settings() []string {
	settings := []string{
		"temp_directory = " + quoteText(o.SpillDir), "preserve_insertion_order = true",
		"enable_progress_bar = true", "enable_progress_bar_print = false",
	}
	if o.MemoryLimit != "" {
		settings = append(settings, "memory_limit = "+quoteText(o.MemoryLimit))
	}
	return settings
}

// watch reports a database's progress until the returned function is called.
func watch(db *database, report func(float64)) (stop func()) {
	if report == nil {
		return func() {}
	}
	done := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if share := db.progress(); share >= 0 {
					report(share)
				}
			}
		}
	})
	return func() { close(done); wait.Wait() }
}

// join combines several batches into one with exactly a dataset's types. DuckDB
// uses its own names for the parts of nested types.
func join(schema *arrow.Schema, recs []arrow.RecordBatch) (arrow.RecordBatch, error) {
	whole, err := data.Concat(recs[0].Schema(), recs)
	if err != nil {
		return nil, err
	}
	defer whole.Release()
	return data.Conform(whole, schema)
}
