// Program bench measures quern's speed and memory on generated data, compares
// them with their limits, and prints one table. Terraform, DVC, and SQLMesh, if
// they are installed, are measured with the same kind of work.
//
// It runs the built quern as a user would; only the row expression is timed
// inside a process. Results that miss a limit are marked. The exit code says
// whether everything could be measured or, with -strict, whether every limit
// was met.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	b := &bench{}
	var only, markdown string
	var keep, strict bool
	flag.StringVar(&b.quern, "quern", "bin/quern", "the quern to measure")
	flag.StringVar(&b.source, "source", ".", "the folder of quern's source")
	flag.StringVar(&b.dir, "dir", "", "a folder for data and stores (default: a temporary one)")
	flag.IntVar(&b.rows, "rows", 1_000_000, "number of rows in the row-wise cases")
	flag.IntVar(&b.manyRows, "many-rows", 10_000_000, "number of rows in the case that shows that memory does not grow (0: skip it)")
	flag.StringVar(&b.promptfoo, "promptfoo", os.Getenv("PROMPTFOO"), "the promptfoo to compare with (default: $PROMPTFOO or, if it is not set, the one in PATH)")
	flag.StringVar(&only, "only", "", "suites to run, separated by commas: "+strings.Join(names(), ", "))
	flag.StringVar(&markdown, "markdown", "", "also write the table to this file")
	flag.BoolVar(&keep, "keep", false, "keep the folder with data and stores")
	flag.BoolVar(&strict, "strict", false, "exit with 2 if a limit is missed")
	flag.Parse()
	if err := b.prepare(); err != nil {
		fail(err)
	}
	if !keep {
		defer os.RemoveAll(b.dir)
	}
	results, broken := b.run(chosen(only), os.Stderr)
	printTable(os.Stdout, results)
	if markdown != "" {
		if err := writeMarkdown(markdown, results); err != nil {
			fail(err)
		}
	}
	switch {
	case broken:
		os.Exit(1)
	case strict && missed(results):
		os.Exit(2)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// suite is a group of measurements with a common setup.
type suite struct {
	name string
	run  func(*bench) ([]result, error)
}

func suites() []suite {
	return []suite{
		{"start", starting},
		{"demo", demo},
		{"stages", stages},
		{"compile", compile},
		{"rows", rowwise},
		{"many-rows", flatMemory},
		{"memory", grownMemory},
		{"quality", quality},
		{"contracts", contracts},
		{"ingest", ingest},
		{"dedup", dedup},
		{"profile", profiling},
		{"redact", redact},
		{"tokenize", tokenize},
		{"pull-request", pullRequest},
		{"python", python},
		{"prompt", promptSearch},
		{"expression", expression},
		{"terraform", terraform},
		{"dvc", dvc},
		{"sqlmesh", sqlmesh},
		{"llm", languageModels},
	}
}

func names() []string {
	var out []string
	for _, s := range suites() {
		out = append(out, s.name)
	}
	return out
}

// chosen returns the suites in a list of names. An empty list means all.
func chosen(list string) []suite {
	all := suites()
	if list == "" {
		return all
	}
	wanted := strings.Split(list, ",")
	return slices.DeleteFunc(all, func(s suite) bool { return !slices.Contains(wanted, s.name) })
}

// bench contains what all suites share.
type bench struct {
	quern, source, dir string
	promptfoo          string
	rows, manyRows     int
}

// prepare makes paths absolute and builds the plugin.
func (b *bench) prepare() error {
	for _, path := range []*string{&b.quern, &b.source} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = abs
	}
	if _, err := os.Stat(b.quern); err != nil {
		return fmt.Errorf("there is no quern to measure: %w (make build makes it)", err)
	}
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "quern-bench-")
		if err != nil {
			return err
		}
		b.dir = dir
	}
	if err := os.MkdirAll(b.plugins(), 0o755); err != nil {
		return err
	}
	return b.build(filepath.Join(b.plugins(), "quern-plugin-bench"), "./bench/plugin")
}

// build builds a program in this folder.
func (b *bench) build(to, of string) error {
	_, err := run(b.source, nil, "go", "build", "-o", to, of)
	return err
}

func (b *bench) plugins() string { return filepath.Join(b.dir, "plugins") }

// run runs suites one after the other. If one fails, the others still run.
func (b *bench) run(suites []suite, log io.Writer) (results []result, broken bool) {
	for _, s := range suites {
		fmt.Fprintf(log, "bench: %s …\n", s.name)
		got, err := s.run(b)
		results = append(results, got...)
		if err != nil {
			broken = true
			fmt.Fprintf(log, "bench: %s could not be measured: %s\n", s.name, err)
			results = append(results, result{what: s.name, measured: "could not be measured", verdict: missedLimit})
		}
	}
	return results, broken
}

// command runs quern in a folder.
func (b *bench) command(dir string, args ...string) (usage, error) {
	return run(dir, []string{"QUERN_PLUGIN_PATH=" + b.plugins()}, b.quern, args...)
}
