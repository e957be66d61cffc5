package comparison

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/contract"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
)

// differences returns how a stage differs from what it was, or nil if it is the
// same. was is nil for a new stage.
func differences(was, is *vertex, m *matched) *Stage {
	s := &Stage{Address: is.Address, Kind: is.Kind, Type: is.Type, Change: Changed}
	if was == nil {
		s.Change = Added
		return s
	}
	s.Reasons = inputReasons(was, is, m)
	for _, r := range fingerprint.Compare(was.definition(), is.definition(), "") {
		// A definition says that an input exists, but not which artifact it is.
		if !slices.ContainsFunc(s.Reasons, func(i plan.Reason) bool { return i.Subject == r.Subject && i.Text == r.Text }) {
			s.Reasons = append(s.Reasons, r)
		}
	}
	s.Settings = fingerprint.Compare(settings(was), settings(is), "")
	if len(s.Reasons) > 0 {
		s.Columns = m.ownColumns(is)
	}
	if was.Address != is.Address {
		s.Change, s.From = Moved, was.Address
		return s
	}
	if len(s.Reasons)+len(s.Settings) == 0 {
		return nil
	}
	return s
}

// inputReasons compares which artifacts the stages read. An input that moved is
// the same.
func inputReasons(was, is *vertex, m *matched) []plan.Reason {
	before, after := map[string]string{}, map[string]string{}
	for key, in := range was.inputs {
		before[key] = in.String()
	}
	for key, in := range is.inputs {
		old := *in
		old.Address = cmp.Or(m.from[in.Address], in.Address)
		if before[key] == old.String() {
			delete(before, key)
			continue
		}
		after[key] = in.String()
	}
	return fingerprint.Compare(asFields(before), asFields(after), "")
}

func asFields(texts map[string]string) []plan.Field {
	var fields []plan.Field
	for _, key := range ordered.Keys(texts) {
		fields = append(fields, plan.Field{Name: "argument " + key, Value: texts[key]})
	}
	return fields
}

// settings are what does not determine the result: operational arguments, and how
// the stage runs.
func settings(v *vertex) []plan.Field {
	texts := map[string]string{}
	if v.Body != nil {
		walk(v.Body, "", func(key string, a *plan.Arg) {
			if text := argument(a); a.Operational && !a.Sensitive && text != "" {
				texts[key] = text
			}
		})
	}
	number := func(name string, n int64) {
		if n != 0 {
			texts[name] = strconv.FormatInt(n, 10)
		}
	}
	if v.Timeout > 0 {
		texts["timeout"] = v.Timeout.String()
	}
	number("retries", int64(v.Retries))
	number("max_errors", v.MaxErrors)
	if v.PreventDestroy {
		texts["prevent_destroy"] = "true"
	}
	if v.CreateBeforeDestroy != nil {
		texts["create_before_destroy"] = strconv.FormatBool(*v.CreateBeforeDestroy)
	}
	if r := v.Resources; r != (plan.Resources{}) {
		texts["resources"] = fmt.Sprintf("cpu %g, memory %d, gpu %d", r.CPU, r.Memory, r.GPU)
	}
	for _, c := range v.Contracts {
		for _, f := range contract.Fields(c) {
			texts[f.Name] = f.Value
		}
	}
	for i, c := range v.Conditions {
		text := expr.Readable(c.Message.Text)
		if c.When != plan.WhenGate {
			text = expr.Readable(c.Test.Text) + ": " + text
		}
		texts[fmt.Sprintf("%s.%d", conditionNames[c.When], i)] = text
	}
	return asFields(texts)
}

// conditionNames are the names of conditions in configurations, and of the
// message of a gate's.
var conditionNames = map[string]string{plan.WhenPre: "precondition", plan.WhenPost: "postcondition", plan.WhenGate: "error_message"}

// argument returns an argument as people read it, or "" if it consists of others.
func argument(a *plan.Arg) string {
	switch {
	case a.Row != nil:
		return expr.Readable(a.Row.Expr.Text)
	case a.Expr != nil:
		return expr.Readable(a.Expr.Text)
	case a.Value != nil && !a.Value.IsNull():
		return value.Format(a.Value.Value)
	}
	return ""
}

// ownColumns returns the columns that differ in what a stage produces, apart from
// those that differ in the same way in one of its inputs.
func (m *matched) ownColumns(v *vertex) []Column {
	inherited := map[Column]bool{}
	for _, in := range v.inputs {
		for _, c := range m.columns[in.Address] {
			c.Port = ""
			inherited[c] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(m.columns[v.Address]), func(c Column) bool {
		c.Port = ""
		return inherited[c]
	})
}

// columns compares the columns of the datasets that stages produce.
func columns(was, is *vertex) []Column {
	before, after := columnTypes(was), columnTypes(is)
	var out []Column
	for _, at := range slices.SortedFunc(maps.Keys(union(before, after)), func(a, b columnAt) int {
		return cmp.Or(strings.Compare(a.port, b.port), strings.Compare(a.name, b.name))
	}) {
		if before[at] != after[at] {
			out = append(out, Column{Port: at.port, Name: at.name, Before: before[at], After: after[at]})
		}
	}
	return out
}

type columnAt struct{ port, name string }

func columnTypes(v *vertex) map[columnAt]string {
	types := map[columnAt]string{}
	for i := range v.Outputs {
		p := &v.Outputs[i]
		if p.Violations {
			continue // they have the columns of the dataset
		}
		for _, c := range p.Columns {
			types[columnAt{p.Name, c.Name}] = c.Type
		}
	}
	return types
}

func union[K comparable, V any](a, b map[K]V) map[K]V {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
