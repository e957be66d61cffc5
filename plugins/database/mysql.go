package database

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// mysql is MySQL and MariaDB.
type mysql struct{}

func (mysql) open(u *url.URL, password, _ string) (*sql.DB, error) {
	config := driver.NewConfig()
	config.User, config.Passwd = u.User.Username(), password
	if password == "" {
		config.Passwd = os.Getenv("MYSQL_PWD")
	}
	config.DBName = strings.TrimPrefix(u.Path, "/")
	config.Net, config.Addr = "tcp", u.Host
	if u.Host != "" && u.Port() == "" {
		config.Addr = u.Host + ":3306"
	}
	for name := range u.Query() {
		switch value := u.Query().Get(name); name {
		case "socket":
			config.Net, config.Addr = "unix", value
		case "tls":
			config.TLSConfig = value
		default:
			return nil, fmt.Errorf("the address has an unknown parameter %q\nThe parameters are socket and tls.", name)
		}
	}
	config.ParseTime, config.Loc = true, time.UTC
	config.Params = map[string]string{"time_zone": "'+00:00'"}
	if err := config.Apply(driver.Charset("utf8mb4", "")); err != nil {
		return nil, err
	}
	connector, err := driver.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// begin begins a transaction. The driver only closes the connection when ctx ends,
// which the server notices when it sends rows, so another connection kills the
// query.
func (mysql) begin(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	tx, err := db.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	var id int64
	if err := tx.QueryRowContext(ctx, "SELECT connection_id()").Scan(&id); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() {
		kill, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, _ = db.ExecContext(kill, fmt.Sprintf("KILL %d", id)) // it may have ended
	})
	return tx, nil
}

func (mysql) typeOf(t *sql.ColumnType) string {
	switch name := strings.TrimPrefix(t.DatabaseTypeName(), "UNSIGNED "); name {
	case "TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "YEAR":
		return "int64"
	case "FLOAT", "DOUBLE":
		return "float64"
	case "DATE":
		return "date"
	case "DATETIME", "TIMESTAMP":
		return "timestamp"
	case "BINARY", "VARBINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB", "BIT", "GEOMETRY":
		return "binary"
	case "DECIMAL":
		return decimal(t)
	}
	return "string"
}

func (mysql) quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func (mysql) text(expression string) string { return "CAST(" + expression + " AS CHAR)" }

func (mysql) checksum(column string) string {
	return "CAST(sum(crc32(CAST(" + column + " AS CHAR))) AS CHAR)"
}

func (mysql) placeholder(int) string { return "?" }

func (mysql) sortable(native string) bool { return native != "GEOMETRY" && native != "JSON" }
