package plan

import "slices"

// Total is what a plan as a whole will take.
type Total struct {
	// By action, how many nodes.
	Actions map[Action]int
	// Sums of what is known of nodes that are or may be carried out; nil:
	// nothing is known.
	Rows    *int64
	NewRows *int64
	Seconds *float64
	Tokens  *int64
	Money   *float64
	// AtMost: some of Tokens and Money are upper bounds.
	AtMost bool
	// MayBeKept: some of the requests may have cached answers.
	MayBeKept bool
	// Estimated: some of Tokens and Money depend on rows that were not counted.
	Estimated bool
	// SecondsUnknown is how many of those nodes have no estimate of time,
	// TokensUnknown of tokens and CostUnknown of money, of those that ask models.
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
		add(&t.Tokens, e.InputTokens)
		add(&t.Tokens, e.OutputTokens)
		t.AtMost = t.AtMost || e.OutputAtMost || e.CallsAtMost
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

// HasDrift says whether something is not as the state has it, by the word of a plan
// that only refreshes.
func (p *Plan) HasDrift() bool {
	return slices.ContainsFunc(p.Nodes, func(n *Node) bool { return slices.ContainsFunc(n.Reasons, Reason.IsDrift) })
}

// HasChanges says whether carrying the plan out would do anything.
func (p *Plan) HasChanges() bool {
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
