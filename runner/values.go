package runner

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/store/artifact"
)

// values are what expressions can see: sensitive variables, and the results of
// stages as they become known.
type values struct {
	scope   *plan.Scope
	secrets stage.Secrets
	seal    fingerprint.Seal
}

// vars returns the values that expressions with references to these stages and
// sensitive variables are evaluated with.
func (v *values) vars(refs, secrets []string) map[string]cty.Value {
	return v.scope.Vars(refs, v.secrets.Values(secrets))
}

// reveal lets expressions see what a node produced.
func (v *values) reveal(n *plan.Node, made *plan.Made) error {
	a, err := addr.Parse(n.Address)
	if err != nil {
		return err
	}
	v.scope.Set(a, plan.StageValue(n, made))
	return nil
}

// ready reports whether all stages that are referred to are done and have values.
func (v *values) ready(refs []string, undone map[string]bool) bool {
	for _, ref := range refs {
		a, err := addr.Parse(ref)
		if err != nil || undone[a.Stage.String()] {
			return false
		}
		if _, known := v.scope.Stage(a.Stage); !known {
			return false // left out by -target
		}
	}
	return true
}

func seen(ref artifact.Ref, a *artifact.Artifact) plan.Artifact {
	s := plan.Artifact{Digest: ref.Digest}
	if a.Dataset != nil {
		s.Rows = a.Dataset.Rows
	}
	return s
}
