package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

const (
	// shortestText: redacting a shorter text would remove ordinary words from
	// messages, so a shorter text is a secret only in quotes.
	shortestText = 4
	// shortestForm is the same limit for encoded forms, and for parts of a
	// text.
	shortestForm = 8
	// longest is how much of a text is searched for.
	longest = 64 << 10
	// deepest is how many levels of JSON in JSON are searched.
	deepest = 3
)

// parts returns the text and its parts: its lines, and the strings in it if it
// is JSON, such as the key file of a service account.
func parts(text string) []string {
	text = text[:min(len(text), longest)]
	all := []string{text}
	if trimmed := strings.TrimSpace(text); trimmed != text {
		all = append(all, trimmed)
	}
	if strings.Contains(text, "\n") {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); len(line) >= shortestForm {
				all = append(all, line)
			}
		}
	}
	var structured any
	if strings.ContainsAny(text[:1], "{[ \t\n") && json.Unmarshal([]byte(text), &structured) == nil {
		all = append(all, leaves(structured)...)
	}
	return all
}

func leaves(v any) (all []string) {
	switch v := v.(type) {
	case string:
		if len(v) >= shortestForm {
			all = append(all, v)
		}
	case []any:
		for _, e := range v {
			all = append(all, leaves(e)...)
		}
	case map[string]any:
		for _, e := range v {
			all = append(all, leaves(e)...)
		}
	}
	return all
}

// forms returns the encodings in which programs quote a text.
func forms(text string) []string {
	if len(text) < shortestText {
		var quoted []string
		for _, quote := range []string{`"`, `'`, "`"} {
			quoted = append(quoted, quote+text+quote)
		}
		return quoted
	}
	all := []string{text}
	add := func(form string) {
		if len(form) >= min(shortestForm, len(text)) && !slices.Contains(all, form) {
			all = append(all, form)
		}
	}
	for _, escaped := range append(inJSON(text, deepest),
		inner(strconv.Quote(text)), inner(strconv.QuoteToASCII(text)),
		inner(string(hclwrite.TokensForValue(verbatim.Text(text)).Bytes())),
		url.QueryEscape(text), url.PathEscape(text), strings.ReplaceAll(url.QueryEscape(text), "+", "%20"),
		strings.ReplaceAll(text, "'", "''"), strings.ReplaceAll(text, `"`, `""`),
		hex.EncodeToString([]byte(text)),
	) {
		add(escaped)
	}
	for _, encoded := range inBase64(text) {
		if len(encoded) >= shortestForm-2 {
			add(encoded)
		}
	}
	return all
}

// inJSON returns the forms of a text in JSON, in JSON in JSON, and so on, up to
// a depth: endpoints quote requests, which contain JSON, in answers, which are
// stored as JSON. Some programs escape characters that have a meaning in HTML,
// and some do not.
func inJSON(text string, depth int) (all []string) {
	if depth == 0 {
		return nil
	}
	for _, escapeHTML := range []bool{true, false} {
		if escaped := asJSON(text, escapeHTML); escaped != text && !slices.Contains(all, escaped) {
			all = append(all, escaped)
			all = append(all, inJSON(escaped, depth-1)...)
		}
	}
	return all
}

func asJSON(text string, escapeHTML bool) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(escapeHTML)
	if enc.Encode(text) != nil {
		return text
	}
	return inner(strings.TrimSuffix(b.String(), "\n"))
}

// inner returns a quoted text without its quotes.
func inner(quoted string) string {
	if len(quoted) < 2 {
		return quoted
	}
	return quoted[1 : len(quoted)-1]
}

// inBase64 returns the characters that a text becomes in Base64 for each
// alignment in the encoded bytes, without those at its ends, which also depend
// on its neighbors.
func inBase64(text string) []string {
	var all []string
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			encoded := enc.EncodeToString([]byte(strings.Repeat("\x00", before) + text))
			from := (before*8 + 5) / 6
			to := (before + len(text)) * 8 / 6
			if from < to && to <= len(encoded) {
				all = append(all, encoded[from:to])
			}
		}
	}
	return all
}
