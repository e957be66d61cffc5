package python

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// specifier is a clause of a version constraint, as in requires-python.
type specifier struct {
	operator string
	numbers  []int
	// wildcard is set for 3.11.*.
	wildcard bool
}

var clause = regexp.MustCompile(`^(~=|==|!=|<=|>=|<|>)\s*(\d+(?:\.\d+)*)(\.\*)?$`)

func parseSpecifiers(text string) ([]specifier, error) {
	var out []specifier
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		m := clause.FindStringSubmatch(part)
		if m == nil || m[3] != "" && m[1] != "==" && m[1] != "!=" || m[1] == "~=" && !strings.Contains(m[2], ".") {
			return nil, fmt.Errorf("%q is not a constraint such as >=3.10", part)
		}
		out = append(out, specifier{m[1], numbersOf(m[2]), m[3] != ""})
	}
	return out, nil
}

func numbersOf(text string) []int {
	var out []int
	for n := range strings.SplitSeq(text, ".") {
		v, _ := strconv.Atoi(n) // digits; a number that is too large is above all versions of Python
		out = append(out, v)
	}
	return out
}

// allows reports whether a version of Python satisfies a constraint.
func allows(constraint, version string) bool {
	specifiers, err := parseSpecifiers(constraint)
	if err != nil {
		return false
	}
	v := numbersOf(version)
	return !slices.ContainsFunc(specifiers, func(s specifier) bool { return !s.allows(v) })
}

func (s specifier) allows(v []int) bool {
	compared := slices.Compare(padded(v, len(s.numbers)), padded(s.numbers, len(v)))
	switch s.operator {
	case "==":
		return compared == 0 || s.wildcard && hasPrefix(v, s.numbers)
	case "!=":
		return compared != 0 && !(s.wildcard && hasPrefix(v, s.numbers))
	case "<=":
		return compared <= 0
	case ">=":
		return compared >= 0
	case "<":
		return compared < 0
	case ">":
		return compared > 0
	}
	return compared >= 0 && hasPrefix(v, s.numbers[:len(s.numbers)-1]) // ~=
}

func padded(v []int, length int) []int {
	return append(slices.Clone(v), make([]int, max(0, length-len(v)))...)
}

func hasPrefix(v, prefix []int) bool {
	return slices.Equal(padded(v, len(prefix))[:len(prefix)], prefix)
}
