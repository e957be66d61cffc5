//go:build duckdb_arrow

package query

import (
	"context"
	"errors"
	"fmt"
	"strings"

	duck "github.com/duckdb/duckdb-go-bindings"

	"github.com/quern-dev/quern/sdk/go/data"
)

// Analysis is what is known about a query before it runs.
type Analysis struct {
	// Tables are the tables that the query was analyzed for.
	Tables []Table
	// Columns are the columns of the result.
	Columns data.Schema
	// Reads contains the columns that the query reads, by the name of the
	// input. Inputs that the query does not read are not in it.
	Reads map[string][]string
	// Lineage says what the columns come from. It is nil if that is not clear.
	Lineage *Lineage

	text     string // to be run: the query with its order completed
	list     string // the result's columns, with casts
	ordering ordering
}

// spare holds databases without tables for later analyses, because opening one
// takes most of the time of an analysis.
var spare = make(chan *database, 2)

// takeEmpty returns a database for tables without rows.
func takeEmpty(ctx context.Context) (*database, error) {
	select {
	case db := <-spare:
		return db, nil
	default:
	}
	db, err := openDatabase(1, "enable_external_access = false", "memory_limit = '256MB'")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(literalPlan(ctx, db), db.lock()); err != nil {
		db.close()
		return nil, err
	}
	return db, nil
}

// giveEmpty rolls back the transaction in which tables were created, and keeps
// the database for later.
func giveEmpty(db *database) {
	if err := db.exec("ROLLBACK"); err == nil {
		select {
		case spare <- db:
			return
		default:
		}
	}
	db.close()
}

// Analyze checks a query against its inputs' columns. If the query has a
// mistake, it returns an *Error.
func Analyze(ctx context.Context, query string, inputs []Table) (*Analysis, error) {
	if err := checkNames(inputs); err != nil {
		return nil, err
	}
	tables, err := emptyTables(inputs)
	if err != nil {
		return nil, err
	}
	db, err := takeEmpty(ctx)
	if err != nil {
		return nil, err
	}
	defer giveEmpty(db)
	if err := db.exec("BEGIN;\n" + tables); err != nil {
		return nil, fmt.Errorf("make the inputs' tables: %w", err)
	}
	a, err := analyze(ctx, db, query, inputs)
	return a, tidy(err, inputs)
}

// tidy makes DuckDB's message readable.
func tidy(err error, inputs []Table) error {
	var mistake *Error
	if errors.As(err, &mistake) {
		if twins := namedTwins(mistake.Message, inputs); twins != nil {
			return twins
		}
		return &Error{Message: readable(suggestInput(mistake.Message, inputs))}
	}
	return err
}

func analyze(ctx context.Context, db *database, query string, inputs []Table) (*Analysis, error) {
	tree, err := parse(ctx, db, query)
	if err != nil {
		return nil, err
	}
	if err := tree.check(inputs); err != nil {
		return nil, err
	}
	a := &Analysis{Tables: inputs, text: query}
	misfit, err := a.describe(db, describeColumn)
	if err != nil {
		return nil, err
	}
	shows := tree.has("SHOW_REF")
	plan, err := a.settle(ctx, db, tree, shows)
	if err != nil {
		return nil, err
	}
	if a.Reads, err = plan.reads(inputs); err != nil {
		return nil, err
	}
	if misfit != nil {
		return nil, misfit
	}
	if shows { // it is about the inputs' columns themselves
		a.Reads = columnsOf(inputs)
	} else if a.Lineage, err = a.lineage(ctx, db); err != nil {
		return nil, err
	}
	if shows || tree.joinsByName() {
		if twins := anyTwins(inputs); twins != nil {
			return nil, twins
		}
	}
	return a, nil
}

// settle completes the order of the query, and defines the view of its result.
// It returns the query's plan.
func (a *Analysis) settle(ctx context.Context, db *database, tree *syntax, shows bool) (*operator, error) {
	ordered := tree.order() != nil
	if ordered {
		tree.orderAlsoBy(len(a.Columns))
	}
	if ordered || shows {
		text, err := tree.write(ctx, db)
		if err != nil {
			return nil, err
		}
		a.text = text
	}
	if shows { // SHOW counts as a SELECT, but cannot be the only statement of a view
		a.text = "SELECT * FROM (" + a.text + ")"
	}
	if err := db.define(a.text); err != nil {
		return nil, err
	}
	plan, err := explain(ctx, db)
	if err != nil {
		return nil, err
	}
	a.ordering = judge(plan, ordered)
	return plan, nil
}

// describe determines the result's columns with a function that returns a column
// and the expression for its values, or why no dataset can contain it. It reports
// such columns separately, because other errors matter more.
func (a *Analysis) describe(db *database, as func(name string, t duck.LogicalType) (c data.Column, expression, mistake string)) (misfit *Error, err error) {
	stmt, err := db.prepare(a.text)
	if err != nil {
		return nil, err
	}
	defer stmt.close()
	if duck.PreparedStatementType(stmt.stmt) != duck.StatementTypeSelect {
		return nil, notOneSelect()
	}
	if duck.NParams(stmt.stmt) > 0 {
		return nil, &Error{Message: "The query has parameters ($1, ?), but no values for them.\nWrite values into the query as ${…}."}
	}
	var list, misfits []string
	seen := map[string]bool{}
	for i := range duck.PreparedStatementColumnCount(stmt.stmt) {
		name := duck.PreparedStatementColumnName(stmt.stmt, i)
		if seen[strings.ToLower(name)] {
			return nil, &Error{Message: fmt.Sprintf("Two columns of the result are named %q.\nRename one of them with AS.", name)}
		}
		seen[strings.ToLower(name)] = true
		t := duck.PreparedStatementColumnLogicalType(stmt.stmt, i)
		column, expression, mistake := as(name, t)
		duck.DestroyLogicalType(&t)
		if mistake != "" {
			misfits = append(misfits, mistake)
		}
		a.Columns = append(a.Columns, column)
		list = append(list, expression+" AS "+quoteName(name))
	}
	a.list = strings.Join(list, ", ")
	if len(misfits) > 0 {
		misfit = &Error{Message: strings.Join(misfits, "\n")}
	}
	return misfit, nil
}

// describeColumn returns a column of a transform. If no dataset can contain it, it
// says why and what to do.
func describeColumn(name string, t duck.LogicalType) (c data.Column, expression, mistake string) {
	typ, fix := columnType(t)
	if typ == "" {
		return data.Column{}, "NULL", fmt.Sprintf("The column %q has the type %s, which a dataset cannot store.\n%s", name, typeName(t), fix)
	}
	return data.Column{Name: name, Type: typ}, lossless(quoteName(name), t, outsideType(typ)), ""
}

func cast(expression, to string) string { return "CAST(" + expression + " AS " + to + ")" }

func outsideType(column string) string {
	t, err := sqlType(column, timestampOutside)
	if err != nil {
		return "VARCHAR"
	}
	return t
}
