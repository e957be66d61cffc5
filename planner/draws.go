package planner

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
)

// checkDraws warns where a model is asked the same several times and answers
// about the same each time. A seed is no reason to: each draw has another one.
func (b *builder) checkDraws(n *node) {
	told := map[string]bool{}
	for _, c := range n.calls {
		h := n.inputs[c.Model]
		if c.Draws < 2 || h == nil || h.node.model == nil || h.node.model.Body == nil || told[h.node.Address] {
			continue
		}
		temperature := h.node.model.Body.Args["temperature"]
		if temperature == nil || temperature.Value == nil || !temperature.Value.RawEquals(cty.Zero) {
			continue
		}
		told[h.node.Address] = true
		subject := n.RangeOf(c.Model)
		b.report(diag.Warningf(subject, "Repeated samples will be nearly identical",
			"%s sends each request to %s %d times, but the temperature is 0: the answers will be nearly identical, and you pay for each one. Use a model with a higher temperature, or ask once.",
			n.Address, h.node.Address, c.Draws))
	}
}
