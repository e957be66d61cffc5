// Package expr compiles expressions at plan time.
//
// There are two kinds: row expressions, which mention `row` and are evaluated
// for each row of a dataset (by package columnar), and deferred expressions, which
// wait for values of upstream stages. Row expressions that mention what the stage itself produces,
// such as the answer of a model, are late. All of them compile to the same
// form: a canonical, self-contained text in which everything that was known is
// folded to literals, so that only `row`, late names, upstream addresses, and
// sensitive variables remain. Keys are computed from this text, so comments,
// formatting, and the names of locals and variables do not affect them.
package expr

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
)

// Compiled is a compiled expression. It is plain data, except for the plugins that it is
// connected with.
type Compiled struct {
	// Text is the canonical expression.
	Text string `json:"text"`
	// Type is the type of its result as far as it is known. For a row
	// expression, it is always known.
	Type value.Type `json:"type"`
	// ColumnType is the dataset column type of a row expression's result. It is
	// more specific than Type, because it distinguishes int64 from float64.
	ColumnType string `json:"column_type,omitempty"`
	// Columns are the columns of `row` that it reads, sorted.
	Columns []string `json:"columns,omitempty"`
	// Refs are the sorted addresses of the stages whose values it reads, such
	// as evaluate.student. Instances of for_each and count share one address.
	Refs []string `json:"refs,omitempty"`
	// Secrets are the sensitive variables that it reads, sorted.
	Secrets []string `json:"secrets,omitempty"`
	// Late are the late names that it reads, with their types. Types of objects
	// are reduced to the attributes that are read.
	Late map[string]value.Type `json:"late,omitempty"`
	// Functions are the functions of plugins that it calls, sorted by name.
	Functions []ForeignName `json:"functions,omitempty"`
	// Range is where the user wrote it. It is not part of any key.
	Range diag.Range `json:"range"`

	// plugins finds Functions. It is not stored: see Connect.
	plugins Plugins
}

// Column returns the name of the column if the expression is just `row.NAME`,
// which costs nothing to evaluate.
func (c *Compiled) Column() (string, bool) {
	if len(c.Columns) != 1 {
		return "", false
	}
	name := c.Columns[0]
	if step, ok := strings.CutPrefix(c.Text, RowName+"."); ok && step == name || strings.HasPrefix(c.Text, RowName+"[") && c.Text == RowColumn(name) {
		return name, true
	}
	return "", false
}

// RowColumn returns the expression that is just a column of the row.
func RowColumn(name string) string {
	return RowName + stepsText(hcl.Traversal{hcl.TraverseIndex{Key: cty.StringVal(name)}})
}
