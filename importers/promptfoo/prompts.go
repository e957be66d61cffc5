package promptfoo

import (
	"encoding/csv"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// prompt is a prompt for a model.
type prompt struct {
	name   string
	at     config.Node
	label  string // as in the configuration
	config config.Node
	// chat contains the messages. raw is a text if there are none.
	chat []message
	raw  string
	// tools and output come from the model that the prompt is for.
	tools  []any
	output any
}

// message is a message of a chat.
type message struct {
	at            config.Node
	role, content string
}

// subject is a model with a prompt.
type subject struct {
	name   string
	model  *model
	prompt *prompt
}

// readPrompts reads the prompts of the configuration.
func (im *importer) readPrompts(n config.Node) {
	if n.IsMap() && !n.Get("id").IsSet() && !n.Get("raw").IsSet() && !n.Get("label").IsSet() {
		// The old format: a file, and a name for it.
		for _, e := range n.Entries() {
			im.prompt(e.At, e.Key, e.Value.Text(), config.Node{})
		}
		return
	}
	for _, item := range n.Listed() {
		if !item.IsMap() {
			im.prompt(item, item.Text(), "", config.Node{})
			continue
		}
		im.Known(item, "option of a prompt", "id", "raw", "label", "display", "config", "function", "file")
		raw := item.Get("raw")
		for _, other := range []string{"id", "file"} {
			if !raw.IsSet() {
				raw = item.Get(other)
			}
		}
		if f := item.Get("function"); f.IsSet() {
			im.Lost(f, "prompt", "it comes from a program, and the import does not run programs.")
			continue
		}
		label := item.Get("label").Text()
		if label == "" {
			label = item.Get("id").Text()
		}
		im.prompt(raw, raw.Text(), label, item.Get("config"))
	}
	if !n.IsSet() {
		im.Note(im.root, "prompts", "there are no prompts, so the import uses the variable prompt as the prompt.")
		im.prompt(im.root, "{{prompt}}", "", config.Node{})
	}
}

// endings contains the extensions of files that promptfoo treats as prompts
// without file://.
var endings = []string{".txt", ".json", ".jsonl", ".yaml", ".yml", ".md", ".j2", ".csv"}

// prompt reads one entry: a text, or the files that it names.
func (im *importer) prompt(at config.Node, text, label string, settings config.Node) {
	name, isFile := reference(text)
	switch {
	case strings.Contains(text, "://") && !isFile && !strings.ContainsAny(text, " \n"):
		im.Lost(at, "prompt "+short(text), "it is stored elsewhere. Write it as text.")
		return
	case isFile:
	case isScript(text) && !strings.ContainsAny(text, " \n"):
		name, isFile = text, true
	case slices.Contains(endings, filepath.Ext(text)) && !strings.ContainsAny(text, "\n{"):
		name, isFile = text, true
	case strings.HasPrefix(text, "exec:"):
		name, isFile = "program.sh", true
	}
	if !isFile {
		im.addPrompt(&prompt{at: at, label: label, config: settings}, text, "")
		return
	}
	if isScript(name) {
		im.Lost(at, "prompt "+name, "it comes from a program, and the import does not run programs. Write the prompt as text.")
		return
	}
	files := im.glob(name)
	if len(files) == 0 {
		im.Lost(at, "prompt "+name, "the file does not exist.")
	}
	for _, file := range files {
		if isScript(file) {
			im.Lost(at, "prompt "+file, "it comes from a program, and the import does not run programs.")
			continue
		}
		im.promptFile(at, file, label, settings)
	}
}

func (im *importer) promptFile(at config.Node, file, label string, settings config.Node) {
	src, err := im.Bytes(file)
	if err != nil {
		im.Lost(at, "prompt "+file, "%s.", config.Sentence(err))
		return
	}
	text := strings.ReplaceAll(strings.TrimPrefix(string(src), "\ufeff"), "\r\n", "\n")
	stem := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	add := func(text, label string) {
		im.addPrompt(&prompt{at: at, label: label, config: settings}, text, stem)
	}
	switch filepath.Ext(file) {
	case ".csv":
		im.promptsOfCSV(at, file, text, label, add)
	case ".jsonl":
		for line := range strings.SplitSeq(text, "\n") {
			if strings.TrimSpace(line) != "" {
				add(line, label)
			}
		}
	case ".yaml", ".yml", ".json", ".md", ".j2":
		add(text, label)
	default:
		for _, part := range sections(text) {
			add(part, label)
		}
	}
}

// sections splits a text at lines of three dashes.
func sections(text string) []string {
	var parts []string
	var lines []string
	for line := range strings.SplitSeq(text+"\n---", "\n") {
		if strings.TrimSpace(line) != "---" {
			lines = append(lines, line)
			continue
		}
		if part := strings.TrimSpace(strings.Join(lines, "\n")); part != "" {
			parts = append(parts, part)
		}
		lines = nil
	}
	return parts
}

func (im *importer) promptsOfCSV(at config.Node, file, text, label string, add func(text, label string)) {
	r := csv.NewReader(strings.NewReader(text))
	r.LazyQuotes, r.FieldsPerRecord, r.TrimLeadingSpace = true, -1, true
	records, err := r.ReadAll()
	if err != nil || len(records) == 0 {
		im.Lost(at, "prompts "+file, "it is not valid CSV.")
		return
	}
	column := slices.Index(records[0], "prompt")
	if column >= 0 {
		records = records[1:]
	}
	for _, record := range records {
		if i := max(column, 0); i < len(record) && record[i] != "" {
			add(record[i], label)
		}
	}
}

// addPrompt adds a prompt, whose text can be a chat in JSON or YAML. stem is
// the name of its file without the extension.
func (im *importer) addPrompt(p *prompt, text, stem string) {
	p.raw = text
	im.Known(p.config, "option of a prompt", "response_format", "tools", "functions")
	if chat, ok := im.chat(p, text); ok {
		p.chat = chat
	}
	wish := p.label
	if wish == "" || strings.HasPrefix(wish, "file://") {
		wish = stem
	}
	if wish == "" {
		wish = "prompt"
		if len(im.prompts) > 0 {
			wish = "prompt_" + hcltext.Literal(float64(len(im.prompts)+1))
		}
	}
	p.name = im.Name("prompt", wish, "prompt")
	im.prompts = append(im.prompts, p)
}

// chat parses messages.
func (im *importer) chat(p *prompt, text string) ([]message, bool) {
	trimmed := strings.TrimSpace(text)
	if name := wholeVariable().FindStringSubmatch(trimmed); name != nil && im.holdsMessages(name[1]) {
		im.Lost(p.at, "prompt "+short(trimmed), "its messages come from the variable %s of each test, but the messages of a prompt are the same for all rows. Write them as messages, and put what differs in variables.", name[1])
		return nil, false
	}
	var n config.Node
	var err error
	switch {
	case strings.HasPrefix(trimmed, "["), strings.HasPrefix(trimmed, `{"`) || strings.HasPrefix(trimmed, "{\n"):
		n, err = config.ParseJSON(p.at.File, []byte(trimmed), p.at.Line())
	case strings.HasPrefix(trimmed, "- role:"):
		n, err = config.ParseYAML(p.at.File, []byte(text))
	default:
		return nil, false
	}
	if err != nil || !n.IsSet() {
		if strings.Contains(trimmed, `"role"`) {
			im.Lost(p.at, "prompt "+short(trimmed), "the template generates its messages, so they are not known in advance. Write them as messages.")
		}
		return nil, false
	}
	if n.IsMap() {
		n = n.Get("messages")
	}
	var chat []message
	for _, item := range n.Items() {
		role := item.Get("role").Text()
		if role == "" {
			return nil, false
		}
		if role == "developer" {
			role = "system"
		}
		im.Known(item, "part of a message", "role", "content", "name")
		chat = append(chat, message{p.at, role, im.content(p, item.Get("content"))})
	}
	return chat, len(chat) > 0
}

// wholeVariable matches a template that is a single variable, either unchanged
// or as JSON.
var wholeVariable = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\{\{-?\s*(\w+)\s*(?:\|\s*(?:dump|tojson|safe)[^}]*)?-?\}\}$`)
})

// holdsMessages reports whether a variable of any test is a list of messages.
func (im *importer) holdsMessages(name string) bool {
	for _, t := range im.tests {
		list, _ := config.Object(t.vars).Get(name).([]any)
		for _, item := range list {
			if m, ok := item.(config.Object); ok && m.Get("role") != nil {
				return true
			}
		}
	}
	return false
}

// content returns the text of a message, which can be a list of parts.
func (im *importer) content(p *prompt, n config.Node) string {
	if !n.IsList() {
		return n.Text()
	}
	var texts []string
	for _, part := range n.Items() {
		switch part.Get("type").Text() {
		case "text", "input_text", "":
			texts = append(texts, part.Get("text").Text())
		default:
			im.Lost(p.at, "part of a message of type "+part.Get("type").Text(), "messages can contain only text.")
		}
	}
	return strings.Join(texts, "\n")
}

// pair creates the subjects: each model with each of its prompts. A prompt that
// has tools or an output format only with some models is duplicated.
func (im *importer) pair() {
	variants := map[string]*prompt{}
	var made []*prompt
	for _, m := range im.models {
		for _, p := range im.prompts {
			if !m.asks(p) {
				continue
			}
			id := p.name + string(config.Encode(m.tools)) + string(config.Encode(m.output))
			v := variants[id]
			if v == nil {
				v = im.variant(p, m, made)
				variants[id], made = v, append(made, v)
			}
			im.subjects = append(im.subjects, subject{model: m, prompt: v})
		}
	}
	im.prompts = made
	im.nameSubjects()
}

func (im *importer) variant(p *prompt, m *model, made []*prompt) *prompt {
	v := *p
	v.tools, v.output = m.tools, m.output
	own := &model{at: p.at, typ: m.typ}
	for _, e := range p.config.Entries() {
		im.special(own, e)
	}
	if own.output != nil {
		v.output = own.output
	}
	v.tools = append(slices.Clone(v.tools), own.tools...)
	if slices.ContainsFunc(made, func(other *prompt) bool { return other.name == p.name }) {
		v.name = im.Name("prompt", p.name+"_"+m.name, "prompt")
	}
	return &v
}

// asks reports whether the model is called with the prompt.
func (m *model) asks(p *prompt) bool {
	if m.only == nil {
		return true
	}
	return slices.ContainsFunc(m.only, func(n config.Node) bool {
		s := n.Text()
		return s == p.label || s == p.raw || strings.TrimPrefix(s, "file://") == strings.TrimPrefix(p.at.Text(), "file://")
	})
}

// nameSubjects names subjects after what differs between them.
func (im *importer) nameSubjects() {
	for i := range im.subjects {
		s := &im.subjects[i]
		wish := s.model.name + "_" + s.prompt.name
		switch {
		case len(im.prompts) == 1 || !im.several(s.model):
			wish = s.model.name
		case len(im.models) == 1:
			wish = s.prompt.name
		}
		s.name = im.Name("subject", wish, "subject")
	}
}

// several reports whether a model has several prompts.
func (im *importer) several(m *model) bool {
	n := 0
	for _, s := range im.subjects {
		if s.model == m {
			n++
		}
	}
	return n > 1
}

// commonTools returns the tools that all subjects have, or nil if they differ
// or there are none.
func (im *importer) commonTools() []any {
	var common []any
	for i, s := range im.subjects {
		if i > 0 && string(config.Encode(s.prompt.tools)) != string(config.Encode(common)) {
			return nil
		}
		common = s.prompt.tools
	}
	return common
}
