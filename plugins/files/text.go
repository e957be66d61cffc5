package files

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// parsed is a parsed value of a column.
type parsed struct {
	null bool
	text []byte
	i    int64 // for int64, date (days), and timestamp (microseconds)
	f    float64
	b    bool
	// deep is a list or struct that was decoded from JSON.
	deep any
}

// parseText parses a value of a scalar column type as written in text files.
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
		// Other tools write whole numbers like this in columns with gaps.
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
	return parsed{}, fmt.Errorf("%q is not a valid %s", head(text, 60), typ)
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

// momentLayouts contains the common formats of ISO 8601. Seconds can have a
// fraction. Without a zone, the time is UTC.
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
		// A column stores microseconds.
		if t, err := time.Parse(layout, s); err == nil {
			return t, t.Nanosecond()%1000 == 0
		}
	}
	return time.Time{}, false
}

// guess infers the type of a column of texts, value by value.
type guess struct {
	seen bool
	// number says that one of the values is a number other than NaN or
	// infinity.
	number bool
	// not says which of the guessed types have been ruled out.
	not [len(guessed)]bool
}

// guessed contains the types that are inferred, in the order of preference. A
// value of a type is also a value of the later types that it can widen to:
// int64 to float64, and date to timestamp.
var guessed = [...]string{"int64", "float64", "bool", "date", "timestamp"}

func (g *guess) add(text []byte) {
	g.seen = true
	s := string(bytes.TrimSpace(text))
	g.number = g.number || plainNumber(s)
	for i, typ := range guessed {
		g.not[i] = g.not[i] || !looksLike(typ, s)
	}
}

func (g *guess) typ() string {
	for i, typ := range guessed {
		if g.seen && !g.not[i] && (typ != "float64" || g.number) {
			return typ
		}
	}
	return "string"
}

// looksLike is stricter than parseText, because inference must not lose
// information. So "007" and "+49123" are not numbers, nor are numbers with more
// digits than int64 or float64 can represent, and "yes" and "1" are not bools.
func looksLike(typ, s string) bool {
	switch typ {
	case "int64":
		if !plainNumber(s) || s == "-0" {
			return false
		}
		_, err := strconv.ParseInt(s, 10, 64)
		return err == nil
	case "float64":
		if nonFinite[s] {
			return true
		}
		if !plainNumber(s) {
			return false
		}
		f, err := strconv.ParseFloat(s, 64)
		return err == nil && holdsDigits(s, f)
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

// nonFinite contains the formats in which Python, NumPy, polars, and others
// write numbers that are not finite.
var nonFinite = map[string]bool{
	"NaN": true, "nan": true, "inf": true, "-inf": true, "Inf": true, "-Inf": true,
	"Infinity": true, "-Infinity": true, "infinity": true, "-infinity": true,
}

// holdsDigits reports whether formatting f, the float64 that s was parsed as,
// with as many digits gives s again. This is true for any number of up to 15
// digits, and for any number that a program formatted from a float64. It is
// false for identifiers and amounts with more digits than a float64 has.
func holdsDigits(s string, f float64) bool {
	if len(s) <= 15 && f != 0 {
		return true
	}
	mantissa, exponent := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, exponent = s[:i], s[i:]
	}
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(mantissa, "-"), ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if f == 0 {
		return digits == ""
	}
	if len(digits) <= 15 {
		return true
	}
	if exponent == "" {
		return sameDigits(strconv.FormatFloat(f, 'f', len(fraction), 64), digits)
	}
	return sameDigits(strconv.FormatFloat(f, 'e', len(digits)-1, 64), digits)
}

// sameDigits compares the digits of a number with others.
func sameDigits(number, digits string) bool {
	if i := strings.IndexByte(number, 'e'); i >= 0 {
		number = number[:i]
	}
	number = strings.TrimLeft(strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number), "0")
	return number == digits
}

// plainNumber reports whether a text is a plain number: digits without leading
// zeros, perhaps with a minus sign.
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
