package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/format"
	"github.com/quern-dev/quern/lang/testfile"
	"github.com/quern-dev/quern/registry"
)

func fmtCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "fmt",
		Usage:     "rewrite configuration files in canonical form",
		ArgsUsage: "[FILE|DIR|-]...",
		Description: "Formats the given files, or the *.quern.hcl, *.quern-test.hcl, and *.vars.hcl files in the given folders\n" +
			"(default: the current folder), and lists the files that it changed. With -, formats standard input and writes the result to standard\n" +
			"output, prints the changes (-diff), or only checks the format (-check).",
	}
	return command(ui, c, &arguments.Fmt{}, func(_ context.Context, args *arguments.Fmt) error {
		f := formatter{ui: ui, check: args.Check.Value, diff: args.Diff.Value}
		return f.run(args)
	})
}

type formatter struct {
	ui          *terminal
	check, diff bool
	changed     bool
	mistakes    hcl.Diagnostics // of all files
}

func (f *formatter) run(args *arguments.Fmt) error {
	if args.Stdin {
		return f.stdin()
	}
	files, err := formattable(args.Paths, args.Recursive.Value)
	if err != nil {
		return err
	}
	f.ui.sources = map[string][]byte{}
	for _, file := range files {
		if err := f.file(file); err != nil {
			return err
		}
	}
	if err := f.ui.failed(f.mistakes); err != nil {
		return err
	}
	if f.check && f.changed {
		return exitStatus(exitError)
	}
	return nil
}

func (f *formatter) stdin() error {
	src, err := io.ReadAll(f.ui.in)
	if err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	f.ui.sources = map[string][]byte{"<stdin>": config.UnixLines(src)}
	out, diags := format.Source(src, "<stdin>")
	if err := f.ui.failed(diags); err != nil {
		return err
	}
	switch {
	case f.diff:
		f.printDiff("<stdin>", src, out)
	case !f.check:
		_, err = f.ui.out.Write(out)
	}
	if err == nil && f.check && !bytes.Equal(src, out) {
		err = exitStatus(exitError)
	}
	return err
}

func (f *formatter) printDiff(name string, before, after []byte) {
	f.ui.printf("%s", udiff.Unified("old/"+name, "new/"+name, string(before), string(after)))
}

func (f *formatter) file(name string) error {
	src, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	f.ui.sources[name] = config.UnixLines(src)
	out, diags := format.Source(src, name)
	f.mistakes = append(f.mistakes, diags...)
	if bytes.Equal(src, out) {
		return nil
	}
	f.changed = true
	f.ui.printf("%s\n", name)
	if f.diff {
		f.printDiff(name, src, out)
	}
	if f.check {
		return nil
	}
	return rewrite(name, out)
}

// rewrite replaces a file's content and keeps its permissions.
func rewrite(name string, content []byte) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	mode := info.Mode().Perm()
	err = replaceFile(name, mode, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	if err := os.Chmod(name, mode); err != nil { // a new file is limited by the umask
		return diag.Failed(fmt.Sprintf("the permissions of %s cannot be restored", name), "%w", err)
	}
	return nil
}

// formattable returns the files that the arguments name, sorted.
func formattable(args []string, recursive bool) ([]string, error) {
	if len(args) == 0 {
		args = []string{"."}
	}
	var files []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, diag.Failed(fmt.Sprintf("%q cannot be formatted", arg), "%w", err)
		}
		if !info.IsDir() {
			files = append(files, arg)
			continue
		}
		found, err := formattableIn(arg, recursive)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}

func formattableIn(dir string, recursive bool) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != dir && (!recursive || strings.HasPrefix(entry.Name(), ".") || entry.Name() == registry.VendorDir):
			return fs.SkipDir
		case !entry.IsDir() && isConfiguration(entry.Name()):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for files in %s: %w", dir, err)
	}
	return files, nil
}

func isConfiguration(name string) bool {
	return strings.HasSuffix(name, config.Suffix) || strings.HasSuffix(name, testfile.Suffix) || strings.HasSuffix(name, ".vars.hcl")
}
