package decide

import (
	"slices"
	"strings"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/pending"
)

// continuePending says what an instance that runs waits for since its last run.
// What waits under another definition does not matter: it is submitted again.
func (d *Decider) continuePending(n *Instance) {
	p := d.Pending[n.Address]
	if p == nil || p.Definition != n.Definition || n.Replaced {
		return
	}
	same := p.ActionKey == n.ActionKey
	if !same && p.Rows == 0 {
		return
	}
	if same {
		n.Pending = &p.Summary
		n.Reasons = slices.DeleteFunc(n.Reasons, func(r plan.Reason) bool { return r.Code == plan.BecauseNew })
	}
	n.Reasons = append(n.Reasons, plan.Reason{Code: plan.BecausePending, Text: pendingText(&p.Summary, same)})
}

// replacing reports whether an instance waits for a result that -replace
// requested: an earlier one of the same action does not count.
func (d *Decider) replacing(n *Instance) bool {
	p := d.Pending[n.Address]
	return p != nil && p.Replaces && p.ActionKey == n.ActionKey
}

func pendingText(s *pending.Summary, same bool) string {
	details := []string{"since " + pending.Time(s.Since)}
	if again := s.Again(); again != "" {
		details = append(details, again)
	}
	next := "apply asks again"
	if !same {
		next = "apply asks again for those that have not changed"
	}
	text := strings.TrimSuffix(s.Text(), ".") + " (" + strings.Join(details, "; ") + "); " + next
	if s.Rows == 0 {
		return "it " + text
	}
	return text
}
