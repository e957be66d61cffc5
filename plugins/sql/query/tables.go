//go:build duckdb_arrow

package query

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/quern-dev/quern/sdk/go/data"
)

// Table is an input as a query sees it: a table with the input's name.
type Table struct {
	Name    string
	Columns data.Schema
}

// The schemas of the database. A query sees the views in main. Their underlying
// tables are in another schema, so that the query looks the same in a plan and
// in a run.
const (
	inputSchema  = "quern_input"
	resultView   = "quern_output.result"
	createSchema = "CREATE SCHEMA quern_input; CREATE SCHEMA quern_output;\n"
)

// emptyTables returns statements that create the inputs as tables without rows.
func emptyTables(inputs []Table) (string, error) {
	var b strings.Builder
	b.WriteString(createSchema)
	for n, in := range inputs {
		columns, names := make([]string, len(in.Columns)), in.sqlNames()
		for i, c := range in.Columns {
			t, err := sqlType(c.Type, timestampInside)
			if err != nil {
				return "", fmt.Errorf("input %q, column %q: %w", in.Name, c.Name, err)
			}
			columns[i] = quoteName(names[i]) + " " + t
		}
		fmt.Fprintf(&b, "CREATE TABLE %s (%s);\n", inputTable(n), strings.Join(columns, ", "))
		b.WriteString(mainView(n, in.Name))
	}
	return b.String(), nil
}

// inputTable returns the name of the table underlying the n-th input. It does
// not contain the input's name, which plans might show in quotes.
func inputTable(n int) string { return fmt.Sprintf("%s.t%d", inputSchema, n) }

func mainView(n int, name string) string {
	return fmt.Sprintf("CREATE VIEW main.%s AS SELECT * FROM %s;\n", quoteName(name), inputTable(n))
}

// fileTables returns statements that create views of the inputs' files. Columns
// that are not read are null, even if a file has them: if the query names them
// at all, it is only to exclude them.
func fileTables(inputs []Input, reads map[string][]string) (string, error) {
	var b strings.Builder
	b.WriteString(createSchema)
	for n, in := range inputs {
		var runs []string
		for _, shards := range alike(in.Shards) {
			sql, err := selectShards(&in.Table, reads[in.Name], shards)
			if err != nil {
				return "", fmt.Errorf("input %q: %w", in.Name, err)
			}
			runs = append(runs, sql)
		}
		if len(runs) == 0 {
			sql, err := selectShards(&in.Table, nil, nil)
			if err != nil {
				return "", fmt.Errorf("input %q: %w", in.Name, err)
			}
			runs = []string{sql}
		}
		fmt.Fprintf(&b, "CREATE VIEW %s AS %s;\n", inputTable(n), strings.Join(runs, "\nUNION ALL "))
		b.WriteString(mainView(n, in.Name))
	}
	return b.String(), nil
}

// alike splits shards into runs that have the same columns in the same groups,
// so that each group of a run is one list of files.
func alike(shards []data.Shard) [][]data.Shard {
	var runs [][]data.Shard
	for _, s := range shards {
		if n := len(runs); n > 0 && sameGroups(runs[n-1][0], s) {
			runs[n-1] = append(runs[n-1], s)
		} else {
			runs = append(runs, []data.Shard{s})
		}
	}
	return runs
}

func sameGroups(a, b data.Shard) bool {
	return slices.EqualFunc(a.Groups, b.Groups, func(x, y data.Group) bool {
		return slices.Equal(x.Columns, y.Columns)
	})
}

// selectShards returns a query that reads a run of shards. It reads the files
// of a group one after the other. Groups have the same rows in the same order,
// and are joined by position. A group of which nothing is read is not opened.
func selectShards(table *Table, read []string, shards []data.Shard) (string, error) {
	var from []string
	stored := map[string]string{}
	if len(shards) > 0 {
		for g, group := range shards[0].Groups {
			alias, needed := fmt.Sprintf("g%d", g), false
			for _, c := range group.Columns {
				if slices.Contains(read, c.Name) {
					stored[c.Name], needed = alias+"."+quoteName(c.Stored), true
				}
			}
			if needed {
				from = append(from, groupFiles(shards, g)+" AS "+alias)
			}
		}
	}
	list, names := make([]string, len(table.Columns)), table.sqlNames()
	for i, c := range table.Columns {
		t, err := sqlType(c.Type, timestampInside)
		if err != nil {
			return "", fmt.Errorf("column %q: %w", c.Name, err)
		}
		value := "NULL"
		if s, ok := stored[c.Name]; ok {
			value = s
		}
		list[i] = fmt.Sprintf("CAST(%s AS %s) AS %s", value, t, quoteName(names[i]))
	}
	sql := "SELECT " + strings.Join(list, ", ")
	switch {
	case len(from) > 0:
		return sql + " FROM " + strings.Join(from, " POSITIONAL JOIN "), nil
	case len(shards) > 0:
		return fmt.Sprintf("%s FROM range(%d)", sql, rowsOf(shards)), nil
	}
	return sql + " WHERE false", nil
}

func groupFiles(shards []data.Shard, group int) string {
	paths := make([]string, len(shards))
	for i, s := range shards {
		paths[i] = quoteText(s.Groups[group].Path)
	}
	return "read_parquet([" + strings.Join(paths, ", ") + "], hive_partitioning = false, union_by_name = false)"
}

func rowsOf(shards []data.Shard) int64 {
	var n int64
	for _, s := range shards {
		n += s.Rows
	}
	return n
}

// paths returns all files of the inputs.
func paths(inputs []Input) []string {
	var out []string
	for _, in := range inputs {
		for _, s := range in.Shards {
			for _, g := range s.Groups {
				out = append(out, g.Path)
			}
		}
	}
	return out
}

// sqlNames returns the names under which a query sees the columns: their own
// names. SQL ignores case, so columns whose names differ only in case get names
// that no query uses. A query that reads other columns can then run.
func (t *Table) sqlNames() []string {
	count := t.folded()
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
		if len(count[strings.ToLower(c.Name)]) > 1 {
			names[i] = fmt.Sprintf("%s (column %d)", c.Name, i+1)
		}
	}
	return names
}

// folded returns the names of the columns by their lowercase form.
func (t *Table) folded() map[string][]string {
	names := make(map[string][]string, len(t.Columns))
	for _, c := range t.Columns {
		lower := strings.ToLower(c.Name)
		names[lower] = append(names[lower], c.Name)
	}
	return names
}

// numbered matches the names that DuckDB itself gives to columns that differ
// only in case when it reads files: id_1. A column that really has such a name
// may get another one.
var numbered = regexp.MustCompile(`^(.+?)(?:_[0-9]+)+$`)

// twins returns the error if several columns differ from a name only in case,
// and nil otherwise.
func (t *Table) twins(name string) *Error {
	folded := t.folded()
	names := folded[strings.ToLower(name)]
	if base := numbered.FindStringSubmatch(name); len(names) < 2 && base != nil {
		names = folded[strings.ToLower(base[1])]
	}
	if len(names) < 2 {
		return nil
	}
	return &Error{Message: fmt.Sprintf("The input %q has the columns %q and %q, which differ only in case. SQL ignores case, so a query can read neither.\n"+
		"Rename one of them first, with transform \"map\", or name the other columns in the query instead of *.", t.Name, names[0], names[1])}
}

// anyTwins is like twins, but for all columns of all inputs.
func anyTwins(inputs []Table) *Error {
	for i := range inputs {
		for _, c := range inputs[i].Columns {
			if err := inputs[i].twins(c.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkNames refuses inputs whose names differ only in case, because SQL
// ignores case.
func checkNames(inputs []Table) error {
	tables := map[string]string{}
	for _, in := range inputs {
		if other, ok := tables[strings.ToLower(in.Name)]; ok {
			return &Error{Message: fmt.Sprintf("The inputs %q and %q differ only in case, which SQL ignores.\nRename one of them.", other, in.Name)}
		}
		tables[strings.ToLower(in.Name)] = in.Name
	}
	return nil
}
