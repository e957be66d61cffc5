package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/state"
	"github.com/urfave/cli/v3"
)

func lineageCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "lineage",
		Usage:       "show everything that an instance's result came from",
		ArgsUsage:   "ADDRESS",
		Description: "Shows which plugin produced each result, when, and from which artifacts, models, and prompts. It reads the action\nentries of the store, so later changes to the state do not matter.",
	}
	return command(ui, c, &arguments.Lineage{}, func(_ context.Context, args *arguments.Lineage) error {
		s, _, inst, err := instanceHere(args.Env.Value, args.Address)
		if err != nil {
			return err
		}
		origin, err := (&descent{store: s, seen: map[string]bool{}}).of(inst)
		if err != nil {
			return err
		}
		if args.JSON.Value {
			return ui.json(origin)
		}
		printAncestry(ui, origin, "", "")
		return nil
	})
}

// ancestor is a result and what it came from.
type ancestor struct {
	Address string            `json:"address"`
	Role    action.Role       `json:"role,omitempty"`
	Action  string            `json:"action_key,omitempty"`
	Digests map[string]string `json:"digests,omitempty"` // by port
	Plugin  action.PluginRef  `json:"plugin"`
	Seeds   map[string]string `json:"seeds,omitempty"` // by argument
	Created time.Time         `json:"created,omitzero"`
	Run     string            `json:"run,omitempty"`
	// Repeated is set if the same result appears above, Missing if the
	// store no longer has the entry that says what it came from.
	Repeated bool        `json:"repeated,omitempty"`
	Missing  bool        `json:"missing,omitempty"`
	From     []*ancestor `json:"from,omitempty"`
}

// descent follows the action entries from a result to its origins. What the
// state holds now does not matter: it may be newer than the result.
type descent struct {
	store  *store.Store
	seen   map[string]bool
	makers map[string]*action.Entry // by the digests of their outputs; nil: not read yet
}

// of is the lineage of an instance of the state.
func (d *descent) of(inst *state.Instance) (*ancestor, error) {
	if inst.Deployment == nil && inst.Kind != kind.Gate {
		return d.action(inst.Address, inst.ActionKey)
	}
	a := &ancestor{Address: inst.Address, Action: inst.ActionKey, Run: inst.Run}
	inputs := inst.Inputs
	if len(inputs) == 0 && inst.Deployment != nil { // the state is of an older quern
		for _, key := range slices.Sorted(maps.Keys(inst.Deployment.Digests)) {
			inputs = append(inputs, action.InputRef{Address: key, Digest: inst.Deployment.Digests[key]})
		}
	}
	return a, d.follow(a, inputs)
}

// action is the lineage of the result of an action.
func (d *descent) action(address, key string) (*ancestor, error) {
	a := &ancestor{Address: address, Action: key, Digests: map[string]string{}}
	if a.Repeated = d.repeated("action " + key); a.Repeated {
		return a, nil
	}
	entry, err := d.store.Actions.Get(key)
	if err != nil {
		return nil, fmt.Errorf("the action entry of %s cannot be read\n%w", address, err)
	}
	if a.Missing = entry == nil; a.Missing {
		return a, nil
	}
	a.Plugin, a.Created, a.Run = entry.Plugin, entry.Created, entry.Run
	for port, ref := range entry.Outputs {
		a.Digests[port] = ref.Digest
	}
	for _, f := range entry.Preimage {
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

func (d *descent) follow(a *ancestor, inputs []action.InputRef) error {
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

func (d *descent) input(in action.InputRef) (*ancestor, error) {
	if in.Role == action.RoleModel || in.Role == action.RolePrompt {
		a := &ancestor{Address: in.Address, Role: in.Role, Digests: map[string]string{"": in.Digest}}
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
			return &ancestor{Address: address, Role: in.Role, Digests: map[string]string{in.Port: in.Digest}, Missing: true}, nil
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

// maker finds the entry whose output an artifact is: entries of an older quern
// name their inputs by digest alone.
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

// artifactWords names what a stage produced: its own artifact, or the number of artifacts.
func artifactWords(digests map[string]string) []string {
	if own, ok := digests[""]; ok {
		return []string{shortDigest(own)}
	}
	if len(digests) > 1 {
		return []string{english.Count(len(digests), "artifact")}
	}
	for _, digest := range digests {
		return []string{shortDigest(digest)}
	}
	return nil
}

func printAncestry(ui *terminal, a *ancestor, first, rest string) {
	words := artifactWords(a.Digests)
	if a.Role != "" {
		words = append([]string{string(a.Role)}, words...)
	}
	if a.Plugin.Name != "" {
		words = append(words, strings.TrimSpace(a.Plugin.Name+" "+a.Plugin.Version+" "+shortDigest(a.Plugin.Digest)))
	}
	for _, argument := range slices.Sorted(maps.Keys(a.Seeds)) {
		words = append(words, argument+" "+a.Seeds[argument])
	}
	if !a.Created.IsZero() {
		words = append(words, a.Created.Local().Format("2006-01-02 15:04:05"))
	}
	switch {
	case a.Repeated:
		words = []string{"(see above)"}
	case a.Missing:
		words = append(words, "(its entry is no longer in the store)")
	}
	line := fmt.Sprintf("%s%-*s  %s", first, max(36-len([]rune(first)), len(a.Address)), a.Address, strings.Join(words, "  "))
	ui.printf("%s\n", strings.TrimRight(line, " "))
	for i, from := range a.From {
		branch, trunk := "├─ ", "│  "
		if i == len(a.From)-1 {
			branch, trunk = "└─ ", "   "
		}
		printAncestry(ui, from, rest+branch, rest+trunk)
	}
}
