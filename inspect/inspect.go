// Package inspect answers questions about the content of a store and a state:
// which artifacts exist, whether they are intact, what they came from, and what
// past runs did. It returns data for front ends: the quern command prints it,
// and a web page can serve it. The types have the JSON forms that the command's
// -json prints.
//
// It changes nothing that a plan or an apply depends on. Reading a damaged file
// sets the file aside, as every read of the store does.
//
// Package ui/results reads what an evaluation measured, and ui/export writes
// rows in other formats.
package inspect

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/store/state"
)

// NotFound is the error for a name that does not exist.
type NotFound struct {
	// Kind is what was looked for: "instance" or "artifact".
	Kind              string
	Name, Environment string
	// Known are the names that exist, sorted.
	Known []string
}

func (e *NotFound) Error() string {
	return fmt.Sprintf("environment %q has no %s %s", e.Environment, e.Kind, e.Name)
}

// Ambiguous is the error for a name that matches several things.
type Ambiguous struct {
	Name string
	// Candidates are unambiguous names.
	Candidates []string
}

func (e *Ambiguous) Error() string {
	return fmt.Sprintf("%s is ambiguous: it can be %s", e.Name, strings.Join(e.Candidates, ", "))
}

// Instance returns the instance at an address, which has no outputs if it has
// waited for something since it was created. The error is *[NotFound] if it does
// not exist.
func Instance(st *state.State, address string) (*state.Instance, error) {
	a, err := addr.Parse(address)
	if err != nil {
		return nil, err
	}
	all := entries(st)
	if inst, ok := all[a.String()]; ok {
		return inst, nil
	}
	if err := a.CheckModule(maps.Keys(all)); err != nil {
		return nil, err
	}
	if several := instancesOf(a, all); len(several) > 0 {
		return nil, diag.Failed(fmt.Sprintf("%s has %s", a, english.Count(len(several), "instance")), "Name one of them, such as %s.", several[0].Address)
	}
	return nil, &NotFound{Kind: "instance", Name: a.String(), Environment: st.Environment, Known: slices.Sorted(maps.Keys(all))}
}

// entries returns the instances in a state. A stage that waits for something and
// has no result yet is an instance without outputs.
func entries(st *state.State) map[string]*state.Instance {
	all := maps.Clone(st.Instances)
	for address, p := range st.Pending {
		if all[address] == nil {
			all[address] = &state.Instance{
				Address: address, Kind: p.Kind, Type: p.Type, Definition: p.Definition, RowsKey: p.RowsKey, Run: p.Run, Updated: p.Updated,
			}
		}
	}
	for address, r := range st.Rejected {
		if all[address] == nil {
			all[address] = &state.Instance{Address: address, Kind: r.Kind, Type: r.Type, Run: r.Run, Updated: r.Updated}
		}
	}
	return all
}

// Entry is an instance with what it waits for, and with a later result that was
// rejected.
type Entry struct {
	*state.Instance
	// Pending is nil if the instance waits for nothing.
	Pending *state.Pending `json:"pending,omitempty"`
	// Rejected is nil if its last result met its contracts.
	Rejected *state.Rejected `json:"rejected,omitempty"`
}

// NewEntry returns an instance with what it waits for and what was rejected.
func NewEntry(st *state.State, inst *state.Instance) Entry {
	return Entry{inst, st.Pending[inst.Address], st.Rejected[inst.Address]}
}

// Instances returns the instances at some addresses, sorted by address and
// without duplicates. Without addresses, it returns all instances. An address
// without a key means all instances of its stage, and one of a module everything
// in it.
func Instances(st *state.State, addresses ...string) ([]*state.Instance, error) {
	found := map[string]*state.Instance{}
	if len(addresses) == 0 {
		found = entries(st)
	}
	for _, address := range addresses {
		of, err := ofStage(st, address)
		if err != nil {
			return nil, err
		}
		for _, inst := range of {
			found[inst.Address] = inst
		}
	}
	all := make([]*state.Instance, 0, len(found))
	for _, address := range slices.Sorted(maps.Keys(found)) {
		all = append(all, found[address])
	}
	return all, nil
}

// ofStage returns the instances that an address refers to.
func ofStage(st *state.State, address string) ([]*state.Instance, error) {
	if t, err := addr.ParseTarget(address); err == nil && t.IsModule() {
		return inModule(st, t)
	}
	a, err := addr.Parse(address)
	if err != nil {
		return nil, err
	}
	if found := instancesOf(a, entries(st)); len(found) > 0 {
		return found, nil
	}
	inst, err := Instance(st, address)
	if err != nil {
		return nil, err
	}
	return []*state.Instance{inst}, nil
}

// instancesOf returns the instances of a stage, by address, if a has no key.
func instancesOf(a addr.Instance, all map[string]*state.Instance) []*state.Instance {
	var found []*state.Instance
	for _, address := range slices.Sorted(maps.Keys(all)) {
		if i, err := addr.Parse(address); err == nil && !a.HasKey() && i.Stage == a.Stage && i.Deposed == a.Deposed {
			found = append(found, all[address])
		}
	}
	return found
}

// inModule returns the instances in a module.
func inModule(st *state.State, module addr.Target) ([]*state.Instance, error) {
	var found []*state.Instance
	for address, inst := range entries(st) {
		if module.Encloses(address) {
			found = append(found, inst)
		}
	}
	if len(found) == 0 {
		return nil, diag.Failed(fmt.Sprintf("environment %q has nothing in %s", st.Environment, module), "Run \"quern state list\" to see its instances.")
	}
	return found, nil
}

// Listing contains the instances of a state, and what identifies the state.
type Listing struct {
	Environment string  `json:"environment"`
	Format      string  `json:"format"`
	Instances   []Entry `json:"instances"`
	Lineage     string  `json:"lineage"`
	Serial      int64   `json:"serial"`
}

// List returns the instances at some addresses, as [Instances] does.
func List(st *state.State, addresses ...string) (*Listing, error) {
	found, err := Instances(st, addresses...)
	if err != nil {
		return nil, err
	}
	l := &Listing{Environment: st.Environment, Format: st.Format, Instances: make([]Entry, len(found)), Lineage: st.Lineage, Serial: st.Serial}
	for i, inst := range found {
		l.Instances[i] = NewEntry(st, inst)
	}
	return l, nil
}
