package database

import (
	"context"
	"database/sql"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgres is PostgreSQL. When a context ends, its driver sends a request to
// cancel the query.
type postgres struct{}

func (postgres) open(u *url.URL, password, _ string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, err
	}
	if password != "" {
		config.Password = password
	}
	for name, value := range map[string]string{
		"application_name": "quern", "default_transaction_read_only": "on", "timezone": "UTC", "datestyle": "ISO", "intervalstyle": "iso_8601",
	} {
		config.RuntimeParams[name] = value
	}
	return stdlib.OpenDB(*config), nil
}

func (postgres) begin(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	return db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

func (postgres) typeOf(t *sql.ColumnType) string {
	switch t.DatabaseTypeName() {
	case "INT2", "INT4", "INT8", "OID":
		return "int64"
	case "FLOAT4", "FLOAT8":
		return "float64"
	case "BOOL":
		return "bool"
	case "DATE":
		return "date"
	case "TIMESTAMP", "TIMESTAMPTZ":
		return "timestamp"
	case "BYTEA":
		return "binary"
	case "NUMERIC":
		return decimal(t)
	}
	return "string"
}

// decimal returns the type of decimals: int64 if all of them fit, or else string,
// which has all their digits.
func decimal(t *sql.ColumnType) string {
	if precision, scale, ok := t.DecimalSize(); ok && scale == 0 && precision > 0 && precision <= 18 {
		return "int64"
	}
	return "string"
}

func (postgres) quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func (postgres) text(expression string) string { return "(" + expression + ")::text" }

func (postgres) checksum(column string) string {
	return "sum(hashtext(" + column + "::text)::bigint)::text"
}

func (postgres) placeholder(n int) string { return "$" + strconv.Itoa(n) }

func (postgres) sortable(native string) bool {
	switch native {
	case "INT2", "INT4", "INT8", "OID", "FLOAT4", "FLOAT8", "BOOL", "DATE", "TIMESTAMP", "TIMESTAMPTZ", "BYTEA", "NUMERIC", "TEXT", "VARCHAR", "BPCHAR", "UUID", "JSONB", "INTERVAL":
		return true
	}
	return false
}
