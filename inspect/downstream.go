package inspect

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/state"
)

// Descendant is a result, gate, or deployment, and what was made from it.
type Descendant struct {
	Address string `json:"address"`
	Kind    string `json:"kind"`
	// Role is how it uses what is above it: empty for an artifact, otherwise model,
	// prompt, or values.
	Role action.Role `json:"role,omitempty"`
	// Environments are those that contain it, sorted.
	Environments []string          `json:"environments,omitempty"`
	Action       string            `json:"action_key,omitempty"`
	Digests      map[string]string `json:"digests,omitempty"` // by port
	Run          string            `json:"run,omitempty"`
	Commit       string            `json:"commit,omitempty"`
	Dirty        bool              `json:"dirty,omitempty"`
	// Repeated is set if the same result appears above.
	Repeated bool          `json:"repeated,omitempty"`
	To       []*Descendant `json:"to,omitempty"`
}

// Downstream returns everything in states that was made from the result of an
// instance in one of them: results, gates, and deployments, whatever their
// addresses. address can also be that of a model or prompt block. The error is
// *[NotFound] if nothing has that address.
func Downstream(s *store.Store, in *state.State, states []*state.State, address string) (*Descendant, error) {
	u := &uses{store: s, made: map[string]*Descendant{}, users: map[string][]use{}, commits: commits{store: s}}
	for _, st := range states {
		for _, at := range slices.Sorted(maps.Keys(st.Instances)) {
			if err := u.add(st.Environment, st.Instances[at]); err != nil {
				return nil, err
			}
		}
	}
	if inst := in.Instances[address]; inst != nil {
		root := u.made[identity(in.Environment, inst)]
		u.follow(root, map[*Descendant]bool{})
		return root, nil
	}
	if len(u.users[address]) == 0 {
		_, err := Instance(in, address)
		return nil, cmp.Or[error](err, fmt.Errorf("nothing uses %s", address))
	}
	root := &Descendant{Address: address, Kind: string(u.users[address][0].role)}
	u.followed(root, address, map[*Descendant]bool{})
	return root, nil
}

// uses are the results of states by what they were made from.
type uses struct {
	store *store.Store
	made  map[string]*Descendant // by identity
	// users by what they use: the action key of a result, the digest of an artifact,
	// or the address of a model or prompt.
	users map[string][]use
	commits
}

// use is a result that uses another.
type use struct {
	by   *Descendant
	role action.Role
}

// identity distinguishes results. Equal results of different environments are one;
// gates and deployments are not.
func identity(environment string, inst *state.Instance) string {
	if inst.Deployment == nil && inst.Kind != kind.Gate {
		return inst.ActionKey
	}
	return environment + " " + inst.Address
}

// add adds an instance of a state.
func (u *uses) add(environment string, inst *state.Instance) error {
	id := identity(environment, inst)
	if d := u.made[id]; d != nil {
		d.Environments = append(d.Environments, environment)
		return nil
	}
	d := &Descendant{
		Address: inst.Address, Kind: inst.Kind, Environments: []string{environment}, Action: inst.ActionKey, Run: inst.Run, Digests: map[string]string{},
	}
	u.made[id] = d
	for port, ref := range inst.Outputs {
		d.Digests[port] = ref.Digest
	}
	inputs := inputsOf(inst)
	if inst.Deployment == nil && inst.Kind != kind.Gate {
		entry, err := u.store.Actions.Get(inst.ActionKey)
		if err != nil {
			return diag.Failed(fmt.Sprintf("the action entry of %s cannot be read", inst.Address), "%w", err)
		}
		if entry != nil {
			d.Run, inputs = entry.Run, entry.Inputs
		}
	}
	d.Commit, d.Dirty = u.commits.of(d.Run)
	for _, in := range inputs {
		u.use(usedBy(in), use{d, in.Role})
	}
	return nil
}

func (u *uses) use(what string, by use) {
	if !slices.ContainsFunc(u.users[what], func(other use) bool { return other.by == by.by }) {
		u.users[what] = append(u.users[what], by)
	}
}

// usedBy returns what an input refers to, as a key of users.
func usedBy(in action.InputRef) string {
	switch {
	case in.Action != "":
		return in.Action
	case in.Role == action.RoleModel || in.Role == action.RolePrompt:
		return in.Address
	}
	return in.Digest // in entries of earlier builds
}

// follow adds what was made from a result.
func (u *uses) follow(d *Descendant, above map[*Descendant]bool) {
	above[d] = true
	keys := []string{d.Action}
	for _, port := range slices.Sorted(maps.Keys(d.Digests)) {
		keys = append(keys, d.Digests[port])
	}
	for _, key := range keys {
		if key != "" {
			u.followed(d, key, above)
		}
	}
}

// followed adds to d what uses a key of users. above are the results that were
// described already.
func (u *uses) followed(d *Descendant, key string, above map[*Descendant]bool) {
	for _, user := range u.users[key] {
		if above[user.by] {
			d.To = append(d.To, &Descendant{
				Address: user.by.Address, Kind: user.by.Kind, Role: user.role, Environments: user.by.Environments, Action: user.by.Action, Repeated: true,
			})
			continue
		}
		user.by.Role = user.role
		d.To = append(d.To, user.by)
		u.follow(user.by, above)
	}
}
