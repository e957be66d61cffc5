// Package secret keeps the values of sensitive variables out of text.
//
// There are two layers. Explain works on the errors of an evaluation: it
// replaces a detail that depends on a sensitive value, however it was derived
// from the value. A Redactor works on text from elsewhere, such as the error of
// a plugin or of a model provider: it finds the values themselves, completely
// or in part, in the encodings in which programs quote them.
package secret

import (
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/value"
)

// Redactor replaces secrets in text. The zero value and nil know no secrets. It
// is safe for concurrent use.
type Redactor struct {
	mu    sync.RWMutex
	known map[string]bool
	// windows are the sequences of bytes to search for, by length, in lower
	// case: a short form completely, and each window of a long one.
	windows map[int]map[string]struct{}
	// whole are the forms in full.
	whole []string
}

// New returns a Redactor for the values.
func New(values ...cty.Value) *Redactor {
	r := &Redactor{}
	r.Add(values...)
	return r
}

// Add registers the strings and numbers in the values, at any depth. Names of
// attributes, keys of maps, bools, and nulls are not secrets by themselves.
func (r *Redactor) Add(values ...cty.Value) {
	for _, v := range values {
		if v == cty.NilVal {
			continue
		}
		v, _ = v.UnmarkDeep()
		_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
			if !v.IsKnown() || v.IsNull() {
				return false, nil
			}
			switch v.Type() {
			case cty.String:
				r.AddText(v.AsString())
			case cty.Number:
				r.AddText(v.AsBigFloat().Text('f', -1))
			}
			return true, nil
		})
	}
}

// AddText registers a text.
func (r *Redactor) AddText(text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, part := range parts(text) {
		r.add(part)
	}
}

func (r *Redactor) add(text string) {
	if r.known[text] {
		return
	}
	if r.known == nil {
		r.known, r.windows = map[string]bool{}, map[int]map[string]struct{}{}
	}
	r.known[text] = true
	for _, f := range forms(text) {
		r.whole = append(r.whole, f)
		f = lower(f)
		size := window(len(f))
		set := r.windows[size]
		if set == nil {
			set = map[string]struct{}{}
			r.windows[size] = set
		}
		for i := 0; i+size <= len(f); i++ {
			set[f[i:i+size]] = struct{}{}
		}
	}
}

// window returns how many consecutive bytes reveal a form: a third of it, at
// least 8 and at most 16, so that a truncated quote is found, too. A form of
// fewer than 8 bytes must occur completely.
func window(length int) int {
	const least, most = 8, 16
	if length <= least {
		return length
	}
	return min(max((length+2)/3, least), most)
}

// Text returns the text with "(sensitive value)" in place of each secret.
func (r *Redactor) Text(text string) string {
	found := r.find(text)
	if found == nil {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		if !found[i] {
			b.WriteByte(text[i])
			i++
			continue
		}
		b.WriteString(value.Redacted)
		for i < len(text) && found[i] {
			i++
		}
	}
	return b.String()
}

// find marks the bytes of a text that belong to a secret. It returns nil if
// there are none.
func (r *Redactor) find(text string) []bool {
	if r == nil {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.windows) == 0 {
		return nil
	}
	var found []bool
	folded := lower(text)
	for size, set := range r.windows {
		for i := 0; i+size <= len(folded); i++ {
			if _, ok := set[folded[i:i+size]]; !ok {
				continue
			}
			if found == nil {
				found = make([]bool, len(text))
			}
			for j := i; j < i+size; j++ {
				found[j] = true
			}
		}
	}
	return found
}

// In reports whether the text contains a secret in full, in one of its forms.
func (r *Redactor) In(text string) bool {
	if r == nil {
		return false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, f := range r.whole {
		if strings.Contains(text, f) {
			return true
		}
	}
	return false
}

// Answer is Text for data, such as a model's answer, which must not lose
// more than necessary: only secrets of at least 8 bytes are replaced, and only
// if they occur in full.
func (r *Redactor) Answer(text string) string {
	if r == nil {
		return text
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, f := range r.whole {
		if len(f) >= shortestForm {
			text = strings.ReplaceAll(text, f, value.Redacted)
		}
	}
	return text
}

// Empty reports whether no secret is known.
func (r *Redactor) Empty() bool {
	if r == nil {
		return true
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.whole) == 0
}

// Value returns a value with the strings in it redacted, and whether that
// changed any.
func (r *Redactor) Value(v cty.Value) (cty.Value, bool) {
	if r.Empty() || v == cty.NilVal {
		return v, false
	}
	changed := false
	out, err := cty.Transform(v, func(_ cty.Path, v cty.Value) (cty.Value, error) {
		if v.Type() != cty.String || !v.IsKnown() || v.IsNull() {
			return v, nil
		}
		text, marks := v.Unmark()
		if redacted := r.Text(text.AsString()); redacted != text.AsString() {
			changed = true
			return cty.StringVal(redacted).WithMarks(marks), nil
		}
		return v, nil
	})
	if err != nil { // Transform returns only errors of the function, which has none
		return v, false
	}
	return out, changed
}

// Diagnostics returns the diagnostics without secrets in their texts. Those
// given are not changed.
func (r *Redactor) Diagnostics(diags hcl.Diagnostics) hcl.Diagnostics {
	if r.Empty() || len(diags) == 0 {
		return diags
	}
	out := make(hcl.Diagnostics, len(diags))
	for i, d := range diags {
		out[i] = d
		summary, detail := r.Text(d.Summary), r.Text(d.Detail)
		if summary != d.Summary || detail != d.Detail {
			redacted := *d
			redacted.Summary, redacted.Detail = summary, detail
			out[i] = &redacted
		}
	}
	return out
}

// Error returns an error whose text contains no secrets.
func (r *Redactor) Error(err error) error {
	if err == nil || r.Empty() || r.find(err.Error()) == nil {
		return err
	}
	return &redactedError{err, r}
}

type redactedError struct {
	err error
	r   *Redactor
}

func (e *redactedError) Error() string { return e.r.Text(e.err.Error()) }
func (e *redactedError) Unwrap() error { return e.err }

// lower is strings.ToLower for ASCII only, so that no byte moves.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
