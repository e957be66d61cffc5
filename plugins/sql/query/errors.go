//go:build duckdb_arrow

package query

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/agext/levenshtein"
)

// Error is a mistake in a query, or an error caused by its rows.
type Error struct {
	// Message is DuckDB's message, or one in the same style: what is wrong, a
	// suggestion, and the line of the query with a mark.
	Message string
}

func (e *Error) Error() string { return e.Message }

// locatedError returns an error at a byte offset of the query's text.
func locatedError(text string, offset int, format string, args ...any) *Error {
	message := fmt.Sprintf(format, args...)
	if offset < 0 || offset > len(text) {
		return &Error{Message: message}
	}
	start := strings.LastIndexByte(text[:offset], '\n') + 1
	line, _, _ := strings.Cut(text[start:], "\n")
	prefix := fmt.Sprintf("LINE %d: ", strings.Count(text[:offset], "\n")+1)
	mark := strings.Repeat(" ", len(prefix)+len([]rune(text[start:offset]))) + "^"
	return &Error{Message: message + "\n\n" + prefix + line + "\n" + mark}
}

func noStatement() *Error {
	return &Error{Message: "The query has no statement.\nWrite a SELECT."}
}

func notOneSelect() *Error {
	return &Error{Message: "The query must be one SELECT statement.\nA stage reads its inputs and produces one dataset. " +
		"Use one stage for each statement, or WITH for intermediate results within one statement."}
}

var unknownTable = regexp.MustCompile(`(?:Catalog Error: )?Table with name (.*) does not exist!(\nDid you mean .*\?)?`)

// suggestInput replaces the tables that DuckDB suggests, which are its own,
// with the inputs that were probably meant.
func suggestInput(message string, inputs []Table) string {
	at := unknownTable.FindStringSubmatchIndex(message)
	if at == nil {
		return message
	}
	given := message[at[2]:at[3]]
	names := make([]string, len(inputs))
	best, hint := 3, ""
	for i, in := range inputs {
		names[i] = in.Name
		if d := levenshtein.Distance(strings.ToLower(given), strings.ToLower(in.Name), nil); d < best {
			best, hint = d, fmt.Sprintf("Did you mean %q?\n", in.Name)
		}
	}
	return message[:at[0]] + fmt.Sprintf("No input is named %s.\n%sThe inputs are: %s.", given, hint, strings.Join(names, ", ")) + message[at[1]:]
}

var quotedName = regexp.MustCompile(`"([^"]+)"`)

// namedTwins reports whether DuckDB does not find a column because others
// differ from it only in case.
func namedTwins(message string, inputs []Table) *Error {
	first, _, _ := strings.Cut(message, "\n")
	if !strings.HasPrefix(first, "Binder Error") {
		return nil
	}
	for _, name := range quotedName.FindAllStringSubmatch(first, -1) {
		for i := range inputs {
			if err := inputs[i].twins(name[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

var candidates = regexp.MustCompile(`(?m)^\t.*\n`)

// mostCandidates is the maximum number of functions that DuckDB suggests in a
// message.
const mostCandidates = 6

const outOfMemory = "Out of Memory Error"

// readable removes the parts of DuckDB's messages that nobody reads, such as
// the fiftieth signature of a function or trailing blank lines. It indents
// lines with a layout.
func readable(message string) string {
	n := 0
	message = candidates.ReplaceAllStringFunc(message, func(line string) string {
		if n++; n > mostCandidates+1 { // the first line is their heading
			return ""
		}
		return line
	})
	if left := n - mostCandidates - 1; left > 0 {
		message = strings.Replace(message, "\n\n\nLINE ", fmt.Sprintf("\n\t… and %d more\n\nLINE ", left), 1)
	}
	if strings.HasPrefix(message, outOfMemory) {
		message, _, _ = strings.Cut(message, "\n\nPossible solutions:")
		message += "\n\nRaise memory_limit, or remove it to use most of the machine's memory."
	}
	return indentLine(strings.TrimRight(message, "\n "))
}

// indentLine indents the line of the query and the mark below it, so that
// whoever shows the message does not wrap them. It removes them if they show
// quern's own query of the result.
func indentLine(message string) string {
	at := strings.LastIndex(message, "\nLINE ")
	if at < 0 {
		return message
	}
	if strings.Contains(message[at:], resultView) {
		return strings.TrimRight(message[:at], "\n")
	}
	return message[:at] + strings.ReplaceAll(message[at:], "\n", "\n  ")
}
