package main

import (
	"context"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/pin"
)

func artifactPinCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "pin",
		Usage:       "keep an artifact from being removed by gc",
		ArgsUsage:   "ARTIFACT",
		Description: "Keeps the artifact, and the record of how it was produced, even if no environment refers to it anymore. The reason\nis shown by gc and by \"quern artifact pins\".",
	}
	return command(ui, c, &arguments.ArtifactPin{}, func(_ context.Context, args *arguments.ArtifactPin) error {
		s, st, err := stateHere(ui, args.Env.Value)
		if err != nil {
			return err
		}
		_, found, err := artifactHere(ui, args.Env.Value, args.Artifact)
		if err != nil {
			return err
		}
		now := time.Now().UTC()
		p := &pin.Pin{Artifact: found.Ref, Name: found.Name(), Environment: args.Env.Value, Reason: args.Reason.Value, By: whoami(), Created: now}
		if inst := st.Instances[found.Address]; inst != nil {
			p.ActionKey = inst.ActionKey
		}
		until := ""
		if args.ExpiresIn.Value > 0 {
			expires := now.Add(args.ExpiresIn.Value)
			p.Expires, until = &expires, " until "+expires.Local().Format("2006-01-02 15:04")
		}
		if err := s.Pins.Put(p); err != nil {
			return diag.Failed("the artifact cannot be pinned", "%w", err)
		}
		ui.printf("Pinned %s (%s)%s.\n", p.Name, shortDigest(p.Artifact.Digest), until)
		return nil
	})
}

// whoami names the user and the machine.
func whoami() string {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

func artifactUnpinCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "unpin",
		Usage:       "remove a pin",
		ArgsUsage:   "ARTIFACT|DIGEST",
		Description: "The argument is the name that the artifact had when it was pinned, or at least six digits of its digest.",
	}
	return command(ui, c, &arguments.ArtifactUnpin{}, func(_ context.Context, args *arguments.ArtifactUnpin) error {
		s, pins, err := readPins(ui)
		if err != nil {
			return err
		}
		var found []*pin.Pin
		for _, p := range pins {
			if p.Name == args.Artifact || len(args.Artifact) >= 6 && strings.HasPrefix(strings.TrimPrefix(p.Artifact.Digest, "sha256:"), strings.TrimPrefix(args.Artifact, "sha256:")) {
				found = append(found, p)
			}
		}
		switch {
		case len(found) == 0:
			return diag.Failed(args.Artifact+" is not pinned", "Run \"quern artifact pins\" to see what is.")
		case len(found) > 1:
			return diag.Failed("several pinned artifacts have the name "+args.Artifact, "Give the digest of one of them. Run \"quern artifact pins\" to see them.")
		}
		if err := s.Pins.Remove(found[0]); err != nil {
			return diag.Failed("the pin cannot be removed", "%w", err)
		}
		ui.printf("Unpinned %s (%s).\n", found[0].Name, shortDigest(found[0].Artifact.Digest))
		return nil
	})
}

func artifactPinsCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:  "pins",
		Usage: "list the pinned artifacts of the store",
	}
	return command(ui, c, &arguments.ArtifactPins{}, func(_ context.Context, args *arguments.ArtifactPins) error {
		_, pins, err := readPins(ui)
		if err != nil {
			return err
		}
		if args.JSON.Value {
			if pins == nil {
				pins = []*pin.Pin{}
			}
			return ui.json(map[string]any{"pins": pins})
		}
		var rows [][]string
		for _, p := range pins {
			until := "never"
			if p.Expires != nil {
				until = p.Expires.Local().Format("2006-01-02 15:04")
			}
			if p.Expired(time.Now()) {
				until = "expired"
			}
			rows = append(rows, []string{p.Name, p.Environment, shortDigest(p.Artifact.Digest), p.Created.Local().Format("2006-01-02"), until, p.Reason})
		}
		return ui.table([]string{"ARTIFACT", "ENVIRONMENT", "DIGEST", "PINNED", "EXPIRES", "REASON"}, rows)
	})
}

// readPins opens the store and returns it with its pins.
func readPins(ui *terminal) (*store.Store, []*pin.Pin, error) {
	s, err := openStore(ui)
	if err != nil {
		return nil, nil, err
	}
	pins, err := s.Pins.All()
	if err != nil {
		return nil, nil, diag.Failed("the pins cannot be read", "%w", err)
	}
	return s, pins, nil
}
