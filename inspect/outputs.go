package inspect

import (
	"encoding/json"

	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/store/state"
)

// Output is an output of a pipeline as JSON. A sensitive output has neither
// type nor value.
type Output struct {
	Sensitive bool            `json:"sensitive"`
	Type      json.RawMessage `json:"type,omitempty"`
	Value     json.RawMessage `json:"value,omitempty"`
}

// Outputs returns the outputs of a state by name.
func Outputs(st *state.State) (map[string]Output, error) {
	all := make(map[string]Output, len(st.Outputs))
	for name, o := range st.Outputs {
		out := Output{Sensitive: o.Sensitive}
		if o.Value != nil {
			v := o.Value.Value
			text, err := ctyjson.Marshal(v, v.Type())
			if err != nil {
				return nil, err
			}
			out.Value = jsontext.Plain(text)
			if out.Type, err = ctyjson.MarshalType(v.Type()); err != nil {
				return nil, err
			}
		}
		all[name] = out
	}
	return all, nil
}
