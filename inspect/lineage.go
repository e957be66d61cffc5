package inspect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/state"
)

// Ancestor is a result and what it came from.
type Ancestor struct {
	Address string            `json:"address"`
	Role    action.Role       `json:"role,omitempty"`
	Action  string            `json:"action_key,omitempty"`
	Digests map[string]string `json:"digests,omitempty"` // by port
	Plugin  action.PluginRef  `json:"plugin"`
	Seeds   map[string]string `json:"seeds,omitempty"` // by argument
	Created time.Time         `json:"created,omitzero"`
	Run     string            `json:"run,omitempty"`
	// Commit is the Git commit of the configuration in that run, and Dirty is set if
	// there were uncommitted changes. Commit is empty if it is not known.
	Commit string `json:"commit,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"`
	// Repeated is set if the same result appears above, Missing if the
	// store no longer has the entry that says what it came from.
	Repeated bool        `json:"repeated,omitempty"`
	Missing  bool        `json:"missing,omitempty"`
	From     []*Ancestor `json:"from,omitempty"`

	// Of a deployment or gate, which has no action entry: when it was updated, and its
	// inputs.
	updated time.Time
	inputs  []action.InputRef
}

// Lineage returns everything that the result of an instance came from. It follows the
// action entries of the store, not the state, which may be newer than the result. A
// result that occurs several times is described once.
func Lineage(s *store.Store, inst *state.Instance) (*Ancestor, error) {
	return (&descent{store: s, seen: map[string]bool{}, commits: commits{store: s}}).of(inst)
}

// commits finds the Git commits of runs.
type commits struct {
	store *store.Store
	runs  map[string]*history.Run
}

// of returns the commit of a run, or "" if the run is no longer in the history.
func (c *commits) of(run string) (commit string, dirty bool) {
	if r := c.run(run); r != nil {
		return r.Commit, r.Dirty
	}
	return "", false
}

// run returns the record of a run, or nil if there is none that can be read.
func (c *commits) run(id string) *history.Run {
	r, known := c.runs[id]
	if known || id == "" {
		return r
	}
	if c.runs == nil {
		c.runs = map[string]*history.Run{}
	}
	c.runs[id], _ = c.store.Runs().Get(id) // quern log reports one that cannot be read
	return c.runs[id]
}

// descent follows the action entries from a result to its origins.
type descent struct {
	store  *store.Store
	seen   map[string]bool
	makers map[string]*action.Entry // by the digests of their outputs; nil if not read yet
	commits
}

// of returns the lineage of an instance in the state.
func (d *descent) of(inst *state.Instance) (*Ancestor, error) {
	if inst.Deployment == nil && inst.Kind != kind.Gate {
		return d.action(inst.Address, inst.ActionKey)
	}
	a := &Ancestor{Address: inst.Address, Action: inst.ActionKey, Run: inst.Run, updated: inst.Updated, inputs: inputsOf(inst)}
	a.Commit, a.Dirty = d.commits.of(inst.Run)
	return a, d.follow(a, a.inputs)
}

// inputsOf returns the inputs of a gate or a deployment.
func inputsOf(inst *state.Instance) []action.InputRef {
	inputs := inst.Inputs
	if len(inputs) == 0 && inst.Deployment != nil { // the state was written by an older quern
		for _, key := range slices.Sorted(maps.Keys(inst.Deployment.Digests)) {
			inputs = append(inputs, action.InputRef{Address: key, Digest: inst.Deployment.Digests[key]})
		}
	}
	return inputs
}

// action returns the lineage of an action's result.
func (d *descent) action(address, key string) (*Ancestor, error) {
	a := &Ancestor{Address: address, Action: key, Digests: map[string]string{}}
	if a.Repeated = d.repeated("action " + key); a.Repeated {
		return a, nil
	}
	entry, err := d.store.Actions.Get(key)
	if err != nil {
		return nil, diag.Failed(fmt.Sprintf("the action entry of %s cannot be read", address), "%w", err)
	}
	if a.Missing = entry == nil; a.Missing {
		return a, nil
	}
	a.Plugin, a.Created, a.Run = entry.Plugin, entry.Created, entry.Run
	a.Commit, a.Dirty = d.commits.of(entry.Run)
	for port, ref := range entry.Outputs {
		a.Digests[port] = ref.Digest
	}
	for _, f := range entry.Preimage.Fields() {
		_, argument, _ := strings.Cut(f.Name, " ")
		if argument != "seed" && !strings.HasSuffix(argument, ".seed") {
			continue
		}
		if a.Seeds == nil {
			a.Seeds = map[string]string{}
		}
		a.Seeds[argument] = f.Value
	}
	return a, d.follow(a, entry.Inputs)
}

func (d *descent) follow(a *Ancestor, inputs []action.InputRef) error {
	given := map[string]bool{}
	for _, in := range inputs {
		id := fmt.Sprint(in.Role, in.Address, in.Action, in.Digest)
		if in.Role != "" && given[id] {
			continue
		}
		given[id] = true
		from, err := d.input(in)
		if err != nil {
			return err
		}
		a.From = append(a.From, from)
	}
	return nil
}

func (d *descent) input(in action.InputRef) (*Ancestor, error) {
	if in.Role == action.RoleModel || in.Role == action.RolePrompt && in.Action == "" {
		a := &Ancestor{Address: in.Address, Role: in.Role, Digests: map[string]string{"": in.Digest}}
		if in.Plugin != nil {
			a.Plugin = *in.Plugin
		}
		return a, nil
	}
	key, address := in.Action, in.Address
	if key == "" {
		maker, err := d.maker(in.Digest)
		if err != nil {
			return nil, err
		}
		if maker == nil {
			return &Ancestor{Address: address, Role: in.Role, Digests: map[string]string{in.Port: in.Digest}, Missing: true}, nil
		}
		key, address = maker.Key, maker.Address
	}
	a, err := d.action(address, key)
	if err == nil {
		a.Role = in.Role
		if a.Missing && in.Digest != "" {
			a.Digests[in.Port] = in.Digest
		}
	}
	return a, err
}

// maker returns the entry with an artifact as its output, because entries of an
// older quern name their inputs only by digest.
func (d *descent) maker(digest string) (*action.Entry, error) {
	if d.makers == nil {
		d.makers = map[string]*action.Entry{}
		for e, err := range d.store.Actions.All() {
			if err != nil {
				return nil, err
			}
			for _, ref := range e.Outputs {
				d.makers[ref.Digest] = e
			}
		}
	}
	return d.makers[digest], nil
}

func (d *descent) repeated(what string) bool {
	if d.seen[what] {
		return true
	}
	d.seen[what] = true
	return false
}
