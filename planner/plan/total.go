package plan

import "slices"

// Total sums up a whole plan.
type Total struct {
	// Actions is the number of nodes by action.
	Actions map[Action]int
	// Sums over the nodes that will or may run. nil means that nothing is
	// known.
	Rows    *int64
	NewRows *int64
	Seconds *float64
	Tokens  *int64
	Money   *float64
	// AtMost is set if some of Tokens and Money are upper bounds.
	AtMost bool
	// MayBeKept is set if some of the requests may have cached answers.
	MayBeKept bool
	// Estimated is set if some of Tokens and Money depend on rows that were not
	// counted.
	Estimated bool
	// SecondsUnknown, TokensUnknown, and CostUnknown are the numbers of nodes
	// without an estimate of time, of tokens, and of money. The last two count
	// only nodes that call models.
	SecondsUnknown, TokensUnknown, CostUnknown int
}

// Total counts and sums a plan's nodes.
func (p *Plan) Total() Total {
	t := Total{Actions: map[Action]int{}}
	for _, n := range p.Nodes {
		t.Actions[n.Action]++
		if n.Action != Run && n.Action != MayRun {
			continue
		}
		e := n.Estimate
		add(&t.Rows, e.Rows)
		add(&t.NewRows, e.NewRows)
		add(&t.Seconds, e.Seconds)
		add(&t.Money, e.Money)
		if e.Calls != nil || e.OutputTokens != nil {
			// Tokens of calls. Those that a trainer reads are not paid for, and a budget does not count them.
			add(&t.Tokens, e.InputTokens)
			add(&t.Tokens, e.OutputTokens)
		}
		t.AtMost = t.AtMost || e.OutputAtMost || e.CallsAtMost || e.CallsCapped
		t.Estimated = t.Estimated || e.RowsEstimated && e.Calls != nil
		t.MayBeKept = t.MayBeKept || e.CallsAtMost
		if e.CostUnknown {
			t.CostUnknown++
		}
		if e.CostUnknown && e.Calls == nil || e.Calls != nil && e.OutputTokens == nil {
			t.TokensUnknown++
		}
		if e.Seconds == nil {
			t.SecondsUnknown++
		}
	}
	return t
}

func add[N int64 | float64](sum **N, more *N) {
	if more == nil {
		return
	}
	total := *more
	if *sum != nil {
		total += **sum
	}
	*sum = &total
}

// HasDrift reports whether a refresh-only plan found something that differs
// from the state.
func (p *Plan) HasDrift() bool {
	return slices.ContainsFunc(p.Nodes, func(n *Node) bool { return slices.ContainsFunc(n.Reasons, Reason.IsDrift) })
}

// HasChanges reports whether applying the plan would do anything.
func (p *Plan) HasChanges() bool {
	if len(p.Moves) > 0 || p.Deferred != nil {
		return true
	}
	for _, n := range p.Nodes {
		if n.Action != Keep {
			return true
		}
	}
	for _, o := range p.Outputs {
		if o.Action != Keep {
			return true
		}
	}
	return false
}
