package prepare

import (
	"fmt"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// takeLineage records what the columns of an output come from.
func (n *answered) takeLineage(port *plan.Port, o *pluginv1.Output) error {
	for _, c := range o.GetColumns() {
		l := plan.LineageFromProto(c.GetLineage())
		if l == nil {
			continue
		}
		if err := n.checkLineage(l); err != nil {
			return fmt.Errorf("the lineage of column %q: %w", c.GetName(), err)
		}
		if port.Lineage == nil {
			port.Lineage = map[string]*plan.Lineage{}
		}
		port.Lineage[c.GetName()] = l
	}
	if of := o.GetSelections(); len(of) == 1 && port.Lineage == nil { // its columns are those of the input
		port.SelectedFrom = of[0].GetRowsOf()
	}
	port.RowsLineage = plan.LineageFromProto(o.GetRowsLineage())
	if err := n.checkLineage(port.RowsLineage); err != nil {
		return fmt.Errorf("the lineage of its rows: %w", err)
	}
	return nil
}

func (n *answered) checkLineage(l *plan.Lineage) error {
	if l == nil {
		return nil
	}
	for _, s := range l.Sources {
		if s.Argument != "" {
			if n.Bound.Rows[s.Argument] == nil {
				return fmt.Errorf("the row expression %q does not exist", s.Argument)
			}
			continue
		}
		in := n.Inputs[s.Input]
		if in == nil || in.Port == nil || in.Port.Kind != plan.KindDataset {
			return fmt.Errorf("the input %q is not a dataset", s.Input)
		}
		if _, _, ok := in.Port.Columns.Lookup(s.Column); !ok {
			return fmt.Errorf("the input %q has no column %q", s.Input, s.Column)
		}
	}
	return nil
}
