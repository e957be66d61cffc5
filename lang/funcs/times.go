package funcs

import (
	"time"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

var timeFunctions = []entry{
	describe("formatdate", "Formats a time, for example as \"YYYY-MM-DD hh:mm:ss\".", `formatdate("DD MMM YYYY", "2026-01-02T03:04:05Z")`, `"02 Jan 2026"`, stdlib.FormatDateFunc),
	describe(planTimestampName, "The time at which the plan was created, in UTC. It is the same everywhere in a plan, even if the plan is saved and applied later. Refused where it would become part of a key, because everything that depends on it would run again in every plan.", `plantimestamp()`, ``, PlanTimestamp(time.Time{})),
	describe("timeadd", "Adds a duration such as \"90m\" to a time.", `timeadd("2026-01-02T03:04:05Z", "24h")`, `"2026-01-03T03:04:05Z"`, checked(stdlib.TimeAddFunc, timeAddCheck)),
	describe("timecmp", "Compares two times: -1, 0, or 1 if the first is before, the same as, or after the second.", `timecmp("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z")`, `1`, timeCmpFunc),
	describe("timestamp", "The current time, in UTC. Refused where it would become part of a key, because nothing that depends on it could be reused.", `timestamp()`, ``, timestampFunc),
}

const planTimestampName = "plantimestamp"

// PlanTimestamp returns the function plantimestamp for a plan that is made at a
// time. The zero time means the time of the call.
func PlanTimestamp(at time.Time) function.Function {
	return function.New(&function.Spec{
		Type:         function.StaticReturnType(cty.String),
		RefineResult: notNull,
		Impl: func([]cty.Value, cty.Type) (cty.Value, error) {
			made := at
			if made.IsZero() {
				made = time.Now()
			}
			return cty.StringVal(made.UTC().Format(time.RFC3339)), nil
		},
	})
}

var timestampFunc = function.New(&function.Spec{
	Type:         function.StaticReturnType(cty.String),
	RefineResult: notNull,
	Impl: func([]cty.Value, cty.Type) (cty.Value, error) {
		return cty.StringVal(time.Now().UTC().Format(time.RFC3339)), nil
	},
})

var timeCmpFunc = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "a", Type: cty.String}, {Name: "b", Type: cty.String}},
	Type:         function.StaticReturnType(cty.Number),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		var times [2]time.Time
		for i, arg := range args {
			t, err := time.Parse(time.RFC3339, arg.AsString())
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(i, "a time must have the form 2026-01-02T03:04:05Z")
			}
			times[i] = t
		}
		return cty.NumberIntVal(int64(times[0].Compare(times[1]))), nil
	},
})
