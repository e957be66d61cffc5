package diag

import (
	"cmp"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// Sort puts diagnostics in the order in which people read their files:
// those without a place first, then by file name and position. It keeps the
// order of diagnostics at the same place.
func Sort(diags hcl.Diagnostics) {
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int {
		switch {
		case a.Subject == nil && b.Subject == nil:
			return 0
		case a.Subject == nil:
			return -1
		case b.Subject == nil:
			return 1
		}
		return cmp.Or(
			cmp.Compare(a.Subject.Filename, b.Subject.Filename),
			cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte),
		)
	})
}

// Unique drops diagnostics that say the same about the same place as one
// before them.
func Unique(diags hcl.Diagnostics) hcl.Diagnostics {
	type key struct {
		subject         hcl.Range
		summary, detail string
	}
	seen := map[key]bool{}
	var unique hcl.Diagnostics
	for _, d := range diags {
		k := key{summary: d.Summary, detail: d.Detail}
		if d.Subject != nil {
			k.subject = *d.Subject
		}
		if !seen[k] {
			seen[k] = true
			unique = append(unique, d)
		}
	}
	return unique
}

// Merge appends to the diagnostics of one phase those of a later phase that
// ran despite them. If the first phase found an error at a place, what the later
// one says about that place is dropped: it is the same mistake, found
// with less information.
func Merge(former, later hcl.Diagnostics) hcl.Diagnostics {
	merged := slices.Clone(former)
	for _, d := range later {
		if d.Subject == nil || !slices.ContainsFunc(former, func(f *hcl.Diagnostic) bool { return covers(f, d) }) {
			merged = append(merged, d)
		}
	}
	Sort(merged)
	return merged
}

func covers(f, d *hcl.Diagnostic) bool {
	return f.Severity == hcl.DiagError && f.Subject != nil &&
		f.Subject.Filename == d.Subject.Filename && f.Subject.Overlaps(*d.Subject)
}
