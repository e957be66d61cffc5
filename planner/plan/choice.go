package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
)

// Choice selects one of several artifacts or prompts. Which one depends on a
// result.
type Choice struct {
	// Key computes the key of the selected candidate, a string.
	Key *expr.Compiled `json:"key"`
	// Of contains at least one candidate by key: an input, or the row
	// expression of a prompt.
	Of map[string]*Arg `json:"of"`
}

// ChoiceKey converts the key of an element of a collection to a key of
// Choice.Of.
func ChoiceKey(key cty.Value) string {
	if key.Type() == cty.Number {
		return key.AsBigFloat().Text('f', -1)
	}
	return key.AsString()
}

// Keys returns the keys of the candidates: numbers in numeric order, followed
// by the others in their order.
func (c *Choice) Keys() []string {
	return slices.SortedFunc(maps.Keys(c.Of), func(a, b string) int {
		m, errM := strconv.Atoi(a)
		n, errN := strconv.Atoi(b)
		if errM == nil && errN == nil {
			return m - n
		}
		return strings.Compare(a, b)
	})
}

// Names returns the names that messages use for the candidates, in the order of
// their keys.
func (c *Choice) Names() []string {
	names := make([]string, 0, len(c.Of))
	for _, key := range c.Keys() {
		switch a := c.Of[key]; {
		case a.Input != nil && a.Input.Port != "":
			names = append(names, a.Input.Address+"."+a.Input.Port)
		case a.Input != nil:
			names = append(names, a.Input.Address)
		case a.Row != nil:
			names = append(names, a.Row.Prompt)
		}
	}
	return names
}

// stand returns a candidate that represents the choice while it is open.
func (c *Choice) stand() *Arg { return c.Of[c.Keys()[0]] }

// chosen returns the candidate with a known key.
func (c *Choice) chosen(key cty.Value) (*Arg, *hcl.Diagnostic) {
	key, _ = key.Unmark()
	if key.IsNull() {
		return nil, c.noSuch("The index is null, so it matches none")
	}
	if a := c.Of[key.AsString()]; a != nil {
		return a, nil
	}
	return nil, c.noSuch(fmt.Sprintf("The index is %q, which matches none", key.AsString()))
}

func (c *Choice) noSuch(problem string) *hcl.Diagnostic {
	keys := c.Keys()
	for i, key := range keys {
		keys[i] = strconv.Quote(key)
	}
	return diag.Errorf(c.Key.Range.Ptr(), "No such instance", "%s of %s. The keys are: %s.", problem, diag.List(c.Names()), diag.List(keys))
}
