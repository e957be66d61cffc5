package action

import (
	"encoding/json"
	"fmt"

	"github.com/quern-dev/quern/internal/ownjson"
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
	text   string // the fields in JSON, if the preimage was read
	spaced bool   // the text contains white space
}

// NewPreimage returns a preimage with these fields, which it takes over.
func NewPreimage(fields []Field) Preimage { return Preimage{fields: fields} }

// Fields returns the fields in their order. The caller owns them if the preimage
// was read.
func (p Preimage) Fields() []Field {
	if p.text == "" {
		return p.fields
	}
	var fields []Field
	if err := json.Unmarshal([]byte(p.text), &fields); err != nil {
		panic(fmt.Sprintf("a preimage that was checked when it was read is invalid: %v", err))
	}
	return fields
}

// IsZero reports whether the preimage has no fields.
func (p Preimage) IsZero() bool { return p.text == "" && len(p.fields) == 0 }

// MarshalJSON returns the fields as an array of objects.
func (p Preimage) MarshalJSON() ([]byte, error) {
	if p.text != "" {
		return []byte(p.text), nil
	}
	return json.Marshal(p.fields)
}

// Write writes what json.Marshal writes.
func (p Preimage) Write(w *ownjson.Writer) {
	switch {
	case p.text == "":
		ownjson.WriteList(w, p.fields, writeField)
	case p.spaced:
		w.Any(p)
	default:
		w.Verbatim(p.text)
	}
}

func writeField(w *ownjson.Writer, f Field) {
	w.Open('{')
	w.Name("name")
	w.Text(f.Name)
	w.Name("value")
	w.Text(f.Value)
	w.Close('}')
}

// UnmarshalJSON reads what MarshalJSON returns.
func (p *Preimage) UnmarshalJSON(text []byte) error {
	*p = Preimage{}
	r := ownjson.NewReader(string(text))
	if read := ReadPreimage(r); r.Done() {
		*p = read
		return nil
	}
	return json.Unmarshal(text, &p.fields)
}

// ReadPreimage reads a preimage, as this package writes it.
func ReadPreimage(r *ownjson.Reader) Preimage {
	text, compact := r.Verbatim(func() { ownjson.List(r, skipField) })
	return Preimage{text: text, spaced: !compact}
}

func skipField(r *ownjson.Reader) (none struct{}) {
	for m := r.Members(); m.Next(); {
		if m.Name != "name" && m.Name != "value" {
			r.GiveUp()
		}
		r.SkipText()
	}
	return none
}
