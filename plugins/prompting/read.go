package prompting

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Labelers, judges, and evaluations parse answers by the same rules, which
// docs/models.md describes. Reasoning has been removed by then.

// Unfence removes the fence of a code block if it is the whole answer. Models
// write JSON in a code block even if they are asked not to.
func Unfence(text string) string {
	text = strings.TrimSpace(text)
	inner, ok := strings.CutPrefix(text, "```")
	if !ok {
		return text
	}
	inner, ok = strings.CutSuffix(inner, "```")
	if first, rest, found := strings.Cut(inner, "\n"); ok && found && !strings.Contains(rest, "```") && !strings.ContainsAny(strings.TrimSpace(first), " {[\"") {
		return strings.TrimSpace(rest)
	}
	return text
}

// Bare removes what models put around a word: a fence, quotes, emphasis, and a
// period at the end.
func Bare(text string) string { return strings.Trim(Unfence(text), "\"'`*.。 \t\r\n") }

// notJSON is the error of an answer that contains no JSON object.
type notJSON struct{ error }

// IsBare reports whether an error of Decode or Object says that an answer
// contains no JSON object. It may then be a bare word.
func IsBare(err error) bool {
	var not *notJSON
	return errors.As(err, &not)
}

// Object returns the JSON object that an answer is, or the only one that its
// prose contains. It refuses two different objects, because it is unclear which
// one counts.
func Object(text string) (json.RawMessage, error) {
	text = Unfence(text)
	if strings.HasPrefix(text, "{") && json.Valid([]byte(text)) {
		return json.RawMessage(text), nil
	}
	found, err := objects(text)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, &notJSON{errors.New("it is not the JSON that was asked for")}
	case len(found) > 1:
		return nil, errors.New("it has two different JSON objects")
	}
	return found[0], nil
}

// mostBraces is the maximum number of places in an answer where an object is
// looked for.
const mostBraces = 1000

// objects returns the different JSON objects in a text, without those nested in
// others.
func objects(text string) (found []json.RawMessage, err error) {
	var first any
	for range mostBraces {
		at := strings.IndexByte(text, '{')
		if at < 0 {
			return found, nil
		}
		text = text[at:]
		d := json.NewDecoder(strings.NewReader(text))
		var raw json.RawMessage
		err := d.Decode(&raw)
		if err != nil {
			if !strings.Contains(text[1:], "}") {
				return nil, &notJSON{fmt.Errorf("it is not the JSON that was asked for: %w", err)}
			}
			text = text[1:]
			continue
		}
		text = text[d.InputOffset():]
		var v any
		exact := json.NewDecoder(bytes.NewReader(raw))
		exact.UseNumber()
		if err := exact.Decode(&v); err != nil {
			return nil, err
		}
		switch {
		case len(found) == 0:
			found, first = append(found, bytes.TrimSpace(raw)), v
		case !equal(first, v):
			return append(found, raw), nil
		}
	}
	return nil, errors.New("it has too many braces to find the JSON in it")
}

func equal(a, b any) bool {
	x, err := json.Marshal(a)
	if err != nil {
		return false
	}
	y, err := json.Marshal(b)
	return err == nil && bytes.Equal(x, y)
}

// Decode parses an answer that is JSON of a certain form.
func Decode(text string, into any) error {
	raw, err := Object(text)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("it is not the JSON that was asked for: %w", err)
	}
	return nil
}
