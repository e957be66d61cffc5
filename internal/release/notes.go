package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/quern-dev/quern/internal/version"
)

// notesCommand prints the notes of the release: its section of CHANGELOG.md.
func notesCommand(_ context.Context, args []string) error {
	if err := parse(flag.NewFlagSet("notes", flag.ContinueOnError), args); err != nil {
		return err
	}
	notes, err := releaseNotes(version.Number)
	if err != nil {
		return err
	}
	fmt.Print(notes)
	return nil
}

// releaseNotes returns what CHANGELOG.md says about a version, without the
// version's heading.
func releaseNotes(version string) (string, error) {
	changes, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return "", err
	}
	notes, ok := section(string(changes), version)
	if !ok {
		return "", fmt.Errorf("CHANGELOG.md has no section %s: rename \"Unreleased\"", version)
	}
	return notes, nil
}

// section returns the text below the heading "## VERSION - DATE", up to the
// next heading of that level.
func section(changes, version string) (string, bool) {
	var text strings.Builder
	in, found := false, false
	for line := range strings.Lines(changes) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			name, _, _ := strings.Cut(strings.TrimSpace(heading), " ")
			in = strings.Trim(name, "[]") == version
			found = found || in
			continue
		}
		if in {
			text.WriteString(line)
		}
	}
	return strings.TrimSpace(text.String()) + "\n", found
}
