package promptfoo

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// importer reads one configuration.
type importer struct {
	*config.Folder
	into string
	root config.Node

	tests   []*test
	columns []string // of the tests, in the order of their first occurrence
	types   map[string]column
	// open is set if tests are lost, so that not all columns are known.
	open bool
	// untouched is the CSV file whose rows are the unchanged tests, or "" if
	// there is none.
	untouched string

	models   []*model
	graders  map[string]*model // models that only judges call, by their text in the configuration
	prompts  []*prompt
	subjects []subject
	slots    []*slot
	metrics  []measure

	shared []any // tools that metrics name, as a local value
	env    environment
	hcltext.Names
	comments []string // at the head of the pipeline
	repeats  int
}

func newImporter(dir, into string) *importer {
	return &importer{
		Folder: &config.Folder{Dir: dir}, into: into, types: map[string]column{}, graders: map[string]*model{},
		Names: hcltext.Names{"metric": reserved()}, repeats: 1,
	}
}

// reserved are the names of an evaluation's figures and columns, which metrics
// must not use.
func reserved() map[string]bool {
	names := map[string]bool{}
	for _, name := range []string{
		"row", "id", "cluster", "subject", "draw", "given", "request", "text", "tool_calls", "finish_reason", "refused", "error", "cost",
		"input_tokens", "output_tokens", "latency", "passed", "overall", "tokens", "answers", "errors",
	} {
		names[name] = true
	}
	return names
}

// ---- files -------------------------------------------------------------------

// glob returns the files that match a pattern, relative to the configuration's
// folder and sorted.
func (im *importer) glob(pattern string) []string {
	if !strings.ContainsAny(pattern, "*?[{") {
		return []string{pattern}
	}
	found, _ := filepath.Glob(im.Path(pattern))
	for i, f := range found {
		if rel, err := filepath.Rel(im.Dir, f); err == nil {
			found[i] = filepath.ToSlash(rel)
		}
	}
	return found
}

// reference returns the file that a text refers to: file://NAME.
func reference(s string) (string, bool) {
	name, ok := strings.CutPrefix(s, "file://")
	return name, ok && name != "" && !strings.Contains(name, "\n")
}

// follow replaces a reference with its target: a $ref within the configuration,
// or a YAML or JSON file.
func (im *importer) follow(n config.Node) config.Node {
	for range config.MaxDepth {
		if n.IsMap() && n.Get("$ref").IsText() {
			to := im.pointer(n.Get("$ref").Text())
			if !to.IsSet() {
				im.Lost(n, "reference "+n.Get("$ref").Text(), "its target does not exist.")
				return config.Node{}
			}
			n = to
			continue
		}
		name, ok := reference(n.Text())
		if !ok || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)) {
			return n
		}
		read, err := im.Read(name)
		if err != nil {
			im.Lost(n, "file "+name, "%s.", config.Sentence(err))
			return config.Node{}
		}
		n = read
	}
	return n
}

// pointer follows #/a/b from the root.
func (im *importer) pointer(ref string) config.Node {
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return config.Node{}
	}
	n := im.root
	for step := range strings.SplitSeq(path, "/") {
		n = n.Get(step)
	}
	return n
}

// scripts are the extensions of files that would have to be run.
var scripts = []string{".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", ".py", ".rb", ".go", ".sh"}

// isScript reports whether a reference is to a program, or to a function in one.
func isScript(name string) bool {
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "file://"), ":")
	return slices.Contains(scripts, filepath.Ext(name))
}

// ---- the environment ---------------------------------------------------------

// environment is the set of environment variables that the configuration reads.
// Each becomes a variable of the pipeline.
type environment struct {
	names []string
	// given are the values that the configuration itself sets.
	given map[string]string
}

// variable is the expression for a variable of the environment.
func (e *environment) variable(name string) string {
	if !slices.Contains(e.names, name) {
		e.names = append(e.names, name)
	}
	return "var." + hcltext.Identifier(name, "value")
}

// isSecret reports whether a name is that of a key, whose value must not be in
// the pipeline.
func isSecret(name string) bool {
	name = strings.ToUpper(name)
	for _, part := range []string{"KEY", "TOKEN", "SECRET", "PASSWORD"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
