package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
)

// manCommand writes a man page for each command. Only packagers of quern need
// it, so help does not list it.
func manCommand(ui *terminal) *cli.Command {
	c := &cli.Command{Name: "man", Usage: "write man pages to a folder", ArgsUsage: "DIR", Hidden: true}
	return command(ui, c, &arguments.Man{}, func(_ context.Context, args *arguments.Man) error {
		if err := os.MkdirAll(args.Dir, 0o755); err != nil {
			return err
		}
		return writeMan(args.Dir, c.Root(), "")
	})
}

// writeMan writes the pages of a command and its subcommands.
func writeMan(dir string, cmd *cli.Command, parent string) error {
	name := strings.TrimSpace(parent + " " + cmd.Name)
	file := filepath.Join(dir, pageName(name)+".1")
	if err := os.WriteFile(file, []byte(manPage(name, cmd)), 0o644); err != nil {
		return err
	}
	for _, sub := range cmd.VisibleCommands() {
		if err := writeMan(dir, sub, name); err != nil {
			return err
		}
	}
	return nil
}

// pageName returns the name of a command's page, such as quern-state-mv.
func pageName(command string) string { return strings.ReplaceAll(command, " ", "-") }

// manPage returns a page in roff.
func manPage(name string, cmd *cli.Command) string {
	var page strings.Builder
	fmt.Fprintf(&page, ".TH %s 1 \"\" %q\n", strings.ToUpper(roff(pageName(name))), "quern "+version)
	fmt.Fprintf(&page, ".SH NAME\n%s \\- %s\n", roff(pageName(name)), roff(cmd.Usage))
	fmt.Fprintf(&page, ".SH SYNOPSIS\n.B %s\n%s\n", roff(name), roff(synopsis(cmd)))
	if cmd.Description != "" {
		// Lines of a description are not reflowed, because some are examples.
		fmt.Fprintf(&page, ".SH DESCRIPTION\n.nf\n%s\n.fi\n", roff(strings.TrimRight(cmd.Description, "\n")))
	}
	writeOptions(&page, cmd)
	writeSubcommands(&page, name, cmd)
	if parent, _, below := cutLast(name, " "); below {
		fmt.Fprintf(&page, ".SH SEE ALSO\n.BR %s (1)\n", roff(pageName(parent)))
	}
	return page.String()
}

func synopsis(cmd *cli.Command) string {
	var parts []string
	if len(cmd.VisibleFlags()) > 0 {
		parts = append(parts, "[flags]")
	}
	if len(cmd.VisibleCommands()) > 0 {
		parts = append(parts, "COMMAND")
	}
	if cmd.ArgsUsage != "" {
		parts = append(parts, cmd.ArgsUsage)
	}
	return strings.Join(parts, " ")
}

func writeOptions(page *strings.Builder, cmd *cli.Command) {
	flags := cmd.VisibleFlags()
	if len(flags) > 0 {
		page.WriteString(".SH OPTIONS\n")
	}
	for _, flag := range flags {
		described, ok := flag.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		placeholder, usage := unquoteUsage(described.GetUsage())
		if placeholder == "" && described.TakesValue() {
			placeholder = strings.ToUpper(described.TypeName())
		}
		var names []string
		for _, name := range flag.Names() {
			names = append(names, `\fB\-`+roff(name)+`\fR`)
		}
		term := strings.Join(names, ", ")
		if placeholder != "" {
			term += `=\fI` + roff(placeholder) + `\fR`
		}
		fmt.Fprintf(page, ".TP\n%s\n%s\n", term, roff(usage))
	}
}

// unquoteUsage returns the name of a flag's value, which is in backticks in its
// usage.
func unquoteUsage(usage string) (placeholder, plain string) {
	before, rest, found := strings.Cut(usage, "`")
	if !found {
		return "", usage
	}
	placeholder, after, found := strings.Cut(rest, "`")
	if !found {
		return "", usage
	}
	return placeholder, before + placeholder + after
}

func writeSubcommands(page *strings.Builder, name string, cmd *cli.Command) {
	commands := cmd.VisibleCommands()
	if len(commands) > 0 {
		page.WriteString(".SH COMMANDS\n")
	}
	for _, sub := range commands {
		fmt.Fprintf(page, ".TP\n.BR %s (1)\n%s\n", roff(pageName(name+" "+sub.Name)), roff(sub.Usage))
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// roff escapes text: backslashes, hyphens, which would become typographic ones,
// and lines that would be commands.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
