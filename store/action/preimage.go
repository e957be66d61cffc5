package action

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Field is one part of a key's preimage.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Preimage is what a key was computed from. One that was read from a document
// remains text until someone asks for its fields, because that is rarely the case,
// and preimages are most of a large state. It cannot be changed.
type Preimage struct {
	fields []Field
	text   []byte // the fields in JSON, if the preimage was read
}

// NewPreimage returns a preimage with these fields, which it takes over.
func NewPreimage(fields []Field) Preimage { return Preimage{fields: fields} }

// Fields returns the fields in their order. The caller owns them if the preimage
// was read.
func (p Preimage) Fields() []Field {
	if p.text == nil {
		return p.fields
	}
	var fields []Field
	if err := json.Unmarshal(p.text, &fields); err != nil {
		panic(fmt.Sprintf("a preimage that was checked when it was read is invalid: %v", err))
	}
	return fields
}

// IsZero reports whether the preimage has no fields.
func (p Preimage) IsZero() bool { return p.text == nil && len(p.fields) == 0 }

// MarshalJSON returns the fields as an array of objects.
func (p Preimage) MarshalJSON() ([]byte, error) {
	if p.text != nil {
		return p.text, nil
	}
	return json.Marshal(p.fields)
}

// UnmarshalJSON reads what MarshalJSON returns.
func (p *Preimage) UnmarshalJSON(text []byte) error {
	*p = Preimage{}
	if areFields(text) {
		p.text = bytes.Clone(text)
		return nil
	}
	return json.Unmarshal(text, &p.fields)
}

// areFields reports whether a JSON value is an array of fields, as this package writes
// it.
func areFields(text []byte) bool {
	r := reader{text}
	if !r.takes("[") {
		return false
	}
	for first := true; !r.takes("]"); first = false {
		if !first && !r.takes(",") {
			return false
		}
		if !r.takes("{") || !r.takes(`"name"`) || !r.takes(":") || !r.takesString() ||
			!r.takes(",") || !r.takes(`"value"`) || !r.takes(":") || !r.takesString() || !r.takes("}") {
			return false
		}
	}
	return true
}

// reader reads the rest of a valid JSON text.
type reader struct{ rest []byte }

// takes reads a token, if it is the next one.
func (r *reader) takes(token string) bool {
	r.rest = bytes.TrimLeft(r.rest, " \n\r\t")
	rest, ok := bytes.CutPrefix(r.rest, []byte(token))
	r.rest = rest
	return ok
}

// takesString reads a string, if it is the next token.
func (r *reader) takesString() bool {
	if !r.takes(`"`) {
		return false
	}
	for i := 0; i < len(r.rest); i++ {
		switch r.rest[i] {
		case '\\':
			i++
		case '"':
			r.rest = r.rest[i+1:]
			return true
		}
	}
	return false
}
