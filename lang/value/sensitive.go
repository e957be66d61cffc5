package value

import (
	"github.com/zclconf/go-cty/cty"
)

// Sensitive is the cty mark of values that come from a sensitive variable.
// Whatever is computed from such a value carries the mark, too.
type Sensitive struct{ Variable string }

// IsSensitive reports whether the value or any part of it is marked sensitive.
func IsSensitive(v cty.Value) bool {
	if v == cty.NilVal || !v.ContainsMarked() {
		return false
	}
	_, marks := v.UnmarkDeep()
	return HasSensitive(marks)
}

// HasSensitive reports whether one of the marks is that of a sensitive variable.
func HasSensitive(marks cty.ValueMarks) bool {
	for m := range marks {
		if _, ok := m.(Sensitive); ok {
			return true
		}
	}
	return false
}

// Redacted is shown in place of a sensitive value.
const Redacted = "(sensitive value)"
