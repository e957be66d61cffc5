package files

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// parsed is a value on its way into a column.
type parsed struct {
	null bool
	text []byte
	i    int64 // of int64, date (days) and timestamp (microseconds)
	f    float64
	b    bool
	// deep is a list or struct, decoded from JSON.
	deep any
}

// parseText reads a value of a scalar column type as text files write it.
func parseText(typ string, text []byte) (parsed, error) {
	if typ == "string" {
		return parsed{text: text}, nil
	}
	s := string(bytes.TrimSpace(text))
	switch typ {
	case "int64":
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return parsed{i: i}, nil
		}
		// As other tools write whole numbers of columns with gaps.
		if whole, ok := strings.CutSuffix(s, ".0"); ok {
			if i, err := strconv.ParseInt(whole, 10, 64); err == nil {
				return parsed{i: i}, nil
			}
		}
	case "float64":
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return parsed{f: f}, nil
		}
	case "bool":
		if b, ok := truth(s); ok {
			return parsed{b: b}, nil
		}
	case "date":
		if t, err := time.Parse(time.DateOnly, s); err == nil {
			return parsed{i: int64(arrow.Date32FromTime(t))}, nil
		}
	case "timestamp":
		if t, ok := moment(s); ok {
			return parsed{i: t.UnixMicro()}, nil
		}
	}
	return parsed{}, fmt.Errorf("%q is no %s", head(text, 60), typ)
}

func truth(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true", "t", "yes", "1":
		return true, true
	case "false", "f", "no", "0":
		return false, true
	}
	return false, false
}

// momentLayouts are ISO 8601 in its common spellings. Seconds may have a
// fraction; without a zone the time is UTC.
var momentLayouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05",
	"2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05-07",
	"2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly,
}

func moment(s string) (time.Time, bool) {
	if len(s) < len(time.DateOnly) || s[4] != '-' {
		return time.Time{}, false
	}
	for _, layout := range momentLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// guess narrows down what type a column of texts has, value by value.
type guess struct {
	seen bool
	// not holds the types that a value has ruled out.
	not map[string]bool
}

// guessed are the types that are guessed, in the order of preference. Every
// value of an earlier one is a value of a later one that it can turn into:
// int64 into float64, date into timestamp.
var guessed = []string{"int64", "float64", "bool", "date", "timestamp"}

func (g *guess) add(text []byte) {
	if !g.seen {
		g.seen, g.not = true, map[string]bool{}
	}
	s := string(bytes.TrimSpace(text))
	for _, typ := range guessed {
		if !g.not[typ] && !looksLike(typ, s) {
			g.not[typ] = true
		}
	}
}

func (g *guess) typ() string {
	if g.seen {
		for _, typ := range guessed {
			if !g.not[typ] {
				return typ
			}
		}
	}
	return "string"
}

// looksLike is stricter than parseText: a guess must not lose what a text
// says. So "007" and "+49123" are no numbers, whole numbers that int64 can't
// hold are none either, and "yes" and "1" are no truth values.
func looksLike(typ, s string) bool {
	switch typ {
	case "int64":
		if !plainNumber(s) {
			return false
		}
		_, err := strconv.ParseInt(s, 10, 64)
		return err == nil
	case "float64":
		if !plainNumber(s) {
			return false
		}
		f, err := strconv.ParseFloat(s, 64)
		return err == nil && (strings.ContainsAny(s, ".eE") || math.Abs(f) < 1<<53)
	case "bool":
		return s == "true" || s == "false" || s == "True" || s == "False" || s == "TRUE" || s == "FALSE"
	case "date":
		_, err := time.Parse(time.DateOnly, s)
		return err == nil
	case "timestamp":
		_, ok := moment(s)
		return ok
	}
	return false
}

// plainNumber says whether a text is written as numbers are: digits, perhaps
// with a minus before them, and no zero before other digits.
func plainNumber(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || digits[0] != '.' && (digits[0] < '0' || digits[0] > '9') {
		return false
	}
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return false
	}
	return strings.IndexFunc(digits, func(r rune) bool { return !strings.ContainsRune("0123456789.eE+-", r) }) < 0
}
