package files

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// mixture says that the values of a key have no common type, so that it becomes
// a string column.
type mixture struct {
	path  string // "messages[].content"
	kinds string // "text and lists"
	where string // the first row that shows it, such as "a.jsonl:7"
}

// warning returns the warning about it. key is the key of the column, and
// column its type.
func (m mixture) warning(key, column string) string {
	return fmt.Sprintf("The values of %q are %s (%s is the first row that differs)\nThey become strings: text as it is, other values as their JSON. If that is right, set schema = { %s = %q }; otherwise correct the rows.",
		m.path, m.kinds, m.where, quoteKey(key), column)
}

// add updates the sample with a row whose members are list.
func (s *jsonSample) add(list []member, raw []byte, where string) error {
	if s.object.objects == 0 {
		s.first = append([]byte(nil), raw...)
	}
	if err := s.object.add(list, 0); err != nil {
		return err
	}
	for _, m := range list {
		key := string(m.key)
		if _, known := s.mixed[key]; known {
			continue
		}
		if path, kinds := s.object.fields[key].mixed(key); kinds != nil {
			s.mixed[key] = mixture{path, strings.Join(kinds, " and "), where}
		}
	}
	return nil
}

// mixed returns the first place, at path or below it, whose values have no
// common type, and the kinds of these values. It returns no kinds if there is
// none.
func (s *shape) mixed(path string) (at string, kinds []string) {
	if kinds = s.kinds(); len(kinds) > 1 {
		return path, kinds
	}
	if s.list != nil {
		return s.list.mixed(path + "[]")
	}
	if s.object != nil && !s.object.isMap() {
		for _, key := range s.object.keys {
			if at, kinds := s.object.fields[key].mixed(path + "." + key); kinds != nil {
				return at, kinds
			}
		}
	}
	return "", nil
}

// has reports whether values of the same kind as raw, which is not null, were
// seen. If none were, the type is string, which can store any text.
func (s *shape) has(raw []byte) bool {
	switch raw[0] {
	case '"':
		return s.text || len(s.kinds()) == 0
	case 't', 'f':
		return s.truth
	case '[':
		return s.list != nil
	case '{':
		return s.object != nil
	}
	return s.whole || s.number || s.digits
}

// describe names the kinds of values that were seen.
func (s *shape) describe() string {
	if kinds := s.kinds(); len(kinds) > 0 {
		return strings.Join(kinds, " and ")
	}
	return "nulls"
}

// fingerprint distinguishes shapes that have the same types. It contains the
// kinds of values that become strings, unless these are only text.
func (s *shape) fingerprint(path string) string {
	kinds := s.kinds()
	switch {
	case len(kinds) > 1, len(kinds) == 1 && (s.digits || s.number && s.wide || s.object != nil && s.object.isMap()):
		return fmt.Sprintf(" %q:%s", path, strings.Join(kinds, ","))
	case s.list != nil:
		return s.list.fingerprint(path + "[]")
	}
	return s.object.fingerprint(path)
}

func (o *object) fingerprint(path string) string {
	if o == nil {
		return ""
	}
	var all strings.Builder
	for _, key := range slices.Sorted(maps.Keys(o.fields)) {
		all.WriteString(o.fields[key].fingerprint(path + "." + key))
	}
	return all.String()
}

// kinds returns the kinds of values that were seen.
func (s *shape) kinds() (kinds []string) {
	for _, k := range []struct {
		seen bool
		name string
	}{
		{s.text, "text"},
		{s.truth, "true or false"},
		{s.whole || s.number || s.digits, "numbers"},
		{s.list != nil, "lists"},
		{s.object != nil, "objects"},
	} {
		if k.seen {
			kinds = append(kinds, k.name)
		}
	}
	return kinds
}
