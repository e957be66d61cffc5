package data

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// maxDepth limits the nesting of types, so that a type from outside cannot
// exhaust the stack.
const maxDepth = 32

var scalars = map[string]arrow.DataType{
	"string":    arrow.BinaryTypes.String,
	"int64":     arrow.PrimitiveTypes.Int64,
	"float64":   arrow.PrimitiveTypes.Float64,
	"bool":      arrow.FixedWidthTypes.Boolean,
	"binary":    arrow.BinaryTypes.Binary,
	"date":      arrow.FixedWidthTypes.Date32,
	"timestamp": &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"},
}

// Countable reports whether quern can count the values of columns of a type, or
// the elements of its lists: they are string, bool, or int64.
func Countable(name string) bool {
	switch strings.TrimSuffix(strings.TrimPrefix(name, "list<"), ">") {
	case "string", "bool", "int64":
		return true
	}
	return false
}

// ArrowType returns the Arrow type of a column type. Dates are days since 1970,
// timestamps are microseconds since 1970 in UTC. In a struct, field names with
// characters other than letters, digits, _ and - are written in double quotes.
func ArrowType(name string) (arrow.DataType, error) {
	p := typeParser{text: name}
	t, err := p.parse(0)
	if err == nil && p.rest() != "" {
		err = fmt.Errorf("%q is left over", p.rest())
	}
	if err != nil {
		return nil, fmt.Errorf("column type %q: %w", name, err)
	}
	return t, nil
}

// TypeName returns the column type of an Arrow type. It accepts exactly the
// types that ArrowType returns.
func TypeName(t arrow.DataType) (string, error) {
	for name, s := range scalars {
		if arrow.TypeEqual(t, s) {
			return name, nil
		}
	}
	switch t := t.(type) {
	case *arrow.ListType:
		elem, err := TypeName(t.Elem())
		if err != nil {
			return "", err
		}
		return "list<" + elem + ">", nil
	case *arrow.StructType:
		return structName(t)
	}
	return "", fmt.Errorf("Arrow type %s is not supported; it must be string, int64, float64, bool, binary, date, timestamp, list, or struct", t)
}

func structName(t *arrow.StructType) (string, error) {
	parts := make([]string, t.NumFields())
	for i, f := range t.Fields() {
		name, err := TypeName(f.Type)
		if err != nil {
			return "", fmt.Errorf("field %q: %w", f.Name, err)
		}
		parts[i] = quoteField(f.Name) + ":" + name
	}
	return "struct<" + strings.Join(parts, ",") + ">", nil
}

func quoteField(name string) string {
	if name == "" || strings.IndexFunc(name, func(r rune) bool { return !isWord(r) }) >= 0 {
		return strconv.Quote(name)
	}
	return name
}

func isWord(r rune) bool {
	return r == '_' || r == '-' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

type typeParser struct {
	text string
	pos  int
}

func (p *typeParser) rest() string { return p.text[p.pos:] }

func (p *typeParser) take(s string) bool {
	if strings.HasPrefix(p.rest(), s) {
		p.pos += len(s)
		return true
	}
	return false
}

func (p *typeParser) word() string {
	start := p.pos
	for p.pos < len(p.text) && isWord(rune(p.text[p.pos])) {
		p.pos++
	}
	return p.text[start:p.pos]
}

func (p *typeParser) parse(depth int) (arrow.DataType, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	word := p.word()
	if t, ok := scalars[word]; ok {
		return t, nil
	}
	switch {
	case word == "list" && p.take("<"):
		return p.list(depth)
	case word == "struct" && p.take("<"):
		return p.structure(depth)
	}
	return nil, fmt.Errorf("%q is not a type; use string, int64, float64, bool, binary, date, timestamp, list<T>, or struct<name:T,...>", word)
}

func (p *typeParser) list(depth int) (arrow.DataType, error) {
	elem, err := p.parse(depth + 1)
	if err != nil {
		return nil, err
	}
	if !p.take(">") {
		return nil, fmt.Errorf("a list does not end with >")
	}
	return arrow.ListOf(elem), nil
}

func (p *typeParser) structure(depth int) (arrow.DataType, error) {
	var fields []arrow.Field
	seen := map[string]bool{}
	for {
		name, err := p.fieldName()
		if err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, fmt.Errorf("two fields are named %q", name)
		}
		seen[name] = true
		if !p.take(":") {
			return nil, fmt.Errorf("field %q has no : and type", name)
		}
		t, err := p.parse(depth + 1)
		if err != nil {
			return nil, err
		}
		fields = append(fields, arrow.Field{Name: name, Type: t, Nullable: true})
		if p.take(">") {
			return arrow.StructOf(fields...), nil
		}
		if !p.take(",") {
			return nil, fmt.Errorf("a struct does not end with >")
		}
	}
}

func (p *typeParser) fieldName() (string, error) {
	if !strings.HasPrefix(p.rest(), `"`) {
		if w := p.word(); w != "" {
			return w, nil
		}
		return "", fmt.Errorf("a struct's field has no name")
	}
	quoted, err := strconv.QuotedPrefix(p.rest())
	if err != nil {
		return "", fmt.Errorf("a quoted field name does not end with a quote")
	}
	p.pos += len(quoted)
	return strconv.Unquote(quoted)
}
