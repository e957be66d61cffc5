package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/state"
	"github.com/quern-dev/quern/ui/export"
	"github.com/urfave/cli/v3"
)

func artifactCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:  "artifact",
		Usage: "list, show, export, and verify artifacts",
		Commands: []*cli.Command{
			artifactListCommand(ui), artifactShowCommand(ui), artifactExportCommand(ui), artifactVerifyCommand(ui),
		},
	}
}

// standing is an artifact that an instance of a state has produced.
type standing struct {
	Address string       `json:"address"`
	Port    string       `json:"port,omitempty"`
	Ref     artifact.Ref `json:"artifact"`
}

func (s standing) name() string {
	if s.Port == "" {
		return s.Address
	}
	return s.Address + "." + s.Port
}

// standingIn lists the artifacts of a state by address.
func standingIn(st *state.State) []standing {
	all := []standing{}
	for _, address := range slices.Sorted(maps.Keys(st.Instances)) {
		outputs := st.Instances[address].Outputs
		for _, port := range slices.Sorted(maps.Keys(outputs)) {
			all = append(all, standing{Address: address, Port: port, Ref: outputs[port]})
		}
	}
	return all
}

// findArtifact looks up an artifact as users name it: by address, by address
// and port, or by the beginning of its digest.
func findArtifact(st *state.State, given string) (standing, error) {
	var found []standing
	for _, s := range standingIn(st) {
		switch {
		case s.name() == given:
			return s, nil
		case s.Address == given, digestMatches(s.Ref, given):
			found = append(found, s)
		}
	}
	switch {
	case len(found) == 1 || len(found) > 1 && found[0].Address != given:
		return found[0], nil
	case len(found) > 1:
		names := make([]string, len(found))
		for i, s := range found {
			names[i] = s.name()
		}
		return standing{}, fmt.Errorf("%s has several artifacts\nName one of %s.", given, strings.Join(names, ", "))
	}
	return standing{}, fmt.Errorf("artifact %q does not exist in environment %q\nRun \"quern artifact list\" to see what is available.", given, st.Environment)
}

func digestMatches(ref artifact.Ref, given string) bool {
	given = strings.TrimPrefix(given, "sha256:")
	return len(given) >= 6 && (strings.HasPrefix(strings.TrimPrefix(ref.Digest, "sha256:"), given) || strings.HasPrefix(strings.TrimPrefix(ref.Manifest, "sha256:"), given))
}

func artifactListCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:  "list",
		Usage: "list the artifacts of an environment",
	}
	return command(ui, c, &arguments.ArtifactList{}, func(_ context.Context, args *arguments.ArtifactList) error {
		s, st, err := stateHere(args.Env.Value)
		if err != nil {
			return err
		}
		if args.JSON.Value {
			return ui.json(map[string]any{"artifacts": standingIn(st)})
		}
		var rows [][]string
		for _, a := range standingIn(st) {
			rows = append(rows, []string{a.name(), a.Ref.Kind, size(s, a.Ref), shortDigest(a.Ref.Digest)})
		}
		return ui.table([]string{"ARTIFACT", "KIND", "SIZE", "DIGEST"}, rows)
	})
}

// size says how large an artifact is in the unit that fits its kind.
func size(s *store.Store, ref artifact.Ref) string {
	a, err := artifact.Get(s.Blobs, ref)
	switch {
	case err != nil:
		return "damaged"
	case a.Dataset != nil:
		return english.Count(a.Dataset.Rows, "row")
	}
	var bytes int64
	for _, f := range a.Files {
		bytes += f.Size
	}
	return byteSize(bytes)
}

func artifactShowCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "show",
		Usage:     "show an artifact's manifest and, for a dataset, its first rows",
		ArgsUsage: "ADDRESS[.PORT]|DIGEST",
	}
	return command(ui, c, &arguments.ArtifactShow{}, func(ctx context.Context, args *arguments.ArtifactShow) error {
		s, st, err := stateHere(args.Env.Value)
		if err != nil {
			return err
		}
		found, err := findArtifact(st, args.Artifact)
		if err != nil {
			return err
		}
		a, err := artifact.Get(s.Blobs, found.Ref)
		if err != nil {
			return err
		}
		if args.JSON.Value {
			return showArtifactJSON(ctx, ui, s, found, a, args.Rows.Value)
		}
		ui.printf("%s\n", artifactTitle(found.name(), found.Ref))
		if err := printArtifact(ui, s, found.Ref, "  "); err != nil {
			return err
		}
		if a.Dataset == nil || args.Rows.Value == 0 {
			return nil
		}
		ui.printf("\n")
		return printRows(ctx, ui, s, a.Dataset, args.Rows.Value)
	})
}

// showArtifactJSON prints an artifact's manifest and the first rows of a dataset.
func showArtifactJSON(ctx context.Context, ui *terminal, s *store.Store, found standing, a *artifact.Artifact, n int) error {
	shown := map[string]any{"address": found.Address, "port": found.Port, "artifact": found.Ref, "manifest": a}
	if a.Dataset != nil {
		d, err := exportedDataset(s, a)
		if err != nil {
			return err
		}
		rows, err := export.Head(ctx, d, n)
		if err != nil {
			return fmt.Errorf("the rows of %s cannot be shown as JSON\n%w", found.name(), err)
		}
		shown["rows"] = rows
	}
	return ui.json(shown)
}

func artifactVerifyCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "verify",
		Usage:       "check artifacts against their digests",
		ArgsUsage:   "[ADDRESS[.PORT]|DIGEST]...",
		Description: "Verifies the named artifacts, or all artifacts of the environment. Damaged files are set aside, and the next\napply recreates them.",
	}
	return command(ui, c, &arguments.ArtifactVerify{}, func(ctx context.Context, args *arguments.ArtifactVerify) error {
		ctx, cancel := interruptible(ctx)
		defer cancel()
		s, st, err := stateHere(args.Env.Value)
		if err != nil {
			return err
		}
		wanted, err := artifactsNamed(st, args.Artifacts)
		if err != nil {
			return err
		}
		return verify(ctx, ui, s, wanted, args.JSON.Value)
	})
}

func artifactsNamed(st *state.State, given []string) ([]standing, error) {
	if len(given) == 0 {
		return standingIn(st), nil
	}
	var all []standing
	for _, name := range given {
		found, err := findArtifact(st, name)
		if err != nil {
			return nil, err
		}
		all = append(all, found)
	}
	return all, nil
}

// verified is what verify found about an artifact.
type verified struct {
	standing
	OK bool `json:"ok"`
	// Status is ok, damaged, or missing: some of its files no longer exist.
	Status string   `json:"status"`
	Errors []string `json:"errors,omitempty"`
}

const (
	artifactOK      = "ok"
	artifactDamaged = "damaged"
	artifactMissing = "missing"
)

// found records one problem. Damage is worse than missing files.
func (v *verified) found(err error) {
	v.OK = false
	v.Errors = append(v.Errors, err.Error())
	if missing := (*blob.Missing)(nil); errors.As(err, &missing) {
		if v.Status == artifactOK {
			v.Status = artifactMissing
		}
		return
	}
	v.Status = artifactDamaged
}

func verify(ctx context.Context, ui *terminal, s *store.Store, wanted []standing, asJSON bool) error {
	all := []verified{}
	bad := map[string]int{}
	for _, w := range wanted {
		v := verified{standing: w, OK: true, Status: artifactOK}
		for _, err := range artifact.Verify(ctx, s.Blobs, w.Ref) {
			if errors.Is(err, context.Canceled) {
				return err
			}
			v.found(err)
		}
		bad[v.Status]++
		all = append(all, v)
	}
	if asJSON {
		if err := ui.json(map[string]any{"artifacts": all}); err != nil {
			return err
		}
	} else {
		printVerified(ui, all)
	}
	return notWhole(bad, len(all))
}

// notWhole is the error for artifacts that are damaged or missing.
func notWhole(bad map[string]int, of int) error {
	var parts []string
	hint := "Run \"quern apply\" to recreate what is missing."
	if n := bad[artifactDamaged]; n > 0 {
		parts = append(parts, fmt.Sprintf("%s of %d damaged", english.Count(n, "artifact"), of))
		hint = fmt.Sprintf("Damaged files were moved to %s/damaged. Run \"quern apply\" to recreate them.", storeDir)
	}
	if n := bad[artifactMissing]; n > 0 {
		parts = append(parts, fmt.Sprintf("%s of %d missing", english.Count(n, "artifact"), of))
	}
	if len(parts) == 0 {
		return nil
	}
	return fmt.Errorf("%s\n%s", strings.Join(parts, ", "), hint)
}

func printVerified(ui *terminal, all []verified) {
	for _, v := range all {
		ui.printf("%-9s %s\n", v.Status, v.name())
		for _, e := range v.Errors {
			ui.printf("          %s\n", e)
		}
	}
}

func artifactTitle(name string, ref artifact.Ref) string {
	if name == "" {
		return ref.Kind + " " + ref.Digest
	}
	return name + ": " + ref.Kind + " " + ref.Digest
}

// printArtifact describes an artifact from its manifest.
func printArtifact(ui *terminal, s *store.Store, ref artifact.Ref, margin string) error {
	a, err := artifact.Get(s.Blobs, ref)
	if err != nil {
		return err
	}
	if a.Dataset != nil {
		ui.printf("%s%s in %s\n", margin, english.Count(a.Dataset.Rows, "row"), english.Count(len(a.Dataset.Shards), "shard"))
		for _, c := range a.Dataset.Schema {
			ui.printf("%s%-20s %s\n", margin, c.Name, c.Type)
		}
	}
	if a.ModelFormat != "" {
		ui.printf("%sformat %s\n", margin, a.ModelFormat)
	}
	for _, f := range a.Files {
		ui.printf("%s%-20s %10s  %s\n", margin, f.Name, byteSize(f.Size), shortDigest(f.Digest))
	}
	return nil
}

func shortDigest(d string) string {
	if len(d) > 19 {
		return d[:19]
	}
	return d
}

func byteSize(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// indent puts margin before each line, and ends the last one.
func indent(text, margin string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return margin + strings.Join(lines, "\n"+margin) + "\n"
}
