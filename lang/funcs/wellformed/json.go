package wellformed

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// IsJSON reports whether a whole text is JSON.
func IsJSON(text string) bool { return json.Valid([]byte(text)) }

// ContainsJSON reports whether a text contains a JSON object.
func ContainsJSON(text string) bool {
	return findJSON(text, "{", func(json.RawMessage) bool { return true })
}

// findJSON looks for an object or an array that accept returns true for. first
// are the characters that it may begin with.
func findJSON(text, first string, accept func(json.RawMessage) bool) bool {
	places := func(from int) int {
		if i := strings.IndexAny(text[from:], first); i >= 0 {
			return from + i
		}
		return -1
	}
	return search(text, places, func(rest string) (bool, int) {
		var value json.RawMessage
		d := json.NewDecoder(strings.NewReader(rest))
		if err := d.Decode(&value); err != nil {
			var syntax *json.SyntaxError
			if errors.As(err, &syntax) {
				return false, int(syntax.Offset)
			}
			return false, len(rest)
		}
		return accept(value), len(value)
	})
}

// Schema is a compiled JSON schema.
type Schema struct{ schema *jsonschema.Schema }

// compiled caches schemas by their text, because a schema is the same for all
// rows. It is emptied when there are many.
var compiled = struct {
	sync.Mutex
	schemas map[string]*Schema
}{schemas: map[string]*Schema{}}

const mostSchemas = 256

// ParseSchema reads a JSON schema, by default of draft 2020-12. Formats are
// checked. References to other documents are errors.
func ParseSchema(text string) (*Schema, error) {
	compiled.Lock()
	defer compiled.Unlock()
	if s, ok := compiled.schemas[text]; ok {
		return s, nil
	}
	s, err := parseSchema(text)
	if err != nil {
		return nil, err
	}
	if len(compiled.schemas) == mostSchemas {
		clear(compiled.schemas)
	}
	compiled.schemas[text] = s
	return s, nil
}

// name identifies a schema to the compiler and in its messages.
const name = "schema.json"

func parseSchema(text string) (*Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the schema is not valid JSON: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseLoader(nowhere{})
	if err := c.AddResource(name, doc); err != nil {
		return nil, fmt.Errorf("not a valid JSON schema: %w", err)
	}
	s, err := c.Compile(name)
	if err != nil {
		return nil, fmt.Errorf("not a valid JSON schema: %w", err)
	}
	return &Schema{s}, nil
}

// nowhere refuses to load schemas.
type nowhere struct{}

func (nowhere) Load(url string) (any, error) {
	return nil, fmt.Errorf("the schema refers to %s, but a schema cannot refer to another document", url)
}

// Check returns nil if a text is JSON that matches the schema, or else
// an error that says what is wrong.
func (s *Schema) Check(text string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("not valid JSON: %w", err)
	}
	return s.schema.Validate(value)
}

// In reports whether a text contains a JSON object or array that matches the schema.
func (s *Schema) In(text string) bool {
	return findJSON(text, "{[", func(part json.RawMessage) bool { return s.Check(string(part)) == nil })
}
