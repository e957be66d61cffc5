package config

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
)

// Load reads the configuration files of a folder, without the modules that it
// calls: see LoadTree. The module is never nil. It
// contains everything that could be read, whatever the diagnostics say.
func Load(dir string) (*Module, hcl.Diagnostics) {
	l := newLoader(dir)
	l.readFolder()
	return l.finish()
}

// readFolder reads the files of the module's folder.
func (l *loader) readFolder() {
	names, diags := FileNames(l.m.Dir)
	l.diags = append(l.diags, diags...)
	for _, name := range names {
		src, err := os.ReadFile(filepath.Join(l.m.Dir, name))
		if err != nil {
			l.add(diag.Errorf(nil, "Cannot read file", "%s: %s. The following checks do not know its blocks.", l.prefix+name, cause(err)))
			l.m.Incomplete = true
			continue
		}
		l.file(l.prefix+name, src)
	}
}

// mentionsStore matches a store block, in either syntax.
var mentionsStore = regexp.MustCompile(`\bstore"?\s*[":{]`)

// LoadStore reads only where a folder's store is. It returns nil for the default place. It reads
// only files that may contain a store block, so other files may have errors. The sources are for the
// snippets of diagnostics.
func LoadStore(dir string) (*Store, map[string][]byte, hcl.Diagnostics) {
	l := newLoader(dir)
	names, diags := FileNames(dir)
	if diags.HasErrors() {
		return nil, nil, nil // the store's folder says the rest
	}
	for _, name := range names {
		src, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			l.add(diag.Errorf(nil, "Cannot read file", "%s: %s. It may say where the store is.", name, cause(err)))
			continue
		}
		if !bytes.Contains(src, []byte("store")) || !mentionsStore.Match(src) {
			continue
		}
		for _, b := range l.blocks(name, src) {
			if b.Type == "quern" {
				l.settings(b)
			}
		}
	}
	diag.Sort(l.diags)
	return l.m.Settings.Store, l.m.Sources, l.diags
}

// Parse is Load for one file that is already in memory.
func Parse(name string, src []byte) (*Module, hcl.Diagnostics) {
	l := newLoader(".")
	l.file(name, src)
	return l.finish()
}

// loader builds a module and collects its diagnostics.
type loader struct {
	m     *Module
	diags hcl.Diagnostics
	// broken is set while decoding a file that could not be parsed as a
	// whole: something that seems to be missing may not have been read.
	broken bool
	// raw are the bodies of files in JSON.
	raw map[*hclsyntax.Body]*jsonBody
	// prefix is what the names of files in diagnostics begin with.
	prefix string
	// child is set if another module calls this one.
	child bool
	// nameless contains the types of blocks whose labels are not valid.
	nameless map[string]bool
}

func newLoader(dir string) *loader {
	return &loader{raw: map[*hclsyntax.Body]*jsonBody{}, nameless: map[string]bool{}, m: &Module{
		Dir:       dir,
		Sources:   map[string][]byte{},
		Settings:  Settings{RequiredPlugins: map[string]RequiredPlugin{}, Environments: map[string]*Environment{}},
		Variables: map[string]*Variable{},
		Locals:    map[string]*Local{},
		Outputs:   map[string]*Output{},
		Checks:    map[string]*Check{},
		Calls:     map[string]*Call{},
		Plugins:   map[string]*Plugin{},
		stages:    map[addr.Stage]*Stage{},
	}}
}

func (l *loader) add(d ...*hcl.Diagnostic) { l.diags = append(l.diags, d...) }

// missing adds an error about something that is missing, unless the file
// could not be read as a whole.
func (l *loader) missing(d *hcl.Diagnostic) {
	if !l.broken {
		l.add(d)
	}
}

func (l *loader) file(name string, src []byte) {
	if body := l.body(name, src); body != nil {
		l.root(body)
	}
}

// blocks are those of a file at the top level.
func (l *loader) blocks(name string, src []byte) hclsyntax.Blocks {
	if body := l.body(name, src); body != nil {
		return body.Blocks
	}
	return nil
}

// body parses a file. It returns nil if nothing can be read.
func (l *loader) body(name string, src []byte) *hclsyntax.Body {
	src = UnixLines(src)
	read, check := parse, CheckText
	if strings.HasSuffix(name, JSONSuffix) {
		src = bytes.TrimPrefix(src, []byte("\ufeff"))
		read, check = l.parseJSON, checkJSONText
	}
	l.m.Sources[name] = src
	if d := check(name, src); d != nil {
		l.add(d)
		l.m.Incomplete = true
		return nil
	}
	body, diags := read(name, src)
	l.diags = append(l.diags, onceEach(diags)...)
	l.broken = diags.HasErrors()
	l.m.Incomplete = l.m.Incomplete || l.broken
	return body
}

// onceEach drops repetitions of the one syntax error that cascades:
// after an unclosed quote, every line is an error.
func onceEach(diags hcl.Diagnostics) hcl.Diagnostics {
	const cascading = "Invalid multi-line string"
	seen := false
	var first hcl.Diagnostics
	for _, d := range diags {
		if d.Summary == cascading {
			if seen {
				continue
			}
			seen = true
		}
		first = append(first, d)
	}
	return first
}

func (l *loader) finish() (*Module, hcl.Diagnostics) {
	l.checkReferences()
	if !l.child { // which may have several addresses
		l.m.Locate(l.diags, addr.Module{})
	}
	diag.Sort(l.diags)
	if !slices.ContainsFunc(slices.Collect(maps.Values(l.m.Variables)), func(v *Variable) bool { return v.Artifact != nil }) {
		l.m.bodies = nil
	}
	return l.m, l.diags
}

const noFiles = "No configuration files"

// FileNames returns the names of a folder's configuration files, sorted.
// A folder without configuration files is an error.
func FileNames(dir string) ([]string, hcl.Diagnostics) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, hcl.Diagnostics{diag.Errorf(nil, "Cannot read folder", "%s: %s. Run quern in the folder of a pipeline, or name the folder with -chdir=FOLDER.", dir, cause(err))}
	}
	var names, near []string
	for _, e := range entries {
		name := e.Name()
		switch {
		case e.IsDir(), strings.HasPrefix(name, "."), name == Suffix[1:], name == JSONSuffix[1:]:
		case strings.HasSuffix(name, ".vars.hcl"), name == "quern.vars.hcl":
		case strings.HasSuffix(name, Suffix), strings.HasSuffix(name, JSONSuffix):
			names = append(names, name)
		case strings.HasSuffix(name, ".hcl"):
			near = append(near, name)
		}
	}
	if len(names) > 0 {
		return names, nil
	}
	d := diag.Errorf(nil, noFiles, "The folder %s contains no files whose names end in %s or %s. Run quern in the folder of a pipeline, or name the folder with -chdir=FOLDER.", dir, Suffix, JSONSuffix)
	if len(near) > 0 {
		stem := strings.TrimSuffix(near[0], ".hcl")
		d.Detail = "The folder " + dir + " contains " + near[0] + ", but quern reads only files whose names end in " + Suffix + " or " + JSONSuffix + ". Rename it to " + stem + Suffix + "."
	}
	return nil, hcl.Diagnostics{d}
}

// cause returns the reason of a file error without the path, because messages
// name the path themselves.
func cause(err error) string {
	var e *os.PathError
	if errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}
