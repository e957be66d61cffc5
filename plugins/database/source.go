package database

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/plugins/watermark"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const doc = `Reads the rows of a query from PostgreSQL, MySQL, MariaDB, or SQLite.

The database describes the columns of the query when planning. Whole numbers are int64, and so are decimals of at most 18 digits without a fraction. Other decimals are strings with all their digits: cast them in the query to compute with them. Times are in UTC. JSON, UUIDs, arrays, and other types are strings in the form in which the database writes them. ` + "`schema`" + ` sets other types. A value that its column's type cannot represent exactly is an error.

The query runs in a transaction that can only read, and all its rows are from one moment. Interrupting quern stops the query on the server.

Without ` + "`watermark`" + `, each refresh runs the query and compares the digest of all rows. Use an ORDER BY, or the rows come in the order in which the database happens to return them.

With ` + "`watermark`" + `, the name of a column that grows with every new row, a refresh only counts rows, and an apply reads only new ones:

- Rows are in the order of the watermark. A plan says up to which value it has seen rows, and its apply reads no further, so a table that grows all the time can be read.
- Rows that appear late, below the last value, and rows that were deleted are noticed, because the number of rows and a checksum of the watermarks are compared. quern then reads the range again that they belong to.
- An update is noticed only if it changes the watermark. A column such as ` + "`updated_at`" + ` does; an ID does not. ` + "`-replace`" + ` reads everything again.

The password comes from ` + "`password`" + `, or else from ` + "`PGPASSWORD`" + `, a ` + "`.pgpass`" + ` file, or ` + "`MYSQL_PWD`" + `.

` + "```hcl" + `
source "sql" "tickets" {
  url       = "postgres://quern@db.example.com/support"
  password  = var.password
  query     = "SELECT id, subject, body, created_at FROM tickets WHERE NOT spam"
  watermark = "created_at"
}
` + "```"

type args struct {
	URL       string            `quern:"url,required,operational" doc:"The database: \"postgres://USER@HOST:PORT/DATABASE\", \"mysql://USER@HOST:PORT/DATABASE\" (also for MariaDB), or \"sqlite:FILE\". For a Unix socket, leave out the host and add \"?host=FOLDER\" for PostgreSQL or \"?socket=FILE\" for MySQL. Connections use TLS as \"?sslmode=\" (PostgreSQL) or \"?tls=\" (MySQL) says."`
	Password  string            `quern:"password,sensitive,operational" doc:"The password, from a variable with sensitive = true."`
	Query     string            `quern:"query,required" doc:"A SELECT, without a semicolon at its end."`
	Watermark string            `quern:"watermark" doc:"A column of the query that grows with every new row: a number, a time, or text. It cannot be null."`
	Schema    map[string]string `quern:"schema" doc:"The types of columns, such as { price = \"float64\" }: 'string', 'int64', 'float64', 'bool', 'date', 'timestamp', or 'binary'. Other columns have the types from the database."`
}

// source implements the source "sql".
type source struct{ root func() string }

// Prepare asks the database for the columns of the query.
func (s source) Prepare(ctx context.Context, p *plugin.Prepare[args]) error {
	for _, argument := range []string{"url", "password", "query", "watermark", "schema"} {
		if !p.Known(argument) {
			p.Errorf(argument, "The %s of a source must be known when planning\nIt depends on a stage that has not been applied yet. Use a value that does not come from another stage.", argument)
			return nil
		}
	}
	c, columns, err := s.described(ctx, p.Args)
	if err != nil {
		return err
	}
	defer c.close()
	p.AddDataset("", schemaOf(columns))
	return nil
}

// progressRows is the number of rows after which progress is reported.
const progressRows = 10_000

// Fingerprint counts the rows, or computes the digest of all of them.
func (s source) Fingerprint(ctx context.Context, a *args, former []byte) (plugin.Fingerprint, error) {
	c, columns, err := s.described(ctx, a)
	if err != nil {
		return plugin.Fingerprint{}, err
	}
	defer c.close()
	if a.Watermark == "" {
		d := &digest{}
		if err := c.rows(ctx, statement{text: a.query()}, columns, d); err != nil {
			return plugin.Fingerprint{}, err
		}
		return plugin.Fingerprint{Value: d.String(), Summary: watermark.RowCount(d.rows)}, nil
	}
	r, err := c.ranges(columns)
	if err != nil {
		return plugin.Fingerprint{}, err
	}
	return watermark.Fingerprint(ctx, c.identity, r, former)
}

// Read streams the rows: all of them, or each range of the watermark as a part.
func (s source) Read(ctx context.Context, a *args, w *plugin.RowWriter) error {
	c, columns, err := s.described(ctx, a)
	if err != nil {
		return err
	}
	defer c.close()
	if !schemaOf(columns).Equal(w.Schema()) {
		return fmt.Errorf("the columns of the query have changed\nMake a new plan.")
	}
	if a.Watermark == "" {
		return c.rows(ctx, statement{text: a.query()}, columns, newSink(w))
	}
	r, err := c.ranges(columns)
	if err != nil {
		return err
	}
	return watermark.Read(ctx, c.identity, r, w)
}

// Preview writes the first rows, and counts all of them.
func (s source) Preview(ctx context.Context, a *args, bytes int64, w *plugin.RowWriter) (plugin.RowCount, error) {
	c, columns, err := s.described(ctx, a)
	if err != nil {
		return plugin.RowCount{}, err
	}
	defer c.close()
	n := plugin.RowCount{Exact: true}
	if err := c.tx.QueryRowContext(ctx, "SELECT count(*) FROM "+a.from()).Scan(&n.Rows); err != nil {
		return n, c.explain(ctx, err)
	}
	n.Size = n.Rows
	out := newSink(w)
	out.left = bytes
	return n, c.rows(ctx, statement{text: "SELECT * FROM " + a.from()}, columns, out)
}

// query returns the query without a semicolon at its end.
func (a *args) query() string { return strings.TrimRight(a.Query, "; \t\r\n") }

// from returns the query as a table. It may end in a comment.
func (a *args) from() string { return "(\n" + a.query() + "\n) AS quern_rows" }

// column is a column of the query.
type column struct {
	data.Column
	// native is the database's name of the type.
	native string
}

func schemaOf(columns []column) data.Schema {
	out := make(data.Schema, len(columns))
	for i, c := range columns {
		out[i] = c.Column
	}
	return out
}

// scalars are the types that columns can have.
var scalars = map[string]bool{"string": true, "int64": true, "float64": true, "bool": true, "date": true, "timestamp": true, "binary": true}

// columns describes the columns of the query. It reads no rows, except from
// SQLite, whose expressions have no types.
func (c *connection) columns(ctx context.Context) ([]column, error) {
	types, err := c.describe(ctx)
	if err != nil {
		return nil, err
	}
	var out []column
	seen := map[string]bool{}
	for i, t := range types {
		name := t.Name()
		switch {
		case name == "" || name == "?column?":
			return nil, plugin.ArgumentErrorf("query", "Column %d of the query has no name\nAdd one: SELECT ... AS name.", i+1)
		case seen[name]:
			return nil, plugin.ArgumentErrorf("query", "The query has two columns %q\nGive one of them another name: SELECT ... AS name.", name)
		}
		seen[name] = true
		typ, given := c.args.Schema[name]
		if !given {
			typ = c.dialect.typeOf(t)
		}
		out = append(out, column{data.Column{Name: name, Type: typ}, t.DatabaseTypeName()})
	}
	for _, name := range ordered.Keys(c.args.Schema) {
		if !seen[name] {
			return nil, plugin.ArgumentErrorf("schema", "The query has no column %q", name)
		}
		if !scalars[c.args.Schema[name]] {
			return nil, plugin.ArgumentErrorf("schema", "Column %q has the type %q in schema, which a query cannot return\nUse one of %s.", name, c.args.Schema[name], strings.Join(ordered.Keys(scalars), ", "))
		}
	}
	return out, c.inferUntyped(ctx, out)
}

// describe returns the types of the query's columns.
func (c *connection) describe(ctx context.Context) ([]*sql.ColumnType, error) {
	rows, err := c.tx.QueryContext(ctx, "SELECT * FROM "+c.args.from()+" LIMIT 0")
	if err != nil {
		return nil, plugin.ArgumentErrorf("query", "The database does not accept the query\n%w", c.explain(ctx, err))
	}
	defer func() { _ = rows.Close() }()
	types, err := rows.ColumnTypes()
	if err == nil {
		err = rows.Err()
	}
	return types, err
}
