package estimate

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/decide"
)

// checkDraws warns if a model is asked the same question several times and
// gives nearly the same answer each time. A seed does not cause this, because
// each draw has a different one.
func (e *Estimator) checkDraws(n *decide.Instance) {
	told := map[string]bool{}
	for _, c := range n.Calls {
		h := n.Inputs[c.Model]
		if c.Draws < 2 || h == nil || h.From.Model == nil || h.From.Model.Body == nil || told[h.From.Address] {
			continue
		}
		temperature := h.From.Model.Body.Args["temperature"]
		if temperature == nil || temperature.Value == nil || !temperature.Value.RawEquals(cty.Zero) {
			continue
		}
		told[h.From.Address] = true
		subject := n.RangeOf(c.Model)
		n.Stage.Module.Report(diag.Warningf(subject, "Repeated samples will be nearly identical",
			"%s sends each request to %s %d times, but the temperature is 0: the answers will be nearly identical, and you pay for each one. Use a model with a higher temperature, or ask once.",
			n.Address, h.From.Address, c.Draws))
	}
}
