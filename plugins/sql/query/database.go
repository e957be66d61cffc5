//go:build duckdb_arrow

package query

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	duck "github.com/duckdb/duckdb-go-bindings"
)

// database is a DuckDB with one connection: a separate one in memory, or a file.
// Only one goroutine may use it, except for progress.
type database struct {
	db   duck.Database
	conn duck.Connection
	// view is the name of the view of the query's result.
	view string
}

// closed contains the settings that block access to everything outside the
// database. They apply from the beginning.
var closed = map[string]string{
	"autoinstall_known_extensions": "false",
	"autoload_known_extensions":    "false",
	"allow_community_extensions":   "false",
	"allow_persistent_secrets":     "false",
	"temp_directory":               "",
}

// openDatabase opens a database in memory with a number of threads, and then
// applies more settings, written as in SET.
func openDatabase(threads int, settings ...string) (*database, error) {
	return openConfigured("", resultView, map[string]string{"threads": strconv.Itoa(threads)}, settings)
}

// openConfigured opens the database in a file, or in memory if path is empty.
// Options are settings that apply from the beginning.
func openConfigured(path, view string, options map[string]string, settings []string) (*database, error) {
	var config duck.Config
	if duck.CreateConfig(&config) == duck.StateError {
		return nil, errors.New("DuckDB returned no configuration")
	}
	defer duck.DestroyConfig(&config)
	fixed := maps.Clone(closed)
	maps.Copy(fixed, options)
	for name, value := range fixed {
		if duck.SetConfig(config, name, value) == duck.StateError {
			return nil, fmt.Errorf("DuckDB does not accept the setting %s = %q", name, value)
		}
	}
	d := &database{view: view}
	var message string
	if duck.OpenExt(path, &d.db, config, &message) == duck.StateError {
		return nil, &openError{message}
	}
	if duck.Connect(d.db, &d.conn) == duck.StateError {
		duck.Close(&d.db)
		return nil, errors.New("DuckDB returned no connection")
	}
	for _, setting := range append(settings, "TimeZone = 'UTC'") {
		if err := d.exec("SET " + setting); err != nil {
			d.close()
			return nil, fmt.Errorf("set DuckDB's %s: %w", setting, err)
		}
	}
	return d, nil
}

// openError is DuckDB's reason for not opening a database.
type openError struct{ message string }

func (e *openError) Error() string { return "open DuckDB: " + e.message }

func (d *database) close() {
	duck.Disconnect(&d.conn)
	duck.Close(&d.db)
}

// exec executes our own statements, which are separated by semicolons, in
// order.
func (d *database) exec(statements string) error {
	var res duck.Result
	defer duck.DestroyResult(&res)
	if duck.Query(d.conn, statements, &res) == duck.StateError {
		return errors.New(duck.ResultError(&res))
	}
	return nil
}

// define creates the result view of a query. If the query is wrong, it returns
// an *Error.
func (d *database) define(query string) error {
	create := "CREATE VIEW "
	if d.view == fileView {
		create = "CREATE TEMP VIEW "
	}
	if err := d.exec(create + d.view + " AS " + query); err != nil {
		return &Error{Message: err.Error()}
	}
	return nil
}

// lock prevents any further change to the settings.
func (d *database) lock() error { return d.exec("SET lock_configuration = true") }

// text returns the first column of a query's rows, which must contain strings.
func (d *database) text(ctx context.Context, query string) ([]string, error) {
	rows, err := d.query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.close()
	var out []string
	for {
		rec, err := rows.next()
		if rec == nil || err != nil {
			return out, err
		}
		column, ok := rec.Column(0).(*array.String)
		for i := 0; ok && i < column.Len(); i++ {
			out = append(out, strings.Clone(column.Value(i)))
		}
		rec.Release()
		if !ok {
			return nil, fmt.Errorf("DuckDB returned %s instead of text", rec.Schema())
		}
	}
}

// statement is a prepared statement.
type statement struct{ stmt duck.PreparedStatement }

// prepare checks and plans a single statement.
func (d *database) prepare(query string) (*statement, error) {
	var all duck.ExtractedStatements
	n := duck.ExtractStatements(d.conn, query, &all)
	defer duck.DestroyExtracted(&all)
	switch {
	case n == 0:
		if m := duck.ExtractStatementsError(all); m != "" {
			return nil, &Error{Message: m}
		}
		return nil, noStatement()
	case n > 1:
		return nil, notOneSelect()
	}
	s := &statement{}
	if duck.PrepareExtractedStatement(d.conn, all, 0, &s.stmt) == duck.StateError {
		defer s.close()
		return nil, &Error{Message: duck.PrepareError(s.stmt)}
	}
	return s, nil
}

func (s *statement) close() { duck.DestroyPrepare(&s.stmt) }

// rows is a result that is computed while it is being read.
type rows struct {
	db     *database
	stmt   *statement
	res    duck.Result
	opts   duck.ArrowOptions
	schema *arrow.Schema
	ctx    context.Context
	stop   func()
}

// query executes a statement. When ctx ends, it interrupts DuckDB.
func (d *database) query(ctx context.Context, query string) (*rows, error) {
	stmt, err := d.prepare(query)
	if err != nil {
		return nil, err
	}
	r := &rows{db: d, stmt: stmt, ctx: ctx, stop: d.interruptAfter(ctx)}
	if err := r.start(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// interruptAfter interrupts the connection when ctx ends, until the returned
// function is called.
func (d *database) interruptAfter(ctx context.Context) (stop func()) {
	done := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		select {
		case <-ctx.Done():
			duck.Interrupt(d.conn)
		case <-done:
		}
	})
	return sync.OnceFunc(func() { close(done); wait.Wait() })
}

func (r *rows) start() error {
	var pending duck.PendingResult
	defer duck.DestroyPending(&pending)
	// Streaming means that a result need not fit into memory.
	if duck.PendingPreparedStreaming(r.stmt.stmt, &pending) == duck.StateError {
		return &Error{Message: duck.PendingError(pending)}
	}
	if duck.ExecutePending(pending, &r.res) == duck.StateError {
		return r.failure()
	}
	r.opts = duck.ResultGetArrowOptions(&r.res)
	n := duck.ColumnCount(&r.res)
	names, types := make([]string, n), make([]duck.LogicalType, n)
	for i := range n {
		names[i], types[i] = duck.ColumnName(&r.res, i), duck.ColumnLogicalType(&r.res, i)
		defer duck.DestroyLogicalType(&types[i])
	}
	schema, failed := duck.NewArrowSchema(r.opts, types, names)
	r.schema = schema
	return arrowError(failed)
}

// next returns the next rows, or nil at the end. The caller releases them.
func (r *rows) next() (arrow.RecordBatch, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	chunk := duck.FetchChunk(r.res)
	if chunk.Ptr == nil {
		if duck.ResultError(&r.res) != "" {
			return nil, r.failure()
		}
		return nil, r.ctx.Err()
	}
	defer duck.DestroyDataChunk(&chunk)
	rec, failed := duck.DataChunkToArrowArray(r.opts, r.schema, chunk)
	if err := arrowError(failed); err != nil {
		return nil, err
	}
	return rec, nil
}

func (r *rows) failure() error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	return &Error{Message: duck.ResultError(&r.res)}
}

func (r *rows) close() {
	r.stop()
	if r.opts.Ptr != nil {
		duck.DestroyArrowOptions(&r.opts)
	}
	duck.DestroyResult(&r.res)
	r.stmt.close()
}

func arrowError(e duck.ErrorData) error {
	defer duck.DestroyErrorData(&e)
	if !duck.ErrorDataHasError(e) {
		return nil
	}
	return fmt.Errorf("convert DuckDB's rows to Arrow: %s", duck.ErrorDataMessage(e))
}

// progress returns the share of the running statement that is done, from 0 to
// 1, or a negative number if it is unknown. It can be called while the
// statement runs.
func (d *database) progress() float64 {
	p := duck.QueryProgress(d.conn)
	percent, _, _ := duck.QueryProgressTypeMembers(&p)
	return percent / 100
}

func quoteName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
