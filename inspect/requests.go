package inspect

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/action"
)

// Request is a request to a model for a row.
type Request struct {
	Model string `json:"model"`
	// Digest is the key of the answer in the cache. It is empty if the model's answers
	// are not cached.
	Digest string `json:"digest,omitempty"`
	Draw   int64  `json:"draw,omitempty"`
	// Texts is the number of texts of a request for embeddings.
	Texts int `json:"texts,omitempty"`
	// Cached is set if the answer is in the cache. Otherwise only what the stage has
	// recorded is known.
	Cached bool      `json:"cached"`
	Asked  time.Time `json:"asked,omitzero"`
	Usage  llm.Usage `json:"usage,omitzero"`
	// Cost at the model's prices, or nil if they are not known.
	Cost *float64 `json:"cost,omitempty"`
}

// Recorded is a request that a row of an evaluation contains: its digest or, if it was
// not answered or is of an earlier build, its text.
type Recorded struct {
	Model  string
	Digest string
	// Text is JSON, and Definition that of the model.
	Text, Definition string
	Draw             int64
	// Usage is zero if it is not recorded.
	Usage llm.Usage
	Cost  *float64
}

// asksModels reports whether an action has a model, which may be one that it only
// evaluates.
func asksModels(e *action.Entry) bool {
	for key, in := range keyed(e) {
		if in.Role == action.RoleModel || in.Role == "" && !hasRows(e, key) {
			return true
		}
	}
	return false
}

func isEvaluation(e *action.Entry) bool { return addr.KindOf(e.Address) == kind.Evaluate }

// recorded returns the requests in a row of an evaluation: those in the columns requests
// and SUBJECT_requests, and those to subjects in request and SUBJECT_request that are
// not among them.
func recorded(e *action.Entry, row json.RawMessage) []Recorded {
	if !isEvaluation(e) {
		return nil
	}
	var values map[string]any
	if json.Unmarshal(row, &values) != nil {
		return nil
	}
	inputs := keyed(e)
	var out []Recorded
	for _, column := range slices.Sorted(maps.Keys(values)) {
		if text, ok := values[column].(string); ok && (column == "requests" || strings.HasSuffix(column, "_requests")) {
			out = append(out, listed(inputs, text)...)
		}
	}
	for _, column := range slices.Sorted(maps.Keys(values)) {
		one, ok := toSubject(inputs, values, column)
		if ok && !slices.ContainsFunc(out, func(r Recorded) bool { return r.Model == one.Model && r.Draw == one.Draw }) {
			out = append(out, one)
		}
	}
	return out
}

// listed returns the requests in a list of them.
func listed(inputs map[string]action.InputRef, text string) []Recorded {
	var all []struct {
		Model, Digest string
		Draw          int64
		Usage         llm.Usage
		Cost          *float64
	}
	if json.Unmarshal([]byte(text), &all) != nil {
		return nil // a column of a plugin that means something else
	}
	var out []Recorded
	for _, r := range all {
		if in, known := inputs[r.Model]; known {
			out = append(out, Recorded{Model: in.Address, Digest: r.Digest, Draw: r.Draw, Usage: r.Usage, Cost: r.Cost})
		}
	}
	return out
}

// toSubject returns the first request to a subject, in the column request or, if the row is
// about several subjects, SUBJECT_request.
func toSubject(inputs map[string]action.InputRef, values map[string]any, column string) (Recorded, bool) {
	subject, ok := strings.CutSuffix(column, "request")
	if !ok {
		return Recorded{}, false
	}
	name := strings.TrimSuffix(subject, "_")
	if subject == "" {
		name, _ = values["subject"].(string)
	}
	text, asked := values[column].(string)
	in, known := inputs["subjects."+name+".model"]
	if !asked || !known {
		return Recorded{}, false
	}
	one := Recorded{Model: in.Address, Definition: in.Digest, Text: text}
	if draw, ok := values["draw"].(float64); ok && subject == "" {
		one.Draw = int64(draw)
	}
	if cost, ok := values[subject+"cost"].(float64); ok {
		one.Cost = &cost
	}
	return one, true
}
