package estimate

import (
	"math"
	"testing"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
)

func TestIntervalsOfSamples(t *testing.T) {
	near := func(a, b float64) bool { return math.Abs(a-b) < 5e-4*max(1, math.Abs(b)) }
	price := func(f float64) *float64 { return &f }
	tenTexts := make([]int, 256)
	for i := range tenTexts {
		tenTexts[i] = i % 10
	}
	unlike := make([]int, 256)
	for i := range unlike {
		unlike[i] = i
	}
	cost, _ := costOf(&plan.Price{Input: price(1), Output: price(2), CachedInput: price(0.1)}, spread{1e6, 2e6, 3e6}, anything, 2000)
	free, ok := costOf(&plan.Price{Input: price(1), Output: price(0)}, exactly(1e6), anything, 10)
	if !ok {
		t.Error("a free answer has no cost")
	}
	if _, ok := costOf(&plan.Price{Input: price(1)}, exactly(1), exactly(1), 10); ok {
		t.Error("an answer without a price has a cost")
	}
	for name, c := range map[string]struct{ got, want spread }{
		"a mean of everything":         {meanOf([]float64{1, 2, 3}, []float64{1, 1, 1}, 3), exactly(2)},
		"a mean of a part":             {meanOf([]float64{1, 2, 3}, []float64{1, 1, 1}, 1e12), spread{2 - 1.96*math.Sqrt(1.0/3), 2, 2 + 1.96*math.Sqrt(1.0/3)}},
		"a mean of equal values":       {meanOf([]float64{4, 4}, []float64{1, 3}, 100), exactly(4)},
		"half of a sample, by Wilson":  {exactly(1000).selected(sampleSize{50, 50}, sampleSize{100, 100}), spread{403.83, 500, 596.17}},
		"none of a sample, by Wilson":  {exactly(1000).selected(sampleSize{}, sampleSize{20, 20}), spread{0, 0, 161.12}},
		"a random share":               {exactly(10000).drawn(0.5), spread{4902, 5000, 5098}},
		"texts that are all different": {distinct(unlike, 1e6, false), spread{5e5, 1e6, 1e6}},
		"texts that repeat":            {distinct(tenTexts, 1000, false), spread{10, 1000, 1000}},
		"texts that were all read":     {distinct(tenTexts, 256, true), spread{10, 256, 256}},
		"answers like earlier ones":    {asBefore(&llm.Spend{Calls: 100, OutputTokens: 1000}, 100), spread{6.08, 10, 13.92}},
		"cached input, and no bound":   {cost, spread{0.1, 2, math.Inf(1)}},
		"free answers":                 {free, exactly(1)},
		"nothing times anything":       {exactly(0).times(anything), exactly(0)},
	} {
		if !near(c.got.low, c.want.low) || !near(c.got.mid, c.want.mid) || c.got.high != c.want.high && !near(c.got.high, c.want.high) {
			t.Errorf("%s is %v, not %v", name, c.got, c.want)
		}
	}
}
