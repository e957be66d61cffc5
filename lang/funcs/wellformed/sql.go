package wellformed

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	mysql "github.com/sqlc-dev/marino/parser"
	sqlite "github.com/sqlc-dev/meyer/parser"
	postgresql "github.com/sqlc-dev/oliphant"
)

// statements parses a text in a dialect and counts its statements.
var statements = map[string]func(string) (int, error){
	"postgresql": func(text string) (int, error) {
		tree, err := postgresql.Parse(text)
		return len(tree.GetStmts()), err
	},
	"mysql": func(text string) (int, error) {
		list, _, err := mysql.New().ParseSQL(text)
		return len(list), err
	},
	"sqlite": func(text string) (int, error) {
		list, err := sqlite.ParseString(text)
		return len(list), err
	},
}

// Dialects are the dialects that IsSQL knows, in the order in which it tries
// them.
var Dialects = []string{"postgresql", "mysql", "sqlite"}

// A longer or more deeply nested text is not parsed, because a parser could
// take too long or overflow the stack.
const (
	maxSQL      = 100_000 // bytes
	maxBrackets = 100     // open at once
)

var errTooMuch = errors.New("the statement is too long or nested too deeply to check")

// IsSQL reports whether a text is one or more statements of SQL in a dialect, or,
// if dialect is empty, in any of Dialects. Only the syntax is
// checked, because tables and columns are not known. It returns an error
// for an unknown dialect and for a text that is too long to check.
func IsSQL(text, dialect string) (bool, error) {
	if dialect != "" && !slices.Contains(Dialects, dialect) {
		return false, fmt.Errorf("%q is not a known dialect; the dialects are %s", dialect, strings.Join(Dialects, ", "))
	}
	if len(text) > maxSQL || brackets(text) > maxBrackets {
		return false, errTooMuch
	}
	if dialect != "" {
		return parses(text, dialect), nil
	}
	return slices.ContainsFunc(Dialects, func(d string) bool { return parses(text, d) }), nil
}

// brackets returns the maximum number of brackets that are open at once.
func brackets(text string) int {
	open, most := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '(', '[', '{':
			open++
			most = max(most, open)
		case ')', ']', '}':
			open = max(0, open-1)
		}
	}
	return most
}

// parses reports whether a parser accepts a text. A panic of the parser counts
// as a rejection: models write anything, and one answer must not end the run.
func parses(text, dialect string) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	n, err := statements[dialect](text)
	return err == nil && n > 0
}

var fenced = regexp.MustCompile("(?s)```[a-zA-Z]*[ \t]*\r?\n(.*?)```")

// ContainsSQL reports whether a text is SQL or contains a fenced block that is.
func ContainsSQL(text, dialect string) (bool, error) {
	for _, block := range fenced.FindAllStringSubmatch(text, -1) {
		if is, err := IsSQL(block[1], dialect); is || err != nil {
			return is, err
		}
	}
	return IsSQL(text, dialect)
}
