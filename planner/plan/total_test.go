package plan

import (
	"testing"

	"github.com/quern-dev/quern/internal/amount"
)

func pointer[T any](v T) *T { return &v }

func TestTokensThatATrainerReadsAreNotThoseOfCalls(t *testing.T) {
	p := &Plan{Nodes: []*Node{
		{Action: Run, Estimate: Estimate{InputTokens: pointer(int64(1_000_000))}},
		{Action: Run, Estimate: Estimate{Calls: pointer(int64(2)), InputTokens: pointer(int64(30)), OutputTokens: pointer(int64(4))}},
	}}
	if got := p.Total().Tokens; got == nil || *got != 34 {
		t.Errorf("the plan's tokens are %v, not 34", got)
	}
	if got := p.Total().Change.Tokens(); !got.Certain() || got.Low != 34 {
		t.Errorf("the range of the plan's tokens is %+v", got)
	}
}

func TestATotalIsTheSumOfAllStagesOrSaysWhatItLacks(t *testing.T) {
	whole := func(money float64) *amount.Amounts {
		return &amount.Amounts{Calls: amount.Exactly(10), Money: amount.Exactly(money)}
	}
	known := func(action Action, low, money, high float64) *Node {
		return &Node{Action: action, Mode: ModeMap, Estimate: Estimate{
			Calls: pointer(int64(5)), Money: &money, Whole: whole(2 * money),
			Range: &amount.Amounts{Money: amount.Between(low, money, high)},
		}}
	}
	p := &Plan{Nodes: []*Node{
		known(Run, 1, 2, 4), known(MayRun, 10, 20, 40),
		{Action: Keep, Mode: ModeMap, Estimate: Estimate{Whole: whole(100)}},
		{Action: Check},
	}}
	total := p.Total()
	if got := total.Change.Money; got.Low != 1 || *got.Expected != 22 || *got.High != 44 {
		t.Errorf("the change costs %v, %v, %v; a stage that may not run may cost nothing", got.Low, *got.Expected, *got.High)
	}
	if got := total.Whole.Money; *got.Expected != 144 || *total.Whole.Calls.Expected != 30 {
		t.Errorf("the whole costs %v", *got.Expected)
	}
	if got := total.Change.Missing; got != (Missing{Rows: 2, Tokens: 2, Seconds: 2}) {
		t.Errorf("the change lacks %+v", got)
	}
	p.Nodes = append(p.Nodes, &Node{Action: Run, Mode: ModeRun, Estimate: Estimate{CostUnknown: true}})
	total = p.Total()
	if total.Change.Missing.Money != 1 || total.Change.Missing.Calls != 1 || total.Whole.Missing.Money != 1 {
		t.Errorf("a stage without an estimate is not missing: %+v", total)
	}
}
