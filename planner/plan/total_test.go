package plan

import "testing"

func TestTokensThatATrainerReadsAreNotThoseOfCalls(t *testing.T) {
	pointer := func(n int64) *int64 { return &n }
	p := &Plan{Nodes: []*Node{
		{Action: Run, Estimate: Estimate{InputTokens: pointer(1_000_000)}},
		{Action: Run, Estimate: Estimate{Calls: pointer(2), InputTokens: pointer(30), OutputTokens: pointer(4)}},
	}}
	if got := p.Total().Tokens; got == nil || *got != 34 {
		t.Errorf("the plan's tokens are %v, not 34", got)
	}
}
