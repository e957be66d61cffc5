package wellformed

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// IsXML reports whether a text is a well-formed XML document with all required
// elements, each given by its path from the root: "order.item".
func IsXML(text string, required ...string) bool {
	found, read, err := element(text, required)
	return err == nil && len(found) == len(set(required)) && blank(text[read:])
}

// ContainsXML reports whether a text contains a well-formed XML element with
// all required elements in it.
func ContainsXML(text string, required ...string) bool {
	places := func(from int) int {
		if i := strings.IndexByte(text[from:], '<'); i >= 0 {
			return from + i
		}
		return -1
	}
	return search(text, places, func(rest string) (bool, int) {
		found, read, err := element(rest, required)
		return err == nil && len(found) == len(set(required)), read
	})
}

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

var (
	errOutside  = errors.New("text outside the root element")
	errRepeated = errors.New("an attribute appears twice")
)

// element reads an XML element and whatever may precede it. It returns which of
// the required elements are in it, and how many bytes it has read.
func element(text string, required []string) (found map[string]bool, read int, err error) {
	wanted, deepest := set(required), 0
	for _, path := range required {
		deepest = max(deepest, 1+strings.Count(path, "."))
	}
	found = map[string]bool{}
	d := xml.NewDecoder(strings.NewReader(text))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var path []string // no deeper than the deepest required element
	depth := 0
	for {
		token, err := d.Token()
		if err != nil {
			return nil, int(d.InputOffset()), err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if repeats(token.Attr) {
				return nil, int(d.InputOffset()), errRepeated
			}
			if depth++; depth <= deepest {
				path = append(path, token.Name.Local)
				if at := strings.Join(path, "."); wanted[at] {
					found[at] = true
				}
			}
		case xml.EndElement:
			if depth--; depth < len(path) {
				path = path[:depth]
			}
			if depth == 0 {
				return found, int(d.InputOffset()), nil
			}
		case xml.CharData:
			if depth == 0 && !blank(string(token)) {
				return nil, int(d.InputOffset()), errOutside
			}
		}
	}
}

func repeats(attrs []xml.Attr) bool {
	seen := map[xml.Name]bool{}
	for _, a := range attrs {
		if seen[a.Name] {
			return true
		}
		seen[a.Name] = true
	}
	return false
}

// blank reports whether only white space and comments are left.
func blank(rest string) bool {
	for {
		rest = strings.TrimSpace(rest)
		comment, ok := strings.CutPrefix(rest, "<!--")
		if !ok {
			return rest == ""
		}
		_, after, closed := strings.Cut(comment, "-->")
		if !closed {
			return false
		}
		rest = after
	}
}
