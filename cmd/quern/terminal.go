package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/term"

	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/printable"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/ui/results"
)

// terminal is the input and output of a command: results go to out, everything
// else to err.
type terminal struct {
	in       *os.File
	lines    *bufio.Reader // of in, once a question was asked
	out, err *os.File
	noColor  bool
	// startedIn is the folder that quern was started in, before -chdir.
	startedIn string
	// store is the folder of the store while a revision is checked out. If it is
	// empty, the configuration says where the store is.
	store string
	// mute drops warnings, for work that is not what the user asked for.
	mute bool
	// compactWarnings prints only the summaries of warnings.
	compactWarnings bool
	// sources are the configuration files that snippets are cut from.
	sources map[string][]byte
	// displaying is set while a display shows the progress.
	displaying atomic.Bool
	// warned are the warnings of plans that were shown.
	warned map[string]bool
	// secrets are removed from everything that is printed.
	secrets secret.Redactor
}

func newTerminal(in, out, err *os.File) *terminal {
	return &terminal{in: in, out: out, err: err, noColor: os.Getenv("NO_COLOR") != ""}
}

// color reports whether to print colors to f.
func (t *terminal) color(f *os.File) bool {
	return !t.noColor && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// size returns the number of columns and lines of f, or 80 by 24 if it is not a
// terminal or does not report its size.
func (t *terminal) size(f *os.File) (width, height int) {
	if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 20 && h > 2 {
		return w, h
	}
	return 80, 24
}

func (t *terminal) width(f *os.File) int {
	w, _ := t.size(f)
	return w
}

// diagnosed is an error that consists of diagnostics.
type diagnosed struct{ diags hcl.Diagnostics }

func (d diagnosed) Error() string { return d.diags.Error() }
func (d diagnosed) Unwrap() error { return d.diags }

// failed returns the diagnostics as an error if any of them is one. Otherwise,
// it prints the warnings and returns nil.
func (t *terminal) failed(diags hcl.Diagnostics) error {
	if diags.HasErrors() {
		return diagnosed{diags}
	}
	if !t.mute {
		t.diagnose(slices.DeleteFunc(slices.Clone(diags), t.shown))
	}
	return nil
}

// shown reports whether a warning was shown before, and remembers it: a run that
// plans twice gives most warnings twice.
func (t *terminal) shown(d *hcl.Diagnostic) bool {
	key := d.Summary + "\n" + d.Detail
	if d.Subject != nil {
		key += "\n" + d.Subject.String()
	}
	if t.warned[key] {
		return true
	}
	if t.warned == nil {
		t.warned = map[string]bool{}
	}
	t.warned[key] = true
	return false
}

func (t *terminal) diagnose(diags hcl.Diagnostics) {
	if len(diags) == 0 {
		return
	}
	if t.compactWarnings && !diags.HasErrors() {
		t.summarize(diags)
		return
	}
	diag.Print(t.err, diags, t.texts(diags), diag.PrintOptions{Color: t.color(t.err), Width: t.width(t.err), Redact: t.secrets.Text})
}

// summarize prints each warning in one line.
func (t *terminal) summarize(warnings hcl.Diagnostics) {
	for _, w := range warnings {
		place := ""
		if w.Subject != nil {
			place = fmt.Sprintf(" (%s:%d)", w.Subject.Filename, w.Subject.Start.Line)
		}
		t.notef("Warning: %s%s\n", w.Summary, place)
	}
}

// texts returns the sources, and the other files that diagnostics point to:
// values of variables and the lock file.
func (t *terminal) texts(diags hcl.Diagnostics) map[string][]byte {
	all := maps.Clone(t.sources)
	if all == nil {
		all = map[string][]byte{}
	}
	for _, d := range diags {
		if d.Subject == nil || all[d.Subject.Filename] != nil {
			continue
		}
		if text, err := os.ReadFile(d.Subject.Filename); err == nil {
			all[d.Subject.Filename] = text
		}
	}
	return all
}

// finish prints an error and returns the exit code.
func (t *terminal) finish(err error) int {
	if err == nil {
		return exitOK
	}
	if code, only := exitCode(err); only {
		return code
	}
	t.diagnose(diagnosticsOf(err))
	return exitError
}

// diagnosticsOf converts an error to diagnostics.
func diagnosticsOf(err error) hcl.Diagnostics { return diag.Of(withHint(err)) }

// withHint adds to an error about an unknown name how to list the existing
// ones.
func withHint(err error) error {
	var unknown *inspect.NotFound
	var ambiguous *inspect.Ambiguous
	switch {
	case errors.As(err, &unknown) && unknown.Kind == "instance":
		return diag.Failed(fmt.Sprintf("the state of environment %q has no instance %s", unknown.Environment, unknown.Name), "Run \"quern state list\" to see its instances.%s", diag.Suggest(unknown.Name, unknown.Known))
	case errors.As(err, &unknown):
		return diag.Failed(fmt.Sprintf("artifact %q does not exist in environment %q", unknown.Name, unknown.Environment), "Run \"quern artifact list\" to see what is available.%s", diag.Suggest(unknown.Name, unknown.Known))
	case errors.As(err, &ambiguous):
		return diag.Failed(fmt.Sprintf("%s has several artifacts", ambiguous.Name), "Name one of %s.", strings.Join(ambiguous.Candidates, ", "))
	}
	return err
}

// printf prints results. Control characters in args are made visible.
func (t *terminal) printf(format string, args ...any) {
	fmt.Fprintf(t.out, format, printable.Values(args)...)
}

// notef prints progress and notices to standard error, like printf.
func (t *terminal) notef(format string, args ...any) {
	fmt.Fprint(t.err, t.secrets.Text(fmt.Sprintf(format, printable.Values(args)...)))
}

// conceal keeps the values of sensitive variables out of all messages from now on.
func (t *terminal) conceal(variables map[string]cty.Value) {
	for _, v := range variables {
		if value.IsSensitive(v) {
			t.secrets.Add(v)
		}
	}
}

// slow reports that something takes long, unless a display shows the progress.
func (t *terminal) slow(text string) {
	if !t.displaying.Load() {
		t.notef("%s Press Ctrl-C to stop.\n", text)
	}
}

// patience is how long a command may print nothing.
const patience = 2 * time.Second

// waiting tells a user at a terminal what is going on if nothing else was
// printed for a while. The caller calls done when it has something to print
// itself.
func (t *terminal) waiting(what string) (done func()) {
	if !term.IsTerminal(int(t.err.Fd())) {
		return func() {}
	}
	timer := time.AfterFunc(patience, func() { t.notef("%s\n", what) })
	return func() { timer.Stop() }
}

// json prints v as indented JSON.
func (t *terminal) json(v any) error {
	enc := json.NewEncoder(printable.JSONWriter(t.out))
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table prints rows with a header, in columns.
func (t *terminal) table(header []string, rows [][]string) error {
	all := results.Table{Header: header, Rows: rows}
	return all.Text(t.out, 0)
}

var errInterrupted = errors.New("interrupted")

// line reads a line from standard input, unless stop is closed first.
func (t *terminal) line(stop <-chan struct{}) (string, error) {
	type answer struct {
		line string
		err  error
	}
	if t.lines == nil {
		t.lines = bufio.NewReader(t.in) // may read more than one line
	}
	read := make(chan answer, 1)
	// Reading cannot be interrupted; the goroutine ends with the program.
	go func() {
		line, err := t.lines.ReadString('\n')
		read <- answer{line, err}
	}()
	select {
	case a := <-read:
		return a.line, a.err
	case <-stop:
		return "", errInterrupted
	}
}

// confirm asks a question. Only "yes" means yes. Once stop is closed, the
// answer is no.
func (t *terminal) confirm(question, detail string, stop <-chan struct{}) (bool, error) {
	fmt.Fprintf(t.out, "\n%s\n  %s\n  Only \"yes\" will be accepted.\n\n  Enter a value: ", question, detail)
	line, err := t.line(stop)
	fmt.Fprintln(t.out)
	if errors.Is(err, errInterrupted) {
		return false, nil
	}
	if errors.Is(err, io.EOF) && strings.TrimSpace(line) == "" {
		return false, &diag.Error{Summary: "no answer", Detail: "Standard input is closed, so quern cannot ask for approval. Use -auto-approve, or save a plan with -out and apply it."}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	return strings.TrimSpace(line) == "yes", nil
}
