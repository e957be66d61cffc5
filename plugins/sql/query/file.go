//go:build duckdb_arrow

package query

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	duck "github.com/duckdb/duckdb-go-bindings"

	"github.com/quern-dev/quern/sdk/go/data"
)

// File is a query of a DuckDB database file. All its statements see the same rows.
type File struct {
	db       *database
	analysis *Analysis
}

// FileError says why a database file cannot be opened, and what to do.
type FileError struct{ Message string }

func (e *FileError) Error() string { return e.Message }

// fileView is the view of the query's result, in the session, because nothing can
// be written to the file.
const fileView = "temp.main.quern_result"

// OpenFile opens a database file for reading, and checks a query of it. An error
// about the file is a *FileError, and one about the query an *Error. The caller
// closes the File.
func OpenFile(ctx context.Context, path, query string, o Options) (*File, error) {
	f, err := openFile(path, o)
	if err != nil {
		return nil, err
	}
	if err := f.analyze(ctx, query); err != nil {
		f.Close()
		return nil, tidyFile(err)
	}
	return f, nil
}

// OpenTable is OpenFile for all rows of a table or view, which can be written as
// SCHEMA.NAME.
func OpenTable(ctx context.Context, path, table string, o Options) (*File, error) {
	f, err := openFile(path, o)
	if err != nil {
		return nil, err
	}
	name, err := f.find(ctx, table)
	if err == nil {
		err = f.analyze(ctx, "SELECT * FROM "+name)
	}
	if err != nil {
		f.Close()
		return nil, tidyFile(err)
	}
	return f, nil
}

func openFile(path string, o Options) (*File, error) {
	db, err := o.openFile(path)
	var refused *openError
	if errors.As(err, &refused) {
		return nil, &FileError{explainFile(refused.message)}
	}
	if err != nil {
		return nil, err
	}
	if err := db.exec("BEGIN"); err != nil {
		db.close()
		return nil, err
	}
	return &File{db: db}, nil
}

// explainFile explains why DuckDB does not open a file.
func explainFile(message string) string {
	first, _, _ := strings.Cut(message, "\n")
	has := func(part string) bool { return strings.Contains(message, part) }
	switch {
	case has("created with a newer version"):
		return "The file was written by a newer version of DuckDB than the one in quern, " + duck.LibraryVersion() + "\n" +
			"Copy it to a format that this version reads: ATTACH 'NEW.duckdb' AS new (STORAGE_VERSION '" + storageVersion() + "'), and then COPY FROM DATABASE ... TO new."
	case has("version number"):
		return "The file was written by a version of DuckDB that is too old to be read\nExport it with that version (EXPORT DATABASE), and import it with a newer one.\n" + first
	case has("not a valid DuckDB database file"):
		return "The file is not a DuckDB database"
	case has("encrypt"):
		return "The database is encrypted\nquern does not read encrypted files. Copy what it needs to a file without encryption, or to Parquet."
	case has("lock on file"):
		return "Another program has opened the database for writing\nClose it there, or read a copy. DuckDB allows either one program that writes or several that only read.\n" + first
	}
	return "The database cannot be opened\n" + message
}

// storageVersion returns the newest format that can be read, as DuckDB names it.
func storageVersion() string {
	version := duck.LibraryVersion() // v1.5.6
	return version[:strings.LastIndexByte(version, '.')+1] + "0"
}

// find returns the quoted name of a table or view.
func (f *File) find(ctx context.Context, table string) (string, error) {
	const list = `FROM (SELECT schema_name AS s, table_name AS n FROM duckdb_tables() WHERE NOT internal AND database_name = current_database()
		UNION ALL SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal AND database_name = current_database())`
	quoted := `'"' || replace(s, '"', '""') || '"."' || replace(n, '"', '""') || '"'`
	given := quoteText(table)
	found, err := f.db.text(ctx, "SELECT "+quoted+" "+list+" WHERE s || '.' || n = "+given+" OR n = "+given+" ORDER BY s <> 'main', s")
	if err != nil || len(found) > 0 {
		return strings.Join(found[:min(len(found), 1)], ""), err
	}
	const most = 20
	names, err := f.db.text(ctx, fmt.Sprintf("SELECT CASE WHEN s = 'main' THEN n ELSE s || '.' || n END AS name %s ORDER BY name LIMIT %d", list, most))
	switch {
	case err != nil:
		return "", err
	case len(names) == 0:
		return "", &Error{Message: "The database has no tables."}
	}
	return "", &Error{Message: fmt.Sprintf("The database has no table %q.\nIt has %s.", table, strings.Join(names, ", "))}
}

// analyze checks the query and defines the view of its result.
func (f *File) analyze(ctx context.Context, query string) error {
	tree, err := parse(ctx, f.db, query)
	if err != nil {
		return err
	}
	names, err := f.db.text(ctx, "SELECT DISTINCT lower(column_name) FROM duckdb_columns() WHERE NOT internal")
	if err != nil {
		return err
	}
	columns := map[string]bool{}
	for _, name := range names {
		columns[name] = true
	}
	if err := tree.each(func(n map[string]any) *Error { return tree.checkRepeatable(n, columns) }); err != nil {
		return err
	}
	f.analysis = &Analysis{text: query}
	if _, err := f.analysis.describe(f.db, exactColumn); err != nil {
		return err
	}
	// The plan that DuckDB explains is the literal one. Rows are read with the
	// optimizer.
	if err := literalPlan(ctx, f.db); err != nil {
		return err
	}
	if _, err := f.analysis.settle(ctx, f.db, tree, tree.has("SHOW_REF")); err != nil {
		return err
	}
	settings := "SET disabled_optimizers = ''"
	if !f.analysis.ordering.parallel {
		settings += "; SET threads = 1"
	}
	return errors.Join(f.db.exec(settings), f.db.lock())
}

// tidyFile makes DuckDB's message readable.
func tidyFile(err error) error {
	var mistake *Error
	if !errors.As(err, &mistake) {
		return err
	}
	message := readable(mistake.Message)
	if strings.Contains(message, "Permission Error") {
		message += "\n\nA query can read only the tables of the database. Read other files with a source of their own."
	}
	return &Error{Message: message}
}

// Columns returns the columns of the result.
func (f *File) Columns() data.Schema { return f.analysis.Columns }

// Close closes the file.
func (f *File) Close() { f.db.close() }

// Rows yields the rows of the result, as Run does.
func (f *File) Rows(ctx context.Context) iter.Seq2[arrow.RecordBatch, error] {
	return f.batches(ctx, f.analysis.selection(f.db.view))
}

// RowsWhere yields the rows that satisfy a condition, in the order of a column and
// then of all others.
func (f *File) RowsWhere(ctx context.Context, condition, column string) iter.Seq2[arrow.RecordBatch, error] {
	order := []string{"r." + quoteName(column)}
	for _, c := range f.analysis.Columns {
		if c.Name != column {
			order = append(order, "r."+quoteName(c.Name))
		}
	}
	return f.batches(ctx, "SELECT "+f.analysis.list+" FROM "+f.db.view+" AS r WHERE "+condition+" ORDER BY "+strings.Join(order, ", "))
}

func (f *File) batches(ctx context.Context, statement string) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		err := f.analysis.batches(ctx, f.db, statement, func(rec arrow.RecordBatch) bool { return yield(rec, nil) })
		if err != nil {
			yield(nil, tidyFile(err))
		}
	}
}

// Digest returns the number of rows and a digest of their values, which does not
// depend on their order.
func (f *File) Digest(ctx context.Context) (rows int64, digest string, err error) {
	out, err := f.one(ctx, "SELECT count(*)::VARCHAR, coalesce(sum(hash(r)), 0)::VARCHAR FROM "+f.db.view+" AS r")
	if err != nil {
		return 0, "", err
	}
	rows, err = strconv.ParseInt(*out[0], 10, 64)
	return rows, *out[1], err
}

// Counted describes the rows that satisfy a condition by a column: their number,
// the number of those whose value is null, the least and the greatest value as
// text, and a checksum of the values.
type Counted struct {
	Rows, Nulls int64
	Min, Max    *string
	Checksum    string
}

// Count counts rows. Rows in which the column is null count in any case.
func (f *File) Count(ctx context.Context, condition, column string) (Counted, error) {
	c := "r." + quoteName(column)
	out, err := f.one(ctx, fmt.Sprintf("SELECT count(*)::VARCHAR, (count(*) - count(%[1]s))::VARCHAR, min(%[1]s)::VARCHAR, max(%[1]s)::VARCHAR, coalesce(sum(hash(%[1]s)), 0)::VARCHAR FROM %[2]s AS r WHERE %[3]s OR %[1]s IS NULL",
		c, f.db.view, condition))
	if err != nil {
		return Counted{}, err
	}
	n := Counted{Min: out[2], Max: out[3], Checksum: *out[4]}
	if n.Rows, err = strconv.ParseInt(*out[0], 10, 64); err == nil {
		n.Nulls, err = strconv.ParseInt(*out[1], 10, 64)
	}
	return n, err
}

// one returns the values of a statement that returns one row of texts.
func (f *File) one(ctx context.Context, statement string) ([]*string, error) {
	rows, err := f.db.query(ctx, statement)
	if err != nil {
		return nil, tidyFile(err)
	}
	defer rows.close()
	rec, err := rows.next()
	if err != nil {
		return nil, tidyFile(err)
	}
	if rec == nil {
		return nil, errors.New("DuckDB returned no row")
	}
	defer rec.Release()
	out := make([]*string, rec.NumCols())
	for i, column := range rec.Columns() {
		if values := column.(*array.String); values.IsValid(0) {
			value := strings.Clone(values.Value(0))
			out[i] = &value
		}
	}
	return out, nil
}

// Quote returns the name of a column of the rows in a condition.
func Quote(column string) string { return "r." + quoteName(column) }

// Literal returns a text in SQL.
func Literal(text string) string { return quoteText(text) }
