package decode

import (
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/secrets"
)

// discreet reports an argument whose value would be stored in clear text: the
// state of a deployment contains its arguments, so that it can be found again.
func (d *bodyDecoder) discreet(arg *plan.Arg, at hcl.Range, key string) bool {
	if arg.Expr == nil || arg.Sensitive || d.node.Mode != plan.ModeDeploy {
		return true
	}
	names := slices.DeleteFunc(slices.Clone(arg.Expr.Secrets), func(name string) bool { return !d.Secrets.IsSensitive(name) })
	if len(names) == 0 {
		return true
	}
	d.errorf(at, "Secret in a deployment", "The argument %q of a deployment is stored in the state so that quern can find the deployment again, but its value comes from %s. Use a variable that is not sensitive. If the value is not secret here, wrap it in nonsensitive(…).", key, diag.List(secrets.Names(names)))
	return false
}

// unexposed reports an argument that the plugin writes into its results, if its
// value contains a secret.
func (a *argument) unexposed(arg *plan.Arg, at hcl.Range) bool {
	if !a.Recorded || arg.Expr == nil || !arg.Expr.Exposes() {
		return true
	}
	a.errorf(at, "Secret in a result", "The argument %q is stored with the results, but its value contains %s. Use a variable that is not sensitive. If the value is not secret here, wrap it in nonsensitive(…).", a.Name, diag.List(secrets.Names(arg.Expr.Secrets)))
	return false
}
