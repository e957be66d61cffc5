package promptfoo

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// test is a test case, which becomes a row.
type test struct {
	at      node
	vars    []member
	asserts []node
	// options contains the options of the test, followed by those of all tests.
	options []node
	// extra contains additional columns: the description and metadata.
	extra []member
}

// defaults contains what all tests have in common.
type defaults struct {
	vars    []entry
	asserts []node
	options node
	extra   []member
}

// readTests reads the tests and scenarios.
func (im *importer) readTests(root node) {
	d := im.defaults(im.follow(root.get("defaultTest")))
	if n := root.get("tests"); n.there() {
		im.testList(n, d)
	}
	for _, s := range im.spread(root.get("scenarios")) {
		im.scenario(s, d)
	}
	if len(im.tests) == 0 && !im.open {
		// Without tests, promptfoo makes one request with the default
		// variables.
		im.addTest(node{file: root.file, y: root.y}, nil, d)
	}
}

func (im *importer) defaults(n node) defaults {
	im.known(n, "option of all tests", "vars", "assert", "options", "metadata", "threshold", "description", "provider")
	im.refuse(n)
	d := defaults{vars: im.vars(n.get("vars")), asserts: n.get("assert").listed(), options: im.follow(n.get("options"))}
	d.extra = im.metadata(n.get("metadata"))
	return d
}

// refuse reports parts of a test that a row cannot represent.
func (im *importer) refuse(n node) {
	for name, why := range map[string]string{
		"threshold":             "an answer passes if all its assertions pass. To require a weighted mean, use subjects.NAME.overall in a gate.",
		"assertScoringFunction": "it is a program, and the import does not run programs.",
		"providerOutput":        "existing answers can be a subject: put them in a column and write subjects = { given = row.NAME }.",
		"provider":              "all subjects answer all rows. Write a separate evaluation for these tests.",
		"providers":             "all subjects answer all rows. Write a separate evaluation for these tests.",
		"prompts":               "all subjects answer all rows. Write a separate evaluation for these tests.",
	} {
		if v := n.get(name); v.there() {
			im.lost(v, name+" of a test", "%s", why)
		}
	}
}

func (im *importer) metadata(n node) []member {
	var out []member
	for _, e := range n.entries() {
		if e.key == "conversationId" {
			im.lost(e.at, "metadata conversationId", "questions cannot use earlier answers.")
		}
		out = append(out, member{"metadata_" + identifier(e.key, "value"), e.value.plain()})
	}
	return out
}

// testList reads a list of tests, or a text that names files with tests.
func (im *importer) testList(n node, d defaults) {
	if n.isText() {
		im.testFiles(n, n.text(), d, true)
		return
	}
	for _, item := range n.listed() {
		written := item
		item = im.follow(item)
		switch {
		case !item.there():
			im.open = im.open || written.there()
		case item.isText():
			im.testFiles(item, item.text(), d, len(n.items()) == 1)
		case item.isList():
			im.testList(item, d)
		case item.get("path").isText() && !item.get("vars").there():
			im.testFiles(item, item.get("path").text(), d, false)
		case item.isMap():
			im.test(item, d)
		}
	}
}

func (im *importer) testFiles(at node, text string, d defaults, alone bool) {
	name := strings.TrimPrefix(text, "file://")
	lost := func(detail string) {
		im.open = true
		im.lost(at, "tests "+short(text), "%s", detail)
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
			lost(sentence(err) + ".")
		}
	}
}

func (im *importer) testFile(file string, d defaults, alone bool) error {
	switch ext := filepath.Ext(file); ext {
	case ".csv":
		return im.testsOfCSV(file, d, alone)
	case ".jsonl":
		src, err := im.bytes(file)
		if err != nil {
			return err
		}
		line := 0
		for text := range strings.SplitSeq(string(src), "\n") {
			if line++; strings.TrimSpace(text) == "" {
				continue
			}
			n, err := parseJSON(file, []byte(text), line)
			if err != nil {
				return err
			}
			im.test(n, d)
		}
		return nil
	case ".yaml", ".yml", ".json":
		n, err := im.read(file)
		if err != nil {
			return err
		}
		if n.isMap() {
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
func (im *importer) test(n node, d defaults) {
	im.known(n, "option of a test", "vars", "assert", "options", "metadata", "description", "threshold",
		"assertScoringFunction", "providerOutput", "provider", "providers", "prompts")
	im.refuse(n)
	t := &test{at: n, asserts: n.get("assert").listed(), extra: im.metadata(n.get("metadata"))}
	if o := im.follow(n.get("options")); o.there() {
		t.options = []node{o}
	}
	if s := n.get("description").text(); s != "" {
		t.extra = append([]member{{"description", s}}, t.extra...)
	}
	im.addTest(n, t, d, im.vars(n.get("vars"))...)
}

// addTest adds a test with the defaults. If variables are lists, it adds a test
// for each combination of their elements.
func (im *importer) addTest(at node, t *test, d defaults, vars ...entry) {
	if t == nil {
		t = &test{at: at}
	}
	t.asserts = append(slices.Clone(d.asserts), t.asserts...)
	if d.options.there() {
		t.options = append(t.options, d.options)
	}
	for _, m := range d.extra {
		if !slices.ContainsFunc(t.extra, func(own member) bool { return own.Name == m.Name }) {
			t.extra = append(t.extra, m)
		}
	}
	var all []entry
	for _, e := range slices.Concat(d.vars, vars) {
		if i := slices.IndexFunc(all, func(other entry) bool { return other.key == e.key }); i >= 0 {
			all[i] = e
		} else {
			all = append(all, e)
		}
	}
	whole := t.option("disableVarExpansion").isTrue()
	rows := [][]member{nil}
	for _, e := range all {
		values := im.values(e, whole)
		var next [][]member
		for _, row := range rows {
			for _, v := range values {
				next = append(next, append(slices.Clone(row), member{e.key, v}))
			}
		}
		const most = 1_000_000
		if len(next) > most {
			im.lost(e.at, "variable "+e.key, "it has more than a million combinations.")
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
func (t *test) option(name string) node {
	for _, o := range t.options {
		if v := o.get(name); v.there() {
			return v
		}
	}
	return node{}
}

// vars returns the variables of a test: a mapping, or files with mappings.
func (im *importer) vars(n node) []entry {
	if n.isMap() {
		return n.entries()
	}
	var all []entry
	for _, item := range n.listed() {
		name, _ := reference(item.text())
		if name == "" {
			name = item.text()
		}
		for _, file := range im.glob(name) {
			if isScript(file) {
				im.lost(item, "variables "+file, "they come from a program, and the import does not run programs.")
				continue
			}
			read, err := im.read(file)
			if err != nil {
				im.lost(item, "variables "+file, "%s.", sentence(err))
				continue
			}
			all = append(all, read.entries()...)
		}
	}
	return all
}

// values returns the values of a variable: several if it is a list, unless
// whole is set.
func (im *importer) values(e entry, whole bool) []any {
	// promptfoo does not create rows from a list of mappings, such as messages.
	if items := e.value.items(); len(items) > 0 && items[0].isMap() {
		whole = true
	}
	if !e.value.isList() || whole {
		if name, ok := reference(e.value.text()); ok && strings.ContainsAny(name, "*?") {
			var all []any
			for _, file := range im.glob(name) {
				all = append(all, im.loaded(e.value, "file://"+file))
			}
			return all
		}
		return []any{im.value(e.value)}
	}
	var all []any
	for _, item := range e.value.items() {
		all = append(all, im.value(item))
	}
	if len(all) == 0 {
		return []any{[]any{}}
	}
	return all
}

func (im *importer) value(n node) any {
	if !n.isText() {
		return n.plain()
	}
	return im.loaded(n, n.text())
}

// loaded returns a text that is a variable, or the content of the file it
// refers to.
func (im *importer) loaded(at node, text string) any {
	name, ok := reference(text)
	if !ok {
		if strings.HasPrefix(text, "package:") {
			im.lost(at, "variable", "it comes from a program, and the import does not run programs.")
		}
		return strings.TrimSuffix(text, "\n")
	}
	ext := strings.ToLower(filepath.Ext(name))
	switch {
	case isScript(name):
		im.lost(at, "variable "+name, "it comes from a program, and the import does not run programs.")
		return nil
	case slices.Contains([]string{".pdf", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".bmp", ".mp3", ".wav", ".mp4", ".mov", ".webm"}, ext):
		im.lost(at, "variable "+name, "prompts can contain only text; images, audio, and documents have no equivalent.")
		return nil
	case ext == ".yaml" || ext == ".yml":
		n, err := im.read(name)
		if err != nil {
			im.lost(at, "variable "+name, "%s.", sentence(err))
			return nil
		}
		if n.isText() {
			return n.text()
		}
		return string(encode(n.plain()))
	}
	src, err := im.bytes(name)
	if err != nil {
		im.lost(at, "variable "+name, "%s.", sentence(err))
		return nil
	}
	return strings.TrimSpace(string(src))
}

// scenario reads data sets, and the tests that run with each of them.
func (im *importer) scenario(n node, d defaults) {
	im.known(n, "option of a scenario", "config", "tests", "description")
	for _, c := range im.spread(n.get("config")) {
		inner := im.defaults(c)
		inner.vars = slices.Concat(d.vars, inner.vars)
		inner.asserts = slices.Concat(d.asserts, inner.asserts)
		inner.extra = append(inner.extra, d.extra...)
		if !inner.options.there() {
			inner.options = d.options
		}
		if s := c.get("description").text(); s != "" {
			inner.extra = append(inner.extra, member{"scenario", s})
		} else if s := n.get("description").text(); s != "" {
			inner.extra = append(inner.extra, member{"scenario", s})
		}
		tests := n.get("tests")
		if !tests.there() {
			im.addTest(c, nil, inner)
			continue
		}
		im.testList(tests, inner)
	}
}
