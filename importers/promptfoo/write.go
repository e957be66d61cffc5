package promptfoo

import (
	"fmt"

	"github.com/quern-dev/quern/importers"
	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/format"
)

// blocks writes the pipeline. It reports what cannot be translated.
func (im *importer) blocks(name string, evaluated bool) string {
	w := &hcltext.Writer{}
	if len(im.tests) > 0 {
		im.writeSource(w, name)
	}
	if im.shared != nil {
		w.Line("")
		w.Block("locals", func() { w.Attr("tools", hcltext.Literal(im.shared)) })
	}
	for _, m := range append(im.models, im.graderModels()...) {
		if !m.echo {
			w.Line("")
			m.write(w)
		}
	}
	echoes := map[string]string{}
	for _, p := range im.prompts {
		if im.onlyEchoed(p) {
			echoes[p.name] = im.text(p.at, p.raw, 2)
			continue
		}
		w.Line("")
		im.writePrompt(w, p)
		for _, s := range im.subjects {
			if s.model.echo && s.prompt == p {
				echoes[p.name] = im.text(p.at, p.raw, 2)
			}
		}
	}
	if evaluated {
		w.Line("")
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

func (im *importer) writeSource(w *hcltext.Writer, name string) {
	if im.untouched == "" {
		w.Block(`source "jsonl" "tests"`, func() { w.Attr("path", hcltext.Quote(name+".jsonl")) })
		return
	}
	w.Block(`source "csv" "tests"`, func() {
		w.Attr("path", hcltext.Quote(im.relative(im.untouched)))
		schema := config.Object{}
		for _, c := range im.columns {
			schema = append(schema, config.Member{Name: c, Value: "string"})
		}
		w.Attr("schema", hcltext.Literal(schema))
	})
}

func (m *model) write(w *hcltext.Writer) {
	w.Block(fmt.Sprintf("model %q %q", m.typ, m.name), func() {
		for _, a := range m.attrs {
			w.Attr(a.name, a.text)
		}
		if len(m.extra) > 0 {
			w.Attr("extra", hcltext.Literal(m.extra))
		}
		if len(m.price) > 0 {
			w.Line("")
			w.Block("price", func() {
				for _, a := range m.price {
					w.Attr(a.name, a.text)
				}
			})
		}
	})
}

// text returns a template of the configuration as an expression. If it cannot
// be translated, text reports it and leaves it unchanged.
func (im *importer) text(at config.Node, raw string, depth int) string {
	sc := im.scope(nil)
	sc.missing = im.missing(at)
	pieces, err := sc.template(raw)
	if err != nil {
		im.Lost(at, "template", "%s. It is copied to the prompt unchanged.", config.Sentence(err))
		pieces = []piece{{kind: pieceText, text: raw}}
	}
	return expression(pieces, depth)
}

func (im *importer) writePrompt(w *hcltext.Writer, p *prompt) {
	w.Block(fmt.Sprintf("prompt %q", p.name), func() {
		im.writeMessages(w, p)
		tools := p.tools
		if im.shared != nil && string(config.Encode(tools)) == string(config.Encode(im.shared)) {
			w.Attr("tools", "local.tools")
			tools = nil
		}
		for _, t := range tools {
			tool := t.(config.Object)
			w.Line("")
			w.Block(fmt.Sprintf("tool %s", hcltext.Quote(config.AsText(tool.Get("name")))), func() {
				if d := config.AsText(tool.Get("description")); d != "" {
					w.Attr("description", hcltext.Quote(d))
				}
				if v := tool.Get("parameters"); v != nil {
					w.Attr("parameters", hcltext.Literal(v))
				}
			})
		}
		if o, ok := p.output.(config.Object); ok {
			w.Line("")
			w.Block("output", func() {
				for _, m := range o {
					w.Attr(m.Name, hcltext.Literal(m.Value))
				}
			})
		}
	})
}

func (im *importer) writeMessages(w *hcltext.Writer, p *prompt) {
	chat := p.chat
	switch {
	case chat == nil:
		w.Attr("user", im.text(p.at, p.raw, 1))
	case len(chat) == 1 && chat[0].role == "user":
		w.Attr("user", im.text(p.at, chat[0].content, 1))
	case len(chat) == 2 && chat[0].role == "system" && chat[1].role == "user":
		w.Attr("system", im.text(p.at, chat[0].content, 1))
		w.Attr("user", im.text(p.at, chat[1].content, 1))
	default:
		w.Line("messages = [")
		for _, m := range chat {
			w.Line("  {")
			w.Line("    role = " + hcltext.Quote(m.role))
			w.Line("    content = " + im.text(p.at, m.content, 3))
			w.Line("  },")
		}
		w.Line("]")
	}
}

func (im *importer) writeEvaluation(w *hcltext.Writer, name string, echoes map[string]string) {
	w.Block(fmt.Sprintf(`evaluate "prompt" %q`, name), func() {
		w.Attr("dataset", "source.tests")
		if im.repeats > 1 {
			w.Attr("repeats", hcltext.Literal(float64(im.repeats)))
		}
		w.Line("")
		w.Line("subjects = {")
		for _, s := range im.subjects {
			if s.model.echo {
				w.Line("  " + hcltext.Key(s.name) + " = " + echoes[s.prompt.name])
				continue
			}
			w.Line(fmt.Sprintf("  %s = { model = model.%s, prompt = prompt.%s }", hcltext.Key(s.name), s.model.name, s.prompt.name))
		}
		w.Line("}")
		im.writeMetrics(w)
	})
}

func (im *importer) writeMetrics(w *hcltext.Writer) {
	open := false
	for _, m := range im.metrics {
		if !m.plain() {
			continue
		}
		if !open {
			w.Line("")
			w.Line("metrics = {")
			open = true
		}
		w.Line("  " + hcltext.Key(m.name) + " = " + m.value)
	}
	if open {
		w.Line("}")
	}
	for _, m := range im.metrics {
		if m.plain() {
			continue
		}
		w.Line("")
		w.Block(fmt.Sprintf("%s %q", m.block, m.name), func() {
			if m.block == "metric" {
				w.Attr("value", m.value)
			}
			for _, a := range m.attrs {
				w.Attr(a.name, a.text)
			}
			if m.weight != nil && (*m.weight != 1 || m.block == "metric" && !m.condition) {
				w.Attr("weight", hcltext.Literal(*m.weight))
			}
			if m.limit != nil {
				w.Attr("threshold", hcltext.Literal(*m.limit))
			}
		})
	}
}

// variables returns the variables of the pipeline.
func (im *importer) variables() string {
	w := &hcltext.Writer{}
	for _, name := range im.env.names {
		w.Block(fmt.Sprintf("variable %q", hcltext.Identifier(name, "value")), func() {
			w.Attr("description", hcltext.Quote("The value of the environment variable "+name+" in promptfoo."))
			w.Attr("type", "string")
			if isSecret(name) {
				w.Attr("sensitive", "true")
			} else if v, ok := im.env.given[name]; ok {
				w.Attr("default", hcltext.Quote(v))
			}
		})
		w.Line("")
	}
	return w.String()
}

// render assembles the header, the variables, and the blocks, and formats them.
func render(im *importer, name string, blocks string) ([]byte, error) {
	w := &hcltext.Writer{}
	for _, c := range im.comments {
		w.Comment(c)
	}
	if len(im.comments) > 0 {
		w.Comment("")
	}
	w.Comment("Imported from promptfoo's " + im.root.File + ".")
	for i, f := range im.lostOnce() {
		if i == 0 {
			w.Comment("\nNot imported:")
		}
		w.Comment("  " + f)
	}
	w.Line("")
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
	for _, f := range im.Findings {
		if f.Severity == importers.Lost {
			lost = append(lost, f)
		}
	}
	return importers.Lines(lost)
}
