package planner

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// newRedactor knows the values of the sensitive variables.
func newRedactor(variables map[string]cty.Value) *secret.Redactor {
	r := secret.New()
	for _, v := range variables {
		if value.IsSensitive(v) {
			r.Add(v)
		}
	}
	return r
}

// seal is the keyed digest of a sensitive variable's value.
func (b *builder) seal(variable string) (string, error) {
	v := b.secrets([]string{variable})[variable]
	if b.Store == nil || !v.IsWhollyKnown() {
		return "", nil // validation, which has no use for keys
	}
	text, err := value.Value{Value: v}.MarshalJSON()
	if err != nil {
		return "", err
	}
	return b.Store.Seal(text)
}

// sealPlan notes with which secrets the plan's keys were made.
func (b *builder) sealPlan(p *plan.Plan) {
	if b.validating {
		return
	}
	names := map[string]bool{}
	for _, n := range p.Nodes {
		mark(names, fingerprint.Secrets(n, n.Body))
	}
	for _, m := range p.Models {
		mark(names, fingerprint.Secrets(&plan.Node{}, m.Body))
	}
	for _, name := range sortedKeys(names) {
		digest, err := b.seal(name)
		if err != nil {
			b.report(diag.Errorf(nil, "Cannot compute a key", "%s.", err))
			return
		}
		if p.Sealed == nil {
			p.Sealed = map[string]string{}
		}
		p.Sealed[name] = digest
	}
}

// hide makes the value of a call of sensitive() known under a name, which is a
// keyed digest of it. A value that has none is known under no name.
func (b *builder) hide(v cty.Value) string {
	text, err := value.Value{Value: v}.MarshalJSON()
	if err != nil {
		return ""
	}
	name := secret.HiddenPrefix + "unsealed"
	if b.Store != nil {
		digest, err := b.Store.Seal(text)
		if err != nil {
			return ""
		}
		const shown = 32
		name = secret.HiddenPrefix + digest[len(digest)-shown:]
	} else {
		sum := sha256.Sum256(text) // for validation: it is kept nowhere
		name += hex.EncodeToString(sum[:])
	}
	b.redactor.Add(v)
	b.hiding.Lock()
	defer b.hiding.Unlock()
	b.hidden[name] = v
	if b.Hidden != nil {
		b.Hidden(name, v.Mark(value.Sensitive{Variable: name}))
	}
	return name
}

// hiddenValue is the value that sensitive() hides under a name.
func (b *builder) hiddenValue(name string) (cty.Value, bool) {
	b.hiding.Lock()
	defer b.hiding.Unlock()
	v, ok := b.hidden[name]
	return v, ok
}

// withHidden has the values that sensitive() hides beside the variables, for an
// expression that is made of compiled ones.
func (b *builder) withHidden(ctx *hcl.EvalContext) *hcl.EvalContext {
	b.hiding.Lock()
	defer b.hiding.Unlock()
	if len(b.hidden) == 0 {
		return ctx
	}
	vars := map[string]cty.Value{}
	for at := ctx; at != nil; at = at.Parent() {
		if v, ok := at.Variables["var"]; ok && v.Type().IsObjectType() {
			vars = v.AsValueMap()
			break
		}
	}
	all := make(map[string]cty.Value, len(vars)+len(b.hidden))
	maps.Copy(all, vars)
	for name, v := range b.hidden {
		all[name] = v.Mark(value.Sensitive{Variable: name})
	}
	child := ctx.NewChild()
	child.Variables = map[string]cty.Value{"var": cty.ObjectVal(all)}
	return child
}

// hideAgain finds the values that sensitive() hides in a saved plan: it evaluates
// the configuration as when the plan was made. Sources and deployments are not
// looked at.
func (b *builder) hideAgain(p *plan.Plan) {
	isHidden := func(name string) bool { return strings.HasPrefix(name, secret.HiddenPrefix) }
	if !slices.ContainsFunc(p.Secrets, isHidden) {
		return
	}
	o := b.Options
	o.Refresh, o.RefreshOnly, o.Destroy = false, p.RefreshOnly, p.Destroy
	o.Hidden = func(name string, v cty.Value) {
		b.hiding.Lock()
		defer b.hiding.Unlock()
		b.hidden[name], _ = v.UnmarkDeep()
		if b.Hidden != nil {
			b.Hidden(name, v)
		}
	}
	if _, diags := Build(b.ctx, o); b.report(diags...) {
		return
	}
	for _, name := range p.Secrets {
		if _, ok := b.hiddenValue(name); isHidden(name) && !ok {
			b.report(diag.Errorf(nil, "The saved plan is stale", "A value that sensitive() hides has changed since the plan was made. Make a new plan."))
			return
		}
	}
}

// checkSealed reports secrets that are not those that a saved plan was made with.
func (b *builder) checkSealed(p *plan.Plan) {
	for _, name := range sortedKeys(p.Sealed) {
		digest, err := b.seal(name)
		if err == nil && digest == p.Sealed[name] {
			continue
		}
		b.report(diag.Errorf(nil, "The saved plan is stale", "The sensitive %s has changed since the plan was made, and results depend on it. Apply the plan with the earlier value, or make a new plan.", secret.Ref(name)))
	}
}

// sealed is a fingerprint as it is stored: one that contains a secret, such as a
// path that was made of one, as its keyed digest.
func (b *builder) sealed(fingerprint string) (string, error) {
	if b.Store == nil || !b.redactor.In(fingerprint) {
		return fingerprint, nil
	}
	return b.Store.Seal([]byte(fingerprint))
}

// mustSeal is sealed for a comparison: what can't be sealed equals nothing.
func (b *builder) mustSeal(fingerprint string) string {
	text, err := b.sealed(fingerprint)
	if err != nil {
		return ""
	}
	return text
}

// memo is what is kept of a plugin's notes about a source: nothing if they
// contain a secret.
func (b *builder) memo(resp *pluginv1.FingerprintResponse) []byte {
	if b.redactor.In(string(resp.GetMemo())) {
		return nil
	}
	return resp.GetMemo()
}

// discreet reports an argument whose value would be stored in clear: a
// deployment's state has what its arguments say, so that it can be found again.
func (d *decoder) discreet(arg *plan.Arg, at hcl.Range, key string) bool {
	if arg.Expr == nil || arg.Sensitive || d.n.Mode != plan.ModeDeploy {
		return true
	}
	names := slices.DeleteFunc(slices.Clone(arg.Expr.Secrets), func(name string) bool { return !d.b.isSensitive(name) })
	if len(names) == 0 {
		return true
	}
	d.errorf(at, "Secret in a deployment", "The argument %q of a deployment is stored in the state so that quern can find the deployment again, but its value comes from %s. Use a variable that is not sensitive. If the value is not secret here, wrap it in nonsensitive(…).", key, diag.List(variableNames(names)))
	return false
}

// unexposed reports an argument that the plugin writes into its results, if its
// value contains a secret.
func (d *decoder) unexposed(a *schema.Argument, arg *plan.Arg, at hcl.Range) bool {
	if !a.Recorded || arg.Expr == nil || !arg.Expr.Exposes() {
		return true
	}
	d.errorf(at, "Secret in a result", "The argument %q is stored with the results, but its value contains %s. Use a variable that is not sensitive. If the value is not secret here, wrap it in nonsensitive(…).", a.Name, diag.List(variableNames(arg.Expr.Secrets)))
	return false
}

func variableNames(names []string) []string {
	refs := make([]string, len(names))
	for i, name := range names {
		refs[i] = secret.Ref(name)
	}
	return refs
}

// reveals reports what a plugin prepared that contains a secret, such as the
// name of a column: plans and manifests have it in clear.
func (b *builder) reveals(n *node, p *pluginv1.Prepared) bool {
	if b.redactor.Empty() {
		return false
	}
	for _, c := range p.Calls {
		c.Added = b.redactor.Text(c.Added)
	}
	rest := &pluginv1.Prepared{}
	proto.Merge(rest, p)
	rest.Diagnostics = nil
	text, err := proto.Marshal(rest)
	if err != nil || !b.redactor.In(string(text)) {
		return false
	}
	return b.report(n.diagnosed(p.Diagnostics)...) || b.report(diag.Errorf(n.Range.HCL().Ptr(), "Secret in a plan",
		"Something that %s derives from its arguments, such as the name of a column, contains the value of a sensitive variable and would be stored in plain text. Use a variable that is not sensitive. If the value is not secret here, wrap it in nonsensitive(…).", n.Address))
}
