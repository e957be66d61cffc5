package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mattn/go-shellwords"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/urfave/cli/v3"
)

// TestEveryCommandAndFlagHasAScript walks the tree of commands. Scripts must
// run each command successfully and with an error, and must use each of its
// flags.
func TestEveryCommandAndFlagHasAScript(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	used := map[string]bool{}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(archive.Comment)) {
			note(used, line)
		}
	}
	app := newApp(newTerminal(os.Stdin, os.Stdout, os.Stderr))
	for _, use := range uses(app, app.Name) {
		if !used[use] {
			t.Errorf("no script has %s", use)
		}
	}
}

// uses returns what scripts must use of a command and its subcommands.
func uses(c *cli.Command, name string) []string {
	var all []string
	if len(c.Commands) == 0 {
		all = append(all, name, "! "+name)
	}
	for _, flag := range c.Flags {
		all = append(all, name+" -"+flag.Names()[0])
	}
	for _, sub := range c.Commands {
		all = append(all, uses(sub, name+" "+sub.Name)...)
	}
	return all
}

// note marks what a line of a script uses: the command, whether it must fail,
// and its flags.
func note(used map[string]bool, line string) {
	line = strings.NewReplacer("|", `\|`, ";", `\;`, "&", `\&`, ">", `\>`, "<", `\<`, "$", `\$`, "(", `\(`, ")", `\)`).Replace(line)
	words, err := shellwords.Parse(line)
	at := slices.IndexFunc(words, func(w string) bool { return w == "quern" || strings.HasSuffix(w, "/quern") })
	if err != nil || at < 0 || slices.Contains([]string{"stdout", "stderr", "cp", "cmp"}, words[0]) {
		return
	}
	refused := words[0] == "!" || words[0] == "exitcode" && words[1] == "1"
	app := newApp(newTerminal(os.Stdin, os.Stdout, os.Stderr)) // a fresh one that has not parsed anything
	begin, _ := commandAt(app, words[at:])
	c, name := app, app.Name
	for _, word := range words[at+1 : at+begin] {
		if sub := c.Command(word); sub != nil {
			c, name = sub, name+" "+sub.Name
		}
	}
	if refused {
		used["! "+name] = true
	} else {
		used[name] = true
	}
	given := words[at:]
	for i, word := range given {
		of, prefix := c, name
		if i < begin {
			of, prefix = app, app.Name
		}
		for _, flag := range of.Flags {
			flagName, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
			if strings.HasPrefix(word, "-") && slices.Contains(flag.Names(), flagName) {
				used[prefix+" -"+flag.Names()[0]] = true
			}
		}
	}
}
