package promptfoo

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// test is a test case, which becomes a row.
type test struct {
	at      config.Node
	vars    []config.Member
	asserts []config.Node
	// options contains the options of the test, followed by those of all tests.
	options []config.Node
	// extra contains additional columns: the description and metadata.
	extra []config.Member
}

// defaults contains what all tests have in common.
type defaults struct {
	vars    []config.Entry
	asserts []config.Node
	options config.Node
	extra   []config.Member
}

// readTests reads the tests and scenarios.
func (im *importer) readTests(root config.Node) {
	d := im.defaults(im.follow(root.Get("defaultTest")))
	if n := root.Get("tests"); n.IsSet() {
		im.testList(n, d)
	}
	for _, s := range im.spread(root.Get("scenarios")) {
		im.scenario(s, d)
	}
	if len(im.tests) == 0 && !im.open {
		// Without tests, promptfoo makes one request with the default
		// variables.
		im.addTest(config.Node{File: root.File, YAML: root.YAML}, nil, d)
	}
}

func (im *importer) defaults(n config.Node) defaults {
	im.Known(n, "option of all tests", "vars", "assert", "options", "metadata", "threshold", "description", "provider")
	im.refuse(n)
	d := defaults{vars: im.vars(n.Get("vars")), asserts: n.Get("assert").Listed(), options: im.follow(n.Get("options"))}
	d.extra = im.metadata(n.Get("metadata"))
	return d
}

// refuse reports parts of a test that a row cannot represent.
func (im *importer) refuse(n config.Node) {
	for name, why := range map[string]string{
		"threshold":             "an answer passes if all its assertions pass. To require a weighted mean, use subjects.NAME.overall in a gate.",
		"assertScoringFunction": "it is a program, and the import does not run programs.",
		"providerOutput":        "existing answers can be a subject: put them in a column and write subjects = { given = row.NAME }.",
		"provider":              "all subjects answer all rows. Write a separate evaluation for these tests.",
		"providers":             "all subjects answer all rows. Write a separate evaluation for these tests.",
		"prompts":               "all subjects answer all rows. Write a separate evaluation for these tests.",
	} {
		if v := n.Get(name); v.IsSet() {
			im.Lost(v, name+" of a test", "%s", why)
		}
	}
}

func (im *importer) metadata(n config.Node) []config.Member {
	var out []config.Member
	for _, e := range n.Entries() {
		if e.Key == "conversationId" {
			im.Lost(e.At, "metadata conversationId", "questions cannot use earlier answers.")
		}
		out = append(out, config.Member{Name: "metadata_" + hcltext.Identifier(e.Key, "value"), Value: e.Value.Plain()})
	}
	return out
}

// testList reads a list of tests, or a text that names files with tests.
func (im *importer) testList(n config.Node, d defaults) {
	if n.IsText() {
		im.testFiles(n, n.Text(), d, true)
		return
	}
	for _, item := range n.Listed() {
		written := item
		item = im.follow(item)
		switch {
		case !item.IsSet():
			im.open = im.open || written.IsSet()
		case item.IsText():
			im.testFiles(item, item.Text(), d, len(n.Items()) == 1)
		case item.IsList():
			im.testList(item, d)
		case item.Get("path").IsText() && !item.Get("vars").IsSet():
			im.testFiles(item, item.Get("path").Text(), d, false)
		case item.IsMap():
			im.test(item, d)
		}
	}
}

func (im *importer) testFiles(at config.Node, text string, d defaults, alone bool) {
	name := strings.TrimPrefix(text, "file://")
	lost := func(detail string) {
		im.open = true
		im.Lost(at, "tests "+short(text), "%s", detail)
	}
	if strings.Contains(name, "://") || strings.HasPrefix(name, "az:") {
		lost("they are stored elsewhere. Read them with a source.")
		return
	}
	files := im.glob(name)
	if len(files) == 0 {
		lost("no matching files exist.")
	}
	for _, file := range files {
		if isScript(file) {
			lost("they come from a program, and the import does not run programs. Make it write a file, and read that with a source.")
			continue
		}
		if err := im.testFile(file, d, alone && len(files) == 1); err != nil {
			lost(config.Sentence(err) + ".")
		}
	}
}

func (im *importer) testFile(file string, d defaults, alone bool) error {
	switch ext := filepath.Ext(file); ext {
	case ".csv":
		return im.testsOfCSV(file, d, alone)
	case ".jsonl":
		src, err := im.Bytes(file)
		if err != nil {
			return err
		}
		line := 0
		for text := range strings.SplitSeq(string(src), "\n") {
			if line++; strings.TrimSpace(text) == "" {
				continue
			}
			n, err := config.ParseJSON(file, []byte(text), line)
			if err != nil {
				return err
			}
			im.test(n, d)
		}
		return nil
	case ".yaml", ".yml", ".json":
		n, err := im.Read(file)
		if err != nil {
			return err
		}
		if n.IsMap() {
			im.test(n, d)
		} else {
			im.testList(n, d)
		}
		return nil
	default:
		return fmt.Errorf("files of type %q are not supported", ext)
	}
}

// test adds a test case.
func (im *importer) test(n config.Node, d defaults) {
	im.Known(n, "option of a test", "vars", "assert", "options", "metadata", "description", "threshold",
		"assertScoringFunction", "providerOutput", "provider", "providers", "prompts")
	im.refuse(n)
	t := &test{at: n, asserts: n.Get("assert").Listed(), extra: im.metadata(n.Get("metadata"))}
	if o := im.follow(n.Get("options")); o.IsSet() {
		t.options = []config.Node{o}
	}
	if s := n.Get("description").Text(); s != "" {
		t.extra = append([]config.Member{{Name: "description", Value: s}}, t.extra...)
	}
	im.addTest(n, t, d, im.vars(n.Get("vars"))...)
}

// addTest adds a test with the defaults. If variables are lists, it adds a test
// for each combination of their elements.
func (im *importer) addTest(at config.Node, t *test, d defaults, vars ...config.Entry) {
	if t == nil {
		t = &test{at: at}
	}
	t.asserts = append(slices.Clone(d.asserts), t.asserts...)
	if d.options.IsSet() {
		t.options = append(t.options, d.options)
	}
	for _, m := range d.extra {
		if !slices.ContainsFunc(t.extra, func(own config.Member) bool { return own.Name == m.Name }) {
			t.extra = append(t.extra, m)
		}
	}
	var all []config.Entry
	for _, e := range slices.Concat(d.vars, vars) {
		if i := slices.IndexFunc(all, func(other config.Entry) bool { return other.Key == e.Key }); i >= 0 {
			all[i] = e
		} else {
			all = append(all, e)
		}
	}
	whole := t.option("disableVarExpansion").IsTrue()
	rows := [][]config.Member{nil}
	for _, e := range all {
		values := im.values(e, whole)
		var next [][]config.Member
		for _, row := range rows {
			for _, v := range values {
				next = append(next, append(slices.Clone(row), config.Member{Name: e.Key, Value: v}))
			}
		}
		const most = 1_000_000
		if len(next) > most {
			im.Lost(e.At, "variable "+e.Key, "it has more than a million combinations.")
			return
		}
		rows = next
	}
	for _, row := range rows {
		c := *t
		c.vars = row
		im.tests = append(im.tests, &c)
	}
}

// option returns an option of the test or of all tests.
func (t *test) option(name string) config.Node {
	for _, o := range t.options {
		if v := o.Get(name); v.IsSet() {
			return v
		}
	}
	return config.Node{}
}

// vars returns the variables of a test: a mapping, or files with mappings.
func (im *importer) vars(n config.Node) []config.Entry {
	if n.IsMap() {
		return n.Entries()
	}
	var all []config.Entry
	for _, item := range n.Listed() {
		name, _ := reference(item.Text())
		if name == "" {
			name = item.Text()
		}
		for _, file := range im.glob(name) {
			if isScript(file) {
				im.Lost(item, "variables "+file, "they come from a program, and the import does not run programs.")
				continue
			}
			read, err := im.Read(file)
			if err != nil {
				im.Lost(item, "variables "+file, "%s.", config.Sentence(err))
				continue
			}
			all = append(all, read.Entries()...)
		}
	}
	return all
}

// values returns the values of a variable: several if it is a list, unless
// whole is set.
func (im *importer) values(e config.Entry, whole bool) []any {
	// promptfoo does not create rows from a list of mappings, such as messages.
	if items := e.Value.Items(); len(items) > 0 && items[0].IsMap() {
		whole = true
	}
	if !e.Value.IsList() || whole {
		if name, ok := reference(e.Value.Text()); ok && strings.ContainsAny(name, "*?") {
			var all []any
			for _, file := range im.glob(name) {
				all = append(all, im.loaded(e.Value, "file://"+file))
			}
			return all
		}
		return []any{im.value(e.Value)}
	}
	var all []any
	for _, item := range e.Value.Items() {
		all = append(all, im.value(item))
	}
	if len(all) == 0 {
		return []any{[]any{}}
	}
	return all
}

func (im *importer) value(n config.Node) any {
	if !n.IsText() {
		return n.Plain()
	}
	return im.loaded(n, n.Text())
}

// loaded returns a text that is a variable, or the content of the file it
// refers to.
func (im *importer) loaded(at config.Node, text string) any {
	name, ok := reference(text)
	if !ok {
		if strings.HasPrefix(text, "package:") {
			im.Lost(at, "variable", "it comes from a program, and the import does not run programs.")
		}
		return strings.TrimSuffix(text, "\n")
	}
	ext := strings.ToLower(filepath.Ext(name))
	switch {
	case isScript(name):
		im.Lost(at, "variable "+name, "it comes from a program, and the import does not run programs.")
		return nil
	case slices.Contains([]string{".pdf", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".bmp", ".mp3", ".wav", ".mp4", ".mov", ".webm"}, ext):
		im.Lost(at, "variable "+name, "prompts can contain only text; images, audio, and documents have no equivalent.")
		return nil
	case ext == ".yaml" || ext == ".yml":
		n, err := im.Read(name)
		if err != nil {
			im.Lost(at, "variable "+name, "%s.", config.Sentence(err))
			return nil
		}
		if n.IsText() {
			return n.Text()
		}
		return string(config.Encode(n.Plain()))
	}
	src, err := im.Bytes(name)
	if err != nil {
		im.Lost(at, "variable "+name, "%s.", config.Sentence(err))
		return nil
	}
	return strings.TrimSpace(string(src))
}

// scenario reads data sets, and the tests that run with each of them.
func (im *importer) scenario(n config.Node, d defaults) {
	im.Known(n, "option of a scenario", "config", "tests", "description")
	for _, c := range im.spread(n.Get("config")) {
		inner := im.defaults(c)
		inner.vars = slices.Concat(d.vars, inner.vars)
		inner.asserts = slices.Concat(d.asserts, inner.asserts)
		inner.extra = append(inner.extra, d.extra...)
		if !inner.options.IsSet() {
			inner.options = d.options
		}
		if s := c.Get("description").Text(); s != "" {
			inner.extra = append(inner.extra, config.Member{Name: "scenario", Value: s})
		} else if s := n.Get("description").Text(); s != "" {
			inner.extra = append(inner.extra, config.Member{Name: "scenario", Value: s})
		}
		tests := n.Get("tests")
		if !tests.IsSet() {
			im.addTest(c, nil, inner)
			continue
		}
		im.testList(tests, inner)
	}
}
