package plan

import "github.com/quern-dev/quern/store/state"

// Explanation shows, field by field, why an instance would or would not run.
type Explanation struct {
	Address string   `json:"address"`
	Action  Action   `json:"action"`
	Reasons []Reason `json:"reasons,omitempty"`
	// Fields are the fields of both preimages, in the order of the present one.
	Fields []FieldChange `json:"fields,omitempty"`
	// Before and After are the action keys. A key is empty if there is none or
	// if it is not known yet.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// FieldChange is a field of a preimage, before and now.
type FieldChange struct {
	Name    string `json:"name"`
	Before  string `json:"before"`
	After   string `json:"after"`
	Changed bool   `json:"changed"`
}

// Why compares the preimage of an instance's keys with the preimage that the
// state recorded for its result.
func Why(n *Node, st *state.State) Explanation {
	e := Explanation{Address: n.Address, Action: n.Action, Reasons: n.Reasons, After: n.ActionKey}
	old := map[string]string{}
	var order []string
	if st != nil && st.Instances[n.Address] != nil {
		e.Before = st.Instances[n.Address].ActionKey
		for _, f := range st.Instances[n.Address].Preimage.Fields() {
			old[f.Name] = f.Value
			order = append(order, f.Name)
		}
	}
	seen := map[string]bool{}
	for _, f := range n.Preimage {
		was, had := old[f.Name]
		seen[f.Name] = true
		e.Fields = append(e.Fields, FieldChange{Name: f.Name, Before: was, After: f.Value, Changed: !had || was != f.Value})
	}
	for _, name := range order {
		if !seen[name] {
			e.Fields = append(e.Fields, FieldChange{Name: name, Before: old[name], Changed: true})
		}
	}
	return e
}
