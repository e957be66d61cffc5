package decode

import (
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/expand"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
)

// run decodes the meta-arguments that say how an instance runs. They are not
// part of any key.
func (d *Decoder) run(n *expand.Instance) {
	cfg := n.Stage.Config
	if v, ok := d.meta(n, cfg.Timeout, "timeout", cty.String); ok {
		timeout, err := time.ParseDuration(v.AsString())
		if err != nil || timeout <= 0 {
			d.Report(diag.Errorf(cfg.Timeout.Range().Ptr(), "Wrong value for timeout", "timeout must be a duration such as \"90s\" or \"2h\", not %q.", v.AsString()))
		}
		n.Timeout = timeout
	}
	if v, ok := d.meta(n, cfg.Retries, "retries", cty.Number); ok {
		n.Retries = int(d.natural(v, cfg.Retries, "retries"))
	}
	if cfg.Budget != nil {
		n.Budget = d.budget(n, cfg.Budget)
	}
	if r := cfg.Resources; r != nil {
		if v, ok := d.meta(n, r.CPU, "cpu", cty.Number); ok {
			n.Resources.CPU, _ = v.AsBigFloat().Float64()
			if n.Resources.CPU < 0 {
				d.Report(diag.Errorf(r.CPU.Range().Ptr(), "Wrong value for cpu", "cpu must be a number of cores, at least 0."))
			}
		}
		if v, ok := d.meta(n, r.GPU, "gpu", cty.Number); ok {
			n.Resources.GPU = int(d.natural(v, r.GPU, "gpu"))
		}
		if v, ok := d.meta(n, r.Memory, "memory", cty.String); ok {
			n.Resources.Memory = d.bytes(v.AsString(), r.Memory)
		}
	}
}

func (d *Decoder) meta(n *expand.Instance, e hcl.Expression, name string, want cty.Type) (cty.Value, bool) {
	if e == nil || d.Blind(n.Stage, e) {
		return cty.NilVal, false
	}
	v, ok := d.Known(e, n.Scope, name, want)
	return v, ok && !v.IsNull()
}

// budget decodes a stage's budget block.
func (d *Decoder) budget(n *expand.Instance, cfg *config.Budget) *plan.Budget {
	limit := func(name string, x hcl.Expression) *float64 {
		v, ok := d.meta(n, x, "budget "+name, cty.Number)
		if !ok {
			return nil
		}
		f, _ := v.AsBigFloat().Float64()
		if f < 0 {
			d.Report(diag.Errorf(x.Range().Ptr(), "Wrong value for budget "+name, "A budget cannot be negative."))
		}
		return &f
	}
	whole := func(f *float64) *int64 {
		if f == nil {
			return nil
		}
		n := int64(*f)
		return &n
	}
	return &plan.Budget{
		Money: limit("money", cfg.Money), Tokens: whole(limit("tokens", cfg.Tokens)), Calls: whole(limit("calls", cfg.Calls)),
		Seconds: limit("seconds", cfg.Seconds),
	}
}

// natural returns a whole number that is not negative.
func (d *Decoder) natural(v cty.Value, e hcl.Expression, name string) int64 {
	n, _ := v.AsBigFloat().Int64()
	if !v.AsBigFloat().IsInt() || n < 0 {
		d.Report(diag.Errorf(e.Range().Ptr(), "Wrong value for "+name, "%s must be a whole number, at least 0.", name))
	}
	return n
}

// units of memory, the longer names first.
var units = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// bytes parses a size: a number of bytes, or a number with a unit.
func (d *Decoder) bytes(text string, e hcl.Expression) int64 {
	number, factor := strings.TrimSpace(text), 1.0
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, factor = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f < 0 || f*factor > 1<<60 {
		d.Report(diag.Errorf(e.Range().Ptr(), "Wrong value for memory", "memory must be a number of bytes or a size with a unit, such as \"4GiB\", not %q.", text))
		return 0
	}
	return int64(f * factor)
}

// takeMaxErrors moves quern's own argument of row-wise stages and evaluations
// out of the body. If it is omitted, no row may fail, and any number of answers
// may.
func (d *Decoder) takeMaxErrors(n *expand.Instance) {
	evaluates := n.Kind == kind.Evaluate
	if !n.RowWise() && !evaluates || n.Stage.Type.Body.Object.HasAttribute(schema.MaxErrors) {
		return
	}
	a := n.Body.Args[schema.MaxErrors]
	if a == nil || a.Value != nil && a.Value.IsNull() {
		delete(n.Body.Args, schema.MaxErrors)
		if evaluates {
			n.MaxErrors = plan.AnyNumber
		}
		return
	}
	delete(n.Body.Args, schema.MaxErrors)
	if a.Value == nil {
		d.Report(diag.Errorf(a.Range.Ptr(), "Value is not known", "max_errors must be known at plan time."))
		return
	}
	v := a.Value.AsBigFloat()
	count, _ := v.Int64()
	if !v.IsInt() || count < 0 {
		d.Report(diag.Errorf(a.Range.Ptr(), "Wrong value for max_errors", "max_errors must be a whole number, at least 0."))
		return
	}
	n.MaxErrors = count
}
