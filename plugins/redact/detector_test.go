package redact

import (
	"testing"
)

type detectorOptions struct {
	kinds, regions []string
	bare           bool
}

// newDetector returns a detector for kinds; by default, for all of them.
func newDetector(t testing.TB, o detectorOptions) *detector {
	t.Helper()
	a := &args{Kinds: o.kinds, Regions: o.regions, Bare: o.bare, Action: actionMask}
	if err := (redaction{}).Open(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a.replacer.detector
}
