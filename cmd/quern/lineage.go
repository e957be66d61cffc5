package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/state"
	"github.com/urfave/cli/v3"
)

func lineageCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:        "lineage",
		Usage:       "show everything that an instance's result came from",
		ArgsUsage:   "ADDRESS",
		Description: "Follows the action entries: which plugin made what from which artifacts, and when.",
		Flags:       append(environmentFlags(), jsonFlag),
		Action: func(_ context.Context, cmd *cli.Command) error {
			s, st, inst, err := instanceHere(cmd)
			if err != nil {
				return err
			}
			origin, err := ancestry(s, st, inst, map[string]bool{})
			if err != nil {
				return err
			}
			if cmd.Bool("json") {
				return ui.json(origin)
			}
			printAncestry(ui, origin, "", "")
			return nil
		},
	}
}

// ancestor is an instance's result and what it came from.
type ancestor struct {
	Address string            `json:"address"`
	Action  string            `json:"action_key,omitempty"`
	Digests map[string]string `json:"digests,omitempty"` // by port
	Plugin  action.PluginRef  `json:"plugin"`
	Created time.Time         `json:"created,omitzero"`
	Run     string            `json:"run,omitempty"`
	// Repeated is set where the same instance stands above already.
	Repeated bool        `json:"repeated,omitempty"`
	From     []*ancestor `json:"from,omitempty"`
}

func ancestry(s *store.Store, st *state.State, inst *state.Instance, seen map[string]bool) (*ancestor, error) {
	a := &ancestor{Address: inst.Address, Action: inst.ActionKey, Run: inst.Run, Digests: map[string]string{}}
	for port, ref := range inst.Outputs {
		a.Digests[port] = ref.Digest
	}
	if seen[inst.Address] {
		a.Repeated = true
		return a, nil
	}
	seen[inst.Address] = true
	parents := inst.DependsOn
	if inst.ActionKey != "" {
		entry, err := s.Actions.Get(inst.ActionKey)
		if err != nil {
			return nil, fmt.Errorf("the action entry of %s cannot be read\n%w", inst.Address, err)
		}
		if entry != nil {
			a.Plugin, a.Created = entry.Plugin, entry.Created
		}
	}
	for _, address := range parents {
		parent, ok := st.Instances[address]
		if !ok {
			continue
		}
		from, err := ancestry(s, st, parent, seen)
		if err != nil {
			return nil, err
		}
		a.From = append(a.From, from)
	}
	return a, nil
}

func printAncestry(ui *terminal, a *ancestor, first, rest string) {
	var words []string
	for _, digest := range a.Digests {
		words = append(words, shortDigest(digest))
	}
	if len(words) > 1 {
		words = []string{count(int64(len(a.Digests)), "artifact")}
	}
	if a.Plugin.Name != "" {
		words = append(words, a.Plugin.Name+" "+a.Plugin.Version)
	}
	if !a.Created.IsZero() {
		words = append(words, a.Created.Local().Format("2006-01-02 15:04:05"))
	}
	if a.Repeated {
		words = []string{"(see above)"}
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
