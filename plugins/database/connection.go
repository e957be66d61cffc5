package database

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// dialect is what differs between databases.
type dialect interface {
	// open opens the database at an address. root is the folder that relative
	// paths start from.
	open(u *url.URL, password, root string) (*sql.DB, error)
	// begin begins a transaction that can only read, and in which all queries see
	// the same rows. When ctx ends, it stops the query that is running.
	begin(ctx context.Context, db *sql.DB) (*sql.Tx, error)
	// typeOf returns the column type for a type of the database, or "" if only the
	// rows show it.
	typeOf(t *sql.ColumnType) string
	// quote quotes the name of a column, and text converts an expression to text
	// that parameter converts back.
	quote(name string) string
	text(expression string) string
	// checksum returns an expression for the sum of a number for each value of a
	// column, as text, that differs for most other sets of values.
	checksum(column string) string
	// placeholder returns the n-th parameter of a query.
	placeholder(n int) string
	// sortable reports whether values of a type can be ordered.
	sortable(native string) bool
}

// dialects are the databases by the scheme of their addresses.
var dialects = map[string]dialect{
	"postgres": postgres{}, "postgresql": postgres{}, "mysql": mysql{}, "mariadb": mysql{}, "sqlite": sqlite{},
}

// connection is a transaction in a database.
type connection struct {
	dialect  dialect
	args     *args
	db       *sql.DB
	tx       *sql.Tx
	identity string
}

func (s source) connect(ctx context.Context, a *args) (*connection, error) {
	u, err := url.Parse(a.URL)
	if err == nil && u.Scheme == "duckdb" {
		return nil, plugin.ArgumentErrorf("url", "DuckDB files have a source of their own\nUse source \"duckdb\", whose argument path is the path of the file.")
	}
	if err != nil || dialects[u.Scheme] == nil {
		return nil, plugin.ArgumentErrorf("url", "The address is not that of a database\nIt begins with postgres://, mysql://, or sqlite:.")
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		return nil, plugin.ArgumentErrorf("url", "The address contains a password\nSet password from a sensitive variable instead.")
	}
	if a.query() == "" {
		return nil, plugin.ArgumentErrorf("query", "The query is empty\nWrite a SELECT.")
	}
	c := &connection{dialect: dialects[u.Scheme], args: a, identity: identityOf(u)}
	if c.db, err = c.dialect.open(u, a.Password, s.root()); err != nil {
		return nil, &plugin.ArgumentError{Argument: "url", Err: c.explain(ctx, err)}
	}
	if c.tx, err = c.dialect.begin(ctx, c.db); err != nil {
		_ = c.db.Close()
		return nil, plugin.ArgumentErrorf("url", "The database cannot be used\n%w", c.explain(ctx, err))
	}
	return c, nil
}

// described connects to the database and describes the columns of the query. The
// caller closes the connection.
func (s source) described(ctx context.Context, a *args) (*connection, []column, error) {
	c, err := s.connect(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	columns, err := c.columns(ctx)
	if err != nil {
		c.close()
		return nil, nil, err
	}
	return c, columns, nil
}

// identityOf identifies a database. A count of rows says nothing about the rows of
// another database.
func identityOf(u *url.URL) string {
	sum := sha256.Sum256([]byte(u.Scheme + "\n" + u.Host + "\n" + u.Opaque + "\n" + u.Path + "\n" + u.Query().Get("host") + u.Query().Get("socket")))
	return hex.EncodeToString(sum[:8])
}

func (c *connection) close() {
	_ = c.tx.Rollback() // nothing was written
	_ = c.db.Close()
}

// explain removes the password from an error.
func (c *connection) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if p := c.args.Password; p != "" && strings.Contains(err.Error(), p) {
		return errors.New(strings.ReplaceAll(err.Error(), p, "(password)"))
	}
	return err
}

// statement is a query with parameters.
type statement struct {
	text       string
	parameters []any
}

// taker takes rows.
type taker interface {
	// take takes a row: a value for each column, or nil for null. It may keep none
	// of them. It returns errEnough if it needs no more.
	take(columns []column, row []any) error
	// end is called after the last row.
	end() error
}

// errEnough says that no more rows are needed.
var errEnough = errors.New("enough was read")

// rows runs a query, whose columns are these, and passes on its rows.
func (c *connection) rows(ctx context.Context, s statement, columns []column, to taker) error {
	prepared, err := c.tx.PrepareContext(ctx, s.text)
	if err != nil {
		return c.explain(ctx, err)
	}
	defer func() { _ = prepared.Close() }()
	rows, err := prepared.QueryContext(ctx, s.parameters...)
	if err != nil {
		return c.explain(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	values, targets := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	for n := 0; rows.Next(); n++ {
		if err := rows.Scan(targets...); err != nil {
			return c.explain(ctx, err)
		}
		for i, col := range columns {
			if values[i], err = convert(col, values[i]); err != nil {
				return fmt.Errorf("column %q, row %d: %w", col.Name, n, err)
			}
		}
		if err := to.take(columns, values); errors.Is(err, errEnough) {
			return to.end()
		} else if err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return c.explain(ctx, err)
	}
	return to.end()
}
