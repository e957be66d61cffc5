package promptfoo

import (
	"fmt"
	"strings"

	"github.com/quern-dev/quern/importers"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/format"
)

// writer writes blocks.
type writer struct {
	strings.Builder
	depth int
}

func (w *writer) line(text string) {
	if text == "" {
		w.WriteByte('\n')
		return
	}
	w.WriteString(strings.Repeat("  ", w.depth) + text + "\n")
}

func (w *writer) comment(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		w.line(strings.TrimRight("# "+line, " "))
	}
}

// block writes a block. body writes its content.
func (w *writer) block(header string, body func()) {
	w.line(header + " {")
	w.depth++
	body()
	w.depth--
	w.line("}")
}

func (w *writer) attr(name, text string) { w.line(name + " = " + text) }

// blocks writes the pipeline. It reports what cannot be translated.
func (im *importer) blocks(name string, evaluated bool) string {
	w := &writer{}
	if len(im.tests) > 0 {
		im.writeSource(w, name)
	}
	if im.shared != nil {
		w.line("")
		w.block("locals", func() { w.attr("tools", literal(im.shared)) })
	}
	for _, m := range append(im.models, im.graderModels()...) {
		if !m.echo {
			w.line("")
			m.write(w)
		}
	}
	echoes := map[string]string{}
	for _, p := range im.prompts {
		if im.onlyEchoed(p) {
			echoes[p.name] = im.text(p.at, p.raw, 2)
			continue
		}
		w.line("")
		im.writePrompt(w, p)
		for _, s := range im.subjects {
			if s.model.echo && s.prompt == p {
				echoes[p.name] = im.text(p.at, p.raw, 2)
			}
		}
	}
	if evaluated {
		w.line("")
		im.writeEvaluation(w, name, echoes)
	}
	return w.String()
}

// onlyEchoed reports whether no model is asked with the prompt.
func (im *importer) onlyEchoed(p *prompt) bool {
	echoed := false
	for _, s := range im.subjects {
		if s.prompt == p {
			if !s.model.echo {
				return false
			}
			echoed = true
		}
	}
	return echoed
}

func (im *importer) writeSource(w *writer, name string) {
	if im.untouched == "" {
		w.block(`source "jsonl" "tests"`, func() { w.attr("path", quote(name+".jsonl")) })
		return
	}
	w.block(`source "csv" "tests"`, func() {
		w.attr("path", quote(im.relative(im.untouched)))
		schema := object{}
		for _, c := range im.columns {
			schema = append(schema, member{c, "string"})
		}
		w.attr("schema", literal(schema))
	})
}

func (m *model) write(w *writer) {
	w.block(fmt.Sprintf("model %q %q", m.typ, m.name), func() {
		for _, a := range m.attrs {
			w.attr(a.name, a.text)
		}
		if len(m.extra) > 0 {
			w.attr("extra", literal(m.extra))
		}
		if len(m.price) > 0 {
			w.line("")
			w.block("price", func() {
				for _, a := range m.price {
					w.attr(a.name, a.text)
				}
			})
		}
	})
}

// text returns a template of the configuration as an expression. If it cannot
// be translated, text reports it and leaves it unchanged.
func (im *importer) text(at node, raw string, depth int) string {
	sc := im.scope(nil)
	sc.missing = im.missing(at)
	pieces, err := sc.template(raw)
	if err != nil {
		im.lost(at, "template", "%s. It is copied to the prompt unchanged.", sentence(err))
		pieces = []piece{{kind: pieceText, text: raw}}
	}
	return expression(pieces, depth)
}

func (im *importer) writePrompt(w *writer, p *prompt) {
	w.block(fmt.Sprintf("prompt %q", p.name), func() {
		im.writeMessages(w, p)
		tools := p.tools
		if im.shared != nil && string(encode(tools)) == string(encode(im.shared)) {
			w.attr("tools", "local.tools")
			tools = nil
		}
		for _, t := range tools {
			tool := t.(object)
			w.line("")
			w.block(fmt.Sprintf("tool %s", quote(asText(tool.get("name")))), func() {
				if d := asText(tool.get("description")); d != "" {
					w.attr("description", quote(d))
				}
				if v := tool.get("parameters"); v != nil {
					w.attr("parameters", literal(v))
				}
			})
		}
		if o, ok := p.output.(object); ok {
			w.line("")
			w.block("output", func() {
				for _, m := range o {
					w.attr(m.Name, literal(m.Value))
				}
			})
		}
	})
}

func (im *importer) writeMessages(w *writer, p *prompt) {
	chat := p.chat
	switch {
	case chat == nil:
		w.attr("user", im.text(p.at, p.raw, 1))
	case len(chat) == 1 && chat[0].role == "user":
		w.attr("user", im.text(p.at, chat[0].content, 1))
	case len(chat) == 2 && chat[0].role == "system" && chat[1].role == "user":
		w.attr("system", im.text(p.at, chat[0].content, 1))
		w.attr("user", im.text(p.at, chat[1].content, 1))
	default:
		w.line("messages = [")
		for _, m := range chat {
			w.line("  {")
			w.line("    role = " + quote(m.role))
			w.line("    content = " + im.text(p.at, m.content, 3))
			w.line("  },")
		}
		w.line("]")
	}
}

func (im *importer) writeEvaluation(w *writer, name string, echoes map[string]string) {
	w.block(fmt.Sprintf(`evaluate "prompt" %q`, name), func() {
		w.attr("dataset", "source.tests")
		if im.repeats > 1 {
			w.attr("repeats", literal(float64(im.repeats)))
		}
		w.line("")
		w.line("subjects = {")
		for _, s := range im.subjects {
			if s.model.echo {
				w.line("  " + key(s.name) + " = " + echoes[s.prompt.name])
				continue
			}
			w.line(fmt.Sprintf("  %s = { model = model.%s, prompt = prompt.%s }", key(s.name), s.model.name, s.prompt.name))
		}
		w.line("}")
		im.writeMetrics(w)
	})
}

func (im *importer) writeMetrics(w *writer) {
	open := false
	for _, m := range im.metrics {
		if !m.plain() {
			continue
		}
		if !open {
			w.line("")
			w.line("metrics = {")
			open = true
		}
		w.line("  " + key(m.name) + " = " + m.value)
	}
	if open {
		w.line("}")
	}
	for _, m := range im.metrics {
		if m.plain() {
			continue
		}
		w.line("")
		w.block(fmt.Sprintf("%s %q", m.block, m.name), func() {
			if m.block == "metric" {
				w.attr("value", m.value)
			}
			for _, a := range m.attrs {
				w.attr(a.name, a.text)
			}
			if m.weight != nil && (*m.weight != 1 || m.block == "metric" && !m.condition) {
				w.attr("weight", literal(*m.weight))
			}
			if m.limit != nil {
				w.attr("threshold", literal(*m.limit))
			}
		})
	}
}

// variables returns the variables of the pipeline.
func (im *importer) variables() string {
	w := &writer{}
	for _, name := range im.env.names {
		w.block(fmt.Sprintf("variable %q", identifier(name, "value")), func() {
			w.attr("description", quote("The value of the environment variable "+name+" in promptfoo."))
			w.attr("type", "string")
			if isSecret(name) {
				w.attr("sensitive", "true")
			} else if v, ok := im.env.given[name]; ok {
				w.attr("default", quote(v))
			}
		})
		w.line("")
	}
	return w.String()
}

// render assembles the header, the variables, and the blocks, and formats them.
func render(im *importer, name string, blocks string) ([]byte, error) {
	w := &writer{}
	for _, c := range im.comments {
		w.comment(c)
	}
	if len(im.comments) > 0 {
		w.comment("")
	}
	w.comment("Imported from promptfoo's " + im.root.file + ".")
	for i, f := range im.lostOnce() {
		if i == 0 {
			w.comment("\nNot imported:")
		}
		w.comment("  " + f)
	}
	w.line("")
	w.WriteString(im.variables())
	w.WriteString(blocks)
	src := []byte(w.String())
	out, diags := format.Source(src, name+".quern.hcl")
	if diags.HasErrors() {
		return nil, diag.Failed("the import created an invalid pipeline, which is a bug in quern", "%w", diags)
	}
	return out, nil
}

// lostOnce returns the findings about what is lost, without duplicates.
func (im *importer) lostOnce() []string {
	var lost []importers.Finding
	for _, f := range im.findings {
		if f.Severity == importers.Lost {
			lost = append(lost, f)
		}
	}
	return importers.Lines(lost)
}
