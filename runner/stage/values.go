package stage

import (
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/runner/failure"
)

// maxValue bounds a stage's values, in bytes of JSON. They are part of the
// state, which every command reads completely. A table belongs in a dataset.
const maxValue = 4 << 20

// Bounded refuses values that are too large for the state.
func (s *Stage) Bounded(v cty.Value) error {
	if v == cty.NilVal {
		return nil
	}
	size := jsonSize(v)
	if size <= maxValue {
		return nil
	}
	path, largest := largestMember(v, size)
	return failure.Errorf(s.Range.Ptr(), "Values are too large",
		"The values of %s take %.1f MiB as JSON, but at most %d MiB are allowed. The largest member is %s, with %.1f MiB. Values are for figures that expressions read. A plugin should write a large table to a dataset output: tell the author of plugin %q, or give the stage less data.",
		s.Address, mebibytes(size), maxValue>>20, path, mebibytes(largest), s.Plugin)
}

func mebibytes(size int) float64 { return float64(size) / (1 << 20) }

func jsonSize(v cty.Value) int {
	text, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return 0 // a capsule, which is refused when it is stored
	}
	return len(text)
}

// largestMember descends into the value as long as one member makes up most of
// it.
func largestMember(v cty.Value, size int) (path string, largest int) {
	for {
		name, member, n := largestIn(v)
		if member == cty.NilVal || path != "" && 2*n <= size {
			return strings.TrimPrefix(path, "."), size
		}
		path, v, size = path+name, member, n
	}
}

// largestIn returns the largest part of a value and how expressions refer to
// it, or NilVal if it has no parts.
func largestIn(v cty.Value) (name string, member cty.Value, size int) {
	if v.IsNull() || !v.CanIterateElements() {
		return "", cty.NilVal, 0
	}
	for it := v.ElementIterator(); it.Next(); {
		key, part := it.Element()
		if n := jsonSize(part); n > size {
			name, member, size = "["+value.Format(key)+"]", part, n
			if v.Type().IsObjectType() {
				name = "." + key.AsString()
			}
		}
	}
	return name, member, size
}
