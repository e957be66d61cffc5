package promptfoo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quern-dev/quern/importers"
)

// importer reads one configuration.
type importer struct {
	dir, into string
	root      node
	findings  []importers.Finding

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

	shared   []any // tools that metrics name, as a local value
	env      environment
	taken    map[string]map[string]bool // names by kind of block
	comments []string                   // at the head of the pipeline
	repeats  int
}

func newImporter(dir, into string) *importer {
	return &importer{
		dir: dir, into: into, types: map[string]column{}, graders: map[string]*model{},
		taken: map[string]map[string]bool{"metric": reserved()}, repeats: 1,
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

// find adds a finding about a node.
func (im *importer) find(s importers.Severity, at node, what, detail string, args ...any) {
	file := at.file
	if file == "" {
		file = im.root.file
	}
	im.findings = append(im.findings, importers.Finding{Severity: s, File: file, Line: at.line(), What: what, Detail: fmt.Sprintf(detail, args...)})
}

func (im *importer) lost(at node, what, detail string, args ...any) {
	im.find(importers.Lost, at, what, detail, args...)
}

func (im *importer) note(at node, what, detail string, args ...any) {
	im.find(importers.Note, at, what, detail, args...)
}

// known reports the keys of a mapping that are not among those given, because
// they would otherwise be lost silently.
func (im *importer) known(n node, what string, keys ...string) {
	for _, e := range n.entries() {
		if !slices.Contains(keys, e.key) && e.value.there() {
			im.lost(e.at, what+" "+e.key, "it has no equivalent.")
		}
	}
}

// name returns a name for a block that no other block of the kind has.
func (im *importer) name(kind, wish, other string) string {
	wish = identifier(wish, other)
	if im.taken[kind] == nil {
		im.taken[kind] = map[string]bool{}
	}
	name := wish
	for i := 2; im.taken[kind][name]; i++ {
		name = fmt.Sprintf("%s_%d", wish, i)
	}
	im.taken[kind][name] = true
	return name
}

// ---- files -------------------------------------------------------------------

// maxFile is the maximum size in bytes of a file that is read into memory.
const maxFile = 256 << 20

// bytes reads a file, whose name is relative to the configuration's folder.
func (im *importer) bytes(name string) ([]byte, error) {
	path := im.path(name)
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder", name)
	}
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%s is larger than 256 MiB", name)
	}
	if err != nil {
		return nil, fileError(err)
	}
	src, err := os.ReadFile(path)
	return src, fileError(err)
}

// fileError removes a path that the finding already names.
func fileError(err error) error {
	var e *os.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func (im *importer) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(im.dir, filepath.FromSlash(name))
}

// read parses a YAML or JSON file.
func (im *importer) read(name string) (node, error) {
	src, err := im.bytes(name)
	if err != nil {
		return node{}, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if strings.HasSuffix(name, ".json") {
		return parseJSON(filepath.ToSlash(name), src, 1)
	}
	return parseYAML(filepath.ToSlash(name), src)
}

// glob returns the files that match a pattern, relative to the configuration's
// folder and sorted.
func (im *importer) glob(pattern string) []string {
	if !strings.ContainsAny(pattern, "*?[{") {
		return []string{pattern}
	}
	found, _ := filepath.Glob(im.path(pattern))
	for i, f := range found {
		if rel, err := filepath.Rel(im.dir, f); err == nil {
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
func (im *importer) follow(n node) node {
	for range maxDepth {
		if n.isMap() && n.get("$ref").isText() {
			to := im.pointer(n.get("$ref").text())
			if !to.there() {
				im.lost(n, "reference "+n.get("$ref").text(), "its target does not exist.")
				return node{}
			}
			n = to
			continue
		}
		name, ok := reference(n.text())
		if !ok || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)) {
			return n
		}
		read, err := im.read(name)
		if err != nil {
			im.lost(n, "file "+name, "%s.", sentence(err))
			return node{}
		}
		n = read
	}
	return n
}

// pointer follows #/a/b from the root.
func (im *importer) pointer(ref string) node {
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return node{}
	}
	n := im.root
	for step := range strings.SplitSeq(path, "/") {
		n = n.get(step)
	}
	return n
}

// sentence formats an error for use within a sentence.
func sentence(err error) string {
	return strings.TrimSuffix(strings.ReplaceAll(err.Error(), "\n", ": "), ".")
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
	return "var." + identifier(name, "value")
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
