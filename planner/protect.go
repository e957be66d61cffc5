package planner

import (
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
)

// protect refuses to delete or replace deployments that have prevent_destroy
// set. Removing the block from the configuration removes the protection.
func (b *builder) protect(nodes []*plan.Node) {
	for _, n := range nodes {
		if n.Action != plan.Delete && n.Action != plan.Replace {
			continue
		}
		a, err := addr.Parse(n.Address)
		if err != nil || a.Deposed > 0 { // the deployment that replaced it is protected
			continue
		}
		s := b.root.Tree.Stage(a.Stage)
		if s == nil || !s.Config.PreventDestroy {
			continue
		}
		verb := map[plan.Action]string{plan.Delete: "delete", plan.Replace: "replace"}[n.Action]
		b.Report(diag.Errorf(s.Config.DeclRange.Ptr(), "Deployment is protected",
			"The plan would %s %s, which has prevent_destroy = true. To continue, set it to false, or leave the deployment out with -exclude='%s'.", verb, n.Address, n.Address))
	}
}
