package files

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// jsonPath is the path to lists inside objects, and the current position in a
// file.
type jsonPath struct {
	keys []string
	// levels contains the objects that are open, starting with the outermost.
	levels []jsonLevel
}

// jsonLevel is an object on the path to a list.
type jsonLevel struct {
	seen  []string // the first keys that were skipped
	begun bool     // a member was read
	found bool     // the key on the path was among them
}

// enter skips to the beginning of the next list at the end of the path. It
// skips everything else piece by piece, regardless of its size. It returns
// io.EOF if there are no more lists.
func (r *jsonRows) enter(p *jsonPath) error {
	for {
		if len(p.levels) == 0 {
			if err := r.open("{", "field"); err != nil {
				return err
			}
			p.levels = append(p.levels, jsonLevel{})
		}
		level := &p.levels[len(p.levels)-1]
		key, more, err := r.member(level.begun)
		if err != nil {
			return err
		}
		level.begun = true
		want := p.keys[len(p.levels)-1]
		switch {
		case !more && !level.found:
			return r.missing(want, level.seen)
		case !more:
			p.levels = p.levels[:len(p.levels)-1]
		case key != want:
			if level.seen = append(level.seen, key); len(level.seen) > 10 {
				level.seen = level.seen[:10]
			}
			if err := r.pass(0); err != nil {
				return err
			}
		case level.found:
			return r.wrong(fmt.Sprintf("the key %q appears twice", key))
		default:
			level.found = true
			if len(p.levels) == len(p.keys) {
				return r.open("[", key)
			}
			if err := r.open("{", key); err != nil {
				return err
			}
			p.levels = append(p.levels, jsonLevel{})
		}
	}
}

// open reads the opening bracket of a value on the path. name is the key of
// that value.
func (r *jsonRows) open(bracket, name string) error {
	c, err := r.peek()
	if err != nil {
		return err
	}
	if c != bracket[0] {
		what := map[string]string{"{": "an object", "[": "a list of objects"}[bracket]
		return fmt.Errorf("%s:%d: %s is %s, but it must be %s\nCorrect field, which says where the rows are.", r.name, r.line, name, kindOf(r.data), what)
	}
	r.take(1)
	return nil
}

func (r *jsonRows) missing(key string, seen []string) error {
	keys := "It has no keys."
	if len(seen) > 0 {
		keys = fmt.Sprintf("Its keys are %s. Correct field, which says where the rows are.", strings.Join(seen, ", "))
	}
	return fmt.Errorf("%s:%d: the object that ends here has no key %q\n%s", r.name, r.line, key, keys)
}

// member reads the key of the next member of an object. If there is no other
// member, it reads the end of the object, and more is false.
func (r *jsonRows) member(begun bool) (key string, more bool, err error) {
	c, err := r.inObject()
	if err == nil && c == '}' {
		r.take(1)
		return "", false, nil
	}
	if err == nil && begun {
		if err = r.sign(','); err == nil {
			c, err = r.inObject()
		}
	}
	if err != nil {
		return "", false, err
	}
	if c != '"' {
		return "", false, r.wrong(unexpected(r.data, 0, "a key in double quotes").Error())
	}
	raw, err := r.leaf()
	if err != nil {
		return "", false, err
	}
	name, err := unquote(raw)
	if err != nil {
		return "", false, r.wrong(err.Error())
	}
	key = string(name)
	r.take(len(raw))
	return key, true, r.sign(':')
}

// inObject is like peek inside an object or list.
func (r *jsonRows) inObject() (byte, error) {
	c, err := r.peek()
	if errors.Is(err, io.EOF) {
		return 0, r.wrong("it ends in the middle of a value")
	}
	return c, err
}

// sign reads a punctuation mark.
func (r *jsonRows) sign(mark byte) error {
	c, err := r.inObject()
	if err != nil {
		return err
	}
	if c != mark {
		return r.wrong(unexpected(r.data, 0, fmt.Sprintf("%q", string(mark))).Error())
	}
	r.take(1)
	return nil
}

// leaf returns the next value, which must be small.
func (r *jsonRows) leaf() ([]byte, error) {
	r.at = r.line
	n, err := r.whole()
	if err == nil {
		return r.data[:n], nil
	}
	var wrong *syntaxError
	if errors.As(err, &wrong) {
		err = r.wrong(wrong.problem)
	}
	return nil, err
}

// pass skips a value at a nesting depth. It never holds more than one string or
// number in memory.
func (r *jsonRows) pass(depth int) error {
	c, err := r.inObject()
	if err != nil {
		return err
	}
	// Most values are completely in the window.
	if n, err := r.extent(r.data, r.end); err == nil {
		r.take(n)
		return nil
	}
	if depth > maxDepth {
		return r.wrong(fmt.Sprintf("values are nested more than %d deep", maxDepth))
	}
	switch c {
	case '{':
		return r.passObject(depth)
	case '[':
		return r.passList(depth)
	}
	raw, err := r.leaf()
	r.take(len(raw))
	return err
}

func (r *jsonRows) passObject(depth int) error {
	r.take(1)
	for begun := false; ; begun = true {
		_, more, err := r.member(begun)
		if err != nil || !more {
			return err
		}
		if err := r.pass(depth + 1); err != nil {
			return err
		}
	}
}

func (r *jsonRows) passList(depth int) error {
	r.take(1)
	for begun := false; ; begun = true {
		c, err := r.inObject()
		if err != nil {
			return err
		}
		if c == ']' {
			r.take(1)
			return nil
		}
		if begun {
			if err := r.sign(','); err != nil {
				return err
			}
		}
		if begun {
			if c, err = r.inObject(); err == nil && c == ']' {
				err = r.wrong("\"]\" where a value should be")
			}
		}
		if err != nil {
			return err
		}
		if err := r.pass(depth + 1); err != nil {
			return err
		}
	}
}

// listOfObjects returns the key of the only list of objects in an object. data
// is the beginning of the object. A list with a single element does not count.
func listOfObjects(data []byte) (key string, ok bool) {
	var found []string
	r := &jsonRows{window: &window{data: data, end: true, line: 1, ending: '\n'}}
	if r.open("{", "") != nil {
		return "", false
	}
	for begun := false; ; begun = true {
		name, more, err := r.member(begun)
		if err != nil || !more {
			break
		}
		if several(r.data) {
			found = append(found, name)
		}
		if r.pass(0) != nil {
			break
		}
	}
	if len(found) != 1 {
		return "", false
	}
	return found[0], true
}

// several reports whether data begins with a list of objects that has more than
// one element, or whose first element continues beyond data.
func several(data []byte) bool {
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '[' {
		return false
	}
	i = skipSpace(data, i+1)
	if i == len(data) || data[i] != '{' {
		return false
	}
	var s syntax
	n, err := s.extent(data[i:], false)
	if err != nil {
		return errors.Is(err, errMore)
	}
	i = skipSpace(data, i+n)
	return i == len(data) || data[i] == ','
}
