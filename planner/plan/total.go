package plan

import (
	"slices"

	"github.com/quern-dev/quern/internal/amount"
)

// Total sums up a whole plan.
type Total struct {
	// Actions is the number of nodes by action.
	Actions map[Action]int
	// Change is what the nodes that will or may run take, Whole what the pipeline
	// would take if nothing existed.
	Change, Whole Sum
	// Sums of the expected figures of the nodes that will or may run. nil means
	// that nothing is known.
	Rows    *int64
	NewRows *int64
	Calls   *int64
	Seconds *float64
	Tokens  *int64
	Money   *float64
	// AtMost is set if some of Calls, Tokens, and Money are upper bounds.
	AtMost bool
	// MayBeKept is set if some of the requests may have cached answers.
	MayBeKept bool
	// Estimated is set if some of Calls, Tokens, and Money depend on rows that were
	// not counted.
	Estimated bool
	// RowsAtMost is set if some of them depend on upper bounds of rows.
	RowsAtMost bool
	// Bounded is set if some of Rows are upper bounds.
	Bounded bool
}

// Sum is what several nodes take together.
type Sum struct {
	amount.Amounts
	// Missing counts the nodes that the figures do not include. With one, the sum is
	// the least that all take.
	Missing Missing
}

// Missing counts nodes without an estimate. Calls, Tokens, and Money count only nodes
// that call models or pay for something else, and Rows only nodes that will or may run.
type Missing struct {
	Rows    int `json:"rows,omitempty"`
	Calls   int `json:"calls,omitempty"`
	Tokens  int `json:"tokens,omitempty"`
	Money   int `json:"money,omitempty"`
	Seconds int `json:"seconds,omitempty"`
}

// Computes reports whether the node may be computed.
func (n *Node) Computes() bool { return n.Action == Run || n.Action == MayRun }

// Computes reports whether any node of the plan may be computed.
func (p *Plan) Computes() bool { return slices.ContainsFunc(p.Nodes, (*Node).Computes) }

// CallsModels reports whether the node calls language models, as far as is known.
func (e *Estimate) CallsModels() bool {
	return e.CostUnknown || e.Calls != nil || e.Whole != nil && e.Whole.Calls != nil
}

// Amounts returns what a node takes that may be computed: the range of each figure
// of which something is known. A node that may not run may take nothing.
func (n *Node) Amounts() amount.Amounts {
	e := &n.Estimate
	var a amount.Amounts
	if e.Range != nil {
		a = *e.Range
	}
	certain(&a.Rows, e.Rows)
	certain(&a.Calls, e.Calls)
	if e.Calls != nil || e.OutputTokens != nil {
		// Tokens of calls. Those that a trainer reads are not paid for, and a budget does not count them.
		certain(&a.InputTokens, e.InputTokens)
		certain(&a.OutputTokens, e.OutputTokens)
	}
	certain(&a.Money, e.Money)
	certain(&a.Seconds, e.Seconds)
	if n.Action == MayRun {
		a = a.Each((*amount.Range).FromZero)
	}
	return a
}

// certain fills in the range of a figure without one.
func certain[N int64 | float64](r **amount.Range, figure *N) {
	if *r == nil && figure != nil {
		*r = amount.Exactly(float64(*figure))
	}
}

// Total counts and sums a plan's nodes.
func (p *Plan) Total() Total {
	t := Total{Actions: map[Action]int{}}
	for _, n := range p.Nodes {
		t.Actions[n.Action]++
		if n.stored() {
			t.Whole.add(n, n.whole())
		}
		if n.Computes() {
			a := n.Amounts()
			t.Change.add(n, a)
			if a.Rows == nil {
				t.Change.Missing.Rows++
			}
			t.expect(&n.Estimate)
			t.Bounded = t.Bounded || n.Estimate.RowsAtMost || n.Action == MayRun
		}
	}
	return t
}

// stored reports whether the node has a result that is computed, not checked or
// deployed.
func (n *Node) stored() bool {
	return n.Mode != "" && n.Mode != ModeDeploy && n.Action != Forget && n.Action != Delete
}

func (n *Node) whole() amount.Amounts {
	if n.Estimate.Whole != nil {
		return *n.Estimate.Whole
	}
	return amount.Amounts{}
}

// add adds what a node takes.
func (s *Sum) add(n *Node, a amount.Amounts) {
	s.Amounts = s.Plus(a)
	if a.Seconds == nil {
		s.Missing.Seconds++
	}
	calls := n.Estimate.CallsModels()
	if (calls || n.Payment != nil) && (a.Money == nil || a.Money.Expected == nil) {
		s.Missing.Money++
	}
	if !calls {
		return
	}
	if a.Calls == nil {
		s.Missing.Calls++
	}
	if a.InputTokens == nil || a.InputTokens.Expected == nil || a.OutputTokens == nil || a.OutputTokens.Expected == nil {
		s.Missing.Tokens++
	}
}

// expect adds the expected figures of an estimate.
func (t *Total) expect(e *Estimate) {
	add(&t.Rows, e.Rows)
	add(&t.NewRows, e.NewRows)
	add(&t.Seconds, e.Seconds)
	add(&t.Calls, e.Calls)
	add(&t.Money, e.Money)
	if e.Calls != nil || e.OutputTokens != nil {
		add(&t.Tokens, e.InputTokens)
		add(&t.Tokens, e.OutputTokens)
	}
	t.AtMost = t.AtMost || e.OutputAtMost || e.CallsAtMost || e.CallsCapped
	t.Estimated = t.Estimated || e.RowsEstimated && e.Calls != nil
	t.RowsAtMost = t.RowsAtMost || e.RowsAtMost && e.Calls != nil
	t.MayBeKept = t.MayBeKept || e.CallsAtMost
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
