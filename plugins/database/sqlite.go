package database

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "github.com/ncruces/go-sqlite3/driver" // the driver "sqlite3"
)

// sqlite is an SQLite file.
type sqlite struct{}

func (sqlite) open(u *url.URL, _, root string) (*sql.DB, error) {
	path := u.Opaque
	if path == "" {
		path = u.Path
	}
	path, err := url.PathUnescape(path)
	if err != nil || path == "" || u.RawQuery != "" {
		return nil, errors.New("it names no file\nWrite \"sqlite:\" and the path of the file.")
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, errors.New("the file does not exist\nA relative path is relative to the folder of the configuration.")
	}
	address := url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro&_pragma=busy_timeout(10000)"}
	return sql.Open("sqlite3", address.String())
}

func (sqlite) begin(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	// The first query fixes what all others see.
	var tables int64
	return tx, tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables)
}

// typeOf returns the type of a declared column, by SQLite's rules of affinity.
// Expressions have no declared type.
func (sqlite) typeOf(t *sql.ColumnType) string {
	name := strings.ToUpper(t.DatabaseTypeName())
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(name, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("INT"):
		return "int64"
	case has("CHAR", "CLOB", "TEXT"):
		return "string"
	case has("BLOB"):
		return "binary"
	case has("REAL", "FLOA", "DOUB"):
		return "float64"
	}
	return ""
}

func (sqlite) quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func (sqlite) text(expression string) string { return "CAST(" + expression + " AS TEXT)" }

// checksum adds up the digits of each value as one number, because SQLite has no
// hash function.
func (sqlite) checksum(column string) string {
	digits := "CAST(" + column + " AS TEXT)"
	for _, separator := range []string{"-", ":", " ", "T", "."} {
		digits = "replace(" + digits + ", '" + separator + "', '')"
	}
	return "CAST(sum(CAST(" + digits + " AS INTEGER) % 1000000007) AS TEXT)"
}

func (sqlite) placeholder(int) string { return "?" }

func (sqlite) sortable(string) bool { return true }
