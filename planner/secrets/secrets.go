// Package secrets keeps the sensitive values of a plan: the values of
// variables, and those that sensitive() hides. It returns them by name if a
// plugin needs them in clear text, and replaces them with keyed digests in
// whatever is stored.
package secrets

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store"
)

// Secrets are the sensitive values of a plan, whichever module they are from. They
// are safe for concurrent use.
type Secrets struct {
	// Redactor knows all values and removes them from texts.
	*secret.Redactor
	store  *store.Store // nil in a validation, which stores nothing
	listen func(name string, v cty.Value)

	mu sync.Mutex
	// hidden are the values that sensitive() hides, by the names of their
	// marks.
	hidden map[string]cty.Value
}

// New returns secrets that know no values yet. The store's key seals what is
// stored; without a store, nothing is. listen, if not nil, is called with each
// value that sensitive() hides and its name, one call at a time.
func New(s *store.Store, listen func(name string, v cty.Value)) *Secrets {
	return &Secrets{Redactor: secret.New(), store: s, listen: listen, hidden: map[string]cty.Value{}}
}

// Hide registers the value of a call of sensitive() under a name, a keyed
// digest of the value. A value without a digest gets no name.
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
		sum := sha256.Sum256(text) // for a validation, which stores nothing
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

// Learn registers a value that sensitive() hid in another plan of the same
// configuration.
func (s *Secrets) Learn(name string, v cty.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden[name], _ = v.UnmarkDeep()
	if s.listen != nil {
		s.listen(name, v)
	}
}

// Hidden returns the value that sensitive() hides under a name.
func (s *Secrets) Hidden(name string) (cty.Value, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.hidden[name]
	return v, ok
}

// WithHidden adds the values that sensitive() hides to the variables, for an
// expression that contains compiled ones.
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

// SealText returns a text as it is stored. A text that contains a secret, such
// as a path built from one, is replaced with its keyed digest.
func (s *Secrets) SealText(text string) (string, error) {
	if s.store == nil || !s.In(text) {
		return text, nil
	}
	return s.store.Seal([]byte(text))
}

// InPrepared reports whether anything that a plugin prepared contains a secret,
// except what it adds to requests, which is redacted.
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

// Names returns the names that messages use for variables.
func Names(names []string) []string {
	refs := make([]string, len(names))
	for i, name := range names {
		refs[i] = secret.Ref(name)
	}
	return refs
}
