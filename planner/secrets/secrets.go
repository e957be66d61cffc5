// Package secrets keeps the sensitive values of a plan: those of variables, and
// those that sensitive() hides. It gives them out by name where a plugin needs
// them in clear, and stands for them by keyed digests where something is stored.
package secrets

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store"
)

// Secrets are the sensitive values of a plan. They are safe for use by several
// goroutines.
type Secrets struct {
	// Redactor knows all values, and takes them out of texts.
	*secret.Redactor
	declared  map[string]*config.Variable
	variables map[string]cty.Value
	store     *store.Store // nil: a validation, which stores nothing
	listen    func(name string, v cty.Value)

	mu sync.Mutex
	// hidden are the values that sensitive() hides, by the names of their marks.
	hidden map[string]cty.Value
}

// New takes the variables of the root module. The store's key seals what is
// stored; without a store nothing is. Listen, if set, is called with each value
// that sensitive() hides and its name, one call at a time.
func New(declared map[string]*config.Variable, values map[string]cty.Value, s *store.Store, listen func(name string, v cty.Value)) *Secrets {
	out := &Secrets{
		Redactor: secret.New(), declared: declared, variables: values, store: s, listen: listen,
		hidden: map[string]cty.Value{},
	}
	for _, v := range values {
		if value.IsSensitive(v) {
			out.Add(v)
		}
	}
	return out
}

// Values are the values of sensitive variables, in clear.
func (s *Secrets) Values(names []string) map[string]cty.Value {
	values := make(map[string]cty.Value, len(names))
	for _, name := range names {
		v, ok := s.variables[name]
		if hidden, is := s.Hidden(name); is {
			v, ok = hidden, true
		}
		if !ok {
			v = cty.DynamicVal
		}
		values[name], _ = v.UnmarkDeep()
	}
	return values
}

// With adds the values of sensitive variables to those that an expression is
// evaluated with.
func (s *Secrets) With(vars map[string]cty.Value, names []string) map[string]cty.Value {
	if len(names) == 0 {
		return vars
	}
	out := maps.Clone(vars)
	if out == nil {
		out = map[string]cty.Value{}
	}
	out["var"] = cty.ObjectVal(s.Values(names))
	return out
}

// Seal is the keyed digest of a sensitive variable's value.
func (s *Secrets) Seal(variable string) (string, error) {
	v := s.Values([]string{variable})[variable]
	if s.store == nil || !v.IsWhollyKnown() {
		return "", nil // validation, which has no use for keys
	}
	text, err := value.Value{Value: v}.MarshalJSON()
	if err != nil {
		return "", err
	}
	return s.store.Seal(text)
}

// Hide makes the value of a call of sensitive() known under a name, which is a
// keyed digest of it. A value that has none is known under no name.
func (s *Secrets) Hide(v cty.Value) string {
	text, err := value.Value{Value: v}.MarshalJSON()
	if err != nil {
		return ""
	}
	name := secret.HiddenPrefix + "unsealed"
	if s.store != nil {
		digest, err := s.store.Seal(text)
		if err != nil {
			return ""
		}
		const shown = 32
		name = secret.HiddenPrefix + digest[len(digest)-shown:]
	} else {
		sum := sha256.Sum256(text) // for validation: it is kept nowhere
		name += hex.EncodeToString(sum[:])
	}
	s.Add(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden[name] = v
	if s.listen != nil {
		s.listen(name, v.Mark(value.Sensitive{Variable: name}))
	}
	return name
}

// Learn takes a value that sensitive() hid in another plan of the same
// configuration.
func (s *Secrets) Learn(name string, v cty.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden[name], _ = v.UnmarkDeep()
	if s.listen != nil {
		s.listen(name, v)
	}
}

// Hidden is the value that sensitive() hides under a name.
func (s *Secrets) Hidden(name string) (cty.Value, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.hidden[name]
	return v, ok
}

// WithHidden has the values that sensitive() hides in addition to the variables, for an
// expression that is made of compiled ones.
func (s *Secrets) WithHidden(ctx *hcl.EvalContext) *hcl.EvalContext {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.hidden) == 0 {
		return ctx
	}
	vars := map[string]cty.Value{}
	for at := ctx; at != nil; at = at.Parent() {
		if v, ok := at.Variables["var"]; ok && v.Type().IsObjectType() {
			vars = v.AsValueMap()
			break
		}
	}
	all := make(map[string]cty.Value, len(vars)+len(s.hidden))
	maps.Copy(all, vars)
	for name, v := range s.hidden {
		all[name] = v.Mark(value.Sensitive{Variable: name})
	}
	child := ctx.NewChild()
	child.Variables = map[string]cty.Value{"var": cty.ObjectVal(all)}
	return child
}

// IsSensitive says whether a variable is declared to be, or the name is that of
// a hidden value.
func (s *Secrets) IsSensitive(variable string) bool {
	if _, hidden := s.Hidden(variable); hidden {
		return true
	}
	v := s.declared[variable]
	return v != nil && v.Sensitive
}

// IsGiven says whether a variable has a value.
func (s *Secrets) IsGiven(variable string) bool {
	if _, hidden := s.Hidden(variable); hidden {
		return true
	}
	v, ok := s.variables[variable]
	v, _ = v.UnmarkDeep()
	return ok && v.IsWhollyKnown()
}

// OpenVariables are the values of the variables that are not sensitive.
func (s *Secrets) OpenVariables() map[string]value.Value {
	open := map[string]value.Value{}
	for name, v := range s.variables {
		if !s.IsSensitive(name) && v.IsWhollyKnown() {
			open[name] = value.Value{Value: v}
		}
	}
	return open
}

// SealText is a text as it is stored: one that contains a secret, such as a path
// that was made of one, as its keyed digest.
func (s *Secrets) SealText(text string) (string, error) {
	if s.store == nil || !s.In(text) {
		return text, nil
	}
	return s.store.Seal([]byte(text))
}

// InPrepared says whether something that a plugin prepared contains a secret. What
// is added to requests has secrets taken out.
func (s *Secrets) InPrepared(p *pluginv1.Prepared) bool {
	if s.Empty() {
		return false
	}
	for _, c := range p.Calls {
		c.Added = s.Text(c.Added)
	}
	rest := &pluginv1.Prepared{}
	proto.Merge(rest, p)
	rest.Diagnostics = nil
	text, err := proto.Marshal(rest)
	return err == nil && s.In(string(text))
}

// Names are variables as messages call them.
func Names(names []string) []string {
	refs := make([]string, len(names))
	for i, name := range names {
		refs[i] = secret.Ref(name)
	}
	return refs
}
