package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/english"
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
		s, _, inst, err := instanceHere(ui, args.Env.Value, args.Address)
		if err != nil {
			return err
		}
		origin, err := inspect.Lineage(s, inst)
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

// artifactWords describes the result of a stage: its own artifact, or the
// number of artifacts.
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

func printAncestry(ui *terminal, a *inspect.Ancestor, first, rest string) {
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
