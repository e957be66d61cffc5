// Command quern-plugin-database provides the source "sql", which reads the rows
// of a query from PostgreSQL, MySQL, MariaDB, or SQLite. It is a separate program
// because of the size of the drivers, and so that no other plugin has the
// databases' credentials.
package main

import (
	"github.com/quern-dev/quern/internal/version"
	"github.com/quern-dev/quern/plugins/database"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

func main() { plugin.Serve(database.Plugin(version.Number)) }
