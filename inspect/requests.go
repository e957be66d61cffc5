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
	// Cached is set if the answer is in the cache. Otherwise the rest is not known.
	Cached bool      `json:"cached"`
	Asked  time.Time `json:"asked,omitzero"`
	Usage  llm.Usage `json:"usage,omitzero"`
	// Cost at the model's prices, or nil if they are not known.
	Cost *float64 `json:"cost,omitempty"`
}

// Recorded is a request that a row of an evaluation contains.
type Recorded struct {
	Model, Definition string
	Text              string // JSON
	Draw              int64
	Cost              *float64
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

// recorded returns the requests in a row of an evaluation: of the subject that the row
// is about or, if it is about several, in the columns SUBJECT_request.
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
		subject, ok := strings.CutSuffix(column, "request")
		if !ok {
			continue
		}
		name := strings.TrimSuffix(subject, "_")
		if subject == "" {
			name, _ = values["subject"].(string)
		}
		text, asked := values[column].(string)
		in, known := inputs["subjects."+name+".model"]
		if !asked || !known {
			continue
		}
		one := Recorded{Model: in.Address, Definition: in.Digest, Text: text}
		if draw, ok := values["draw"].(float64); ok && subject == "" {
			one.Draw = int64(draw)
		}
		if cost, ok := values[subject+"cost"].(float64); ok {
			one.Cost = &cost
		}
		out = append(out, one)
	}
	return out
}
