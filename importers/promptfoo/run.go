package promptfoo

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quern-dev/quern/importers"
	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// run converts the configuration to a pipeline with the given name.
func (im *importer) run(root config.Node, name string) (*importers.Pipeline, error) {
	im.root, im.Main = root, root.File
	im.rest(root)
	im.readEnvironment(root.Get("env"))
	im.readTests(root)
	im.settle()
	providers := root.Get("providers")
	if !providers.IsSet() {
		providers = root.Get("targets")
	}
	im.readProviders(providers)
	im.readPrompts(root.Get("prompts"))
	im.evaluateOptions(root.Get("evaluateOptions"))
	im.testOptions()
	im.pair()
	im.modelTransforms()
	im.gatherSlots()
	im.measureAll()
	if len(im.metrics) == 0 && len(im.subjects) > 0 {
		im.Note(root, "assertions", "the file has no assertions, so the imported evaluation only checks that the model answers.")
		im.metrics = append(im.metrics, measure{name: im.Name("metric", "answered", "metric"), block: "metric", value: `output.text != ""`, condition: true})
	}
	return im.write(name)
}

// rest reports the keys of the configuration that nothing else reads.
func (im *importer) rest(root config.Node) {
	read := []string{"prompts", "providers", "targets", "tests", "scenarios", "defaultTest", "evaluateOptions", "env", "assertionTemplates", "$schema"}
	lost := map[string]string{
		"derivedMetrics":     "to compute figures from other figures, write an output over evaluate.NAME.subjects.SUBJECT.METRIC.value.",
		"nunjucksFilters":    "they are programs, and the import does not run programs.",
		"extensions":         "they are programs, and the import does not run programs.",
		"redteam":            "quern does not generate attacks. Generate the tests with promptfoo and import them.",
		"tracing":            "quern creates its own spans if OTEL_EXPORTER_OTLP_ENDPOINT is set; metrics cannot use them.",
		"commandLineOptions": "pass flags to quern on the command line.",
		"mcp":                "models cannot use the tools of servers.",
	}
	notes := map[string]string{
		"sharing":            "results stay on this machine. To share them, create a page with quern report.",
		"tags":               "they do not affect the evaluation.",
		"metadata":           "it does not affect the evaluation.",
		"writeLatestResults": "quern keeps the results of each run.",
		"outputPath":         "quern keeps the results. To export them, use quern show -format=csv, json, markdown, or junit, or quern report.",
	}
	for _, e := range root.Entries() {
		switch {
		case slices.Contains(read, e.Key) || !e.Value.IsSet():
		case e.Key == "description":
			im.comments = append(im.comments, strings.Split(strings.TrimSpace(e.Value.Text()), "\n")...)
		case lost[e.Key] != "":
			im.Lost(e.At, e.Key, "%s", lost[e.Key])
		case notes[e.Key] != "":
			im.Note(e.At, e.Key, "%s", notes[e.Key])
		default:
			im.Note(e.At, e.Key, "promptfoo does not use this key itself; what refers to it is imported.")
		}
	}
}

func (im *importer) readEnvironment(n config.Node) {
	im.env.given = map[string]string{}
	for _, e := range im.follow(n).Entries() {
		if isSecret(e.Key) {
			im.Note(e.At, "env "+e.Key, "keys are not copied. They stay in the environment.")
			continue
		}
		im.env.given[e.Key] = e.Value.Text()
		if !strings.HasPrefix(e.Key, "OPENAI_") {
			im.Note(e.At, "env "+e.Key, "references to it become a variable with this default.")
		}
	}
}

func (im *importer) evaluateOptions(n config.Node) {
	for _, e := range n.Entries() {
		v, isNumber := e.Value.Number()
		switch {
		case e.Key == "repeat" && isNumber:
			im.repeats = max(int(v), 1)
		case e.Key == "maxConcurrency" && isNumber:
			for _, m := range im.models {
				if !m.echo {
					m.set("max_concurrency", hcltext.Literal(v))
				}
			}
		case e.Key == "delay" && isNumber:
			for _, m := range im.models {
				im.delay(m, e.At, v)
			}
		case e.Key == "cache":
			if e.Value.Text() == "false" {
				for _, m := range im.models {
					if !m.echo {
						m.set("cache", "false")
					}
				}
			}
		case e.Key == "timeoutMs" && isNumber && v > 0:
			for _, m := range im.models {
				if !m.echo && !m.has("timeout") {
					m.set("timeout", hcltext.Quote(hcltext.Literal(v/1000)+"s"))
				}
			}
		case e.Key == "showProgressBar" || e.Key == "interactiveProviders" || e.Key == "eventSource":
			im.Note(e.At, "evaluateOptions "+e.Key, "it does not affect the results.")
		default:
			im.Lost(e.At, "evaluateOptions "+e.Key, "it has no equivalent.")
		}
	}
}

// testOptions reads the options of tests that affect prompts: texts around
// them. The other options are read together with assertions.
func (im *importer) testOptions() {
	for _, t := range im.tests {
		for _, o := range t.options {
			im.Known(o, "option of a test", "provider", "transform", "postprocess", "prefix", "suffix", "rubricPrompt", "disableVarExpansion", "disableConversationVar")
		}
	}
	for _, name := range []string{"prefix", "suffix"} {
		texts := map[string]bool{}
		var at config.Node
		for _, t := range im.tests {
			o := t.option(name)
			texts[o.Text()] = true
			if o.IsSet() {
				at = o
			}
		}
		if !at.IsSet() {
			continue
		}
		around := at.Text()
		if len(texts) > 1 {
			values := map[int]any{}
			for i, t := range im.tests {
				values[i] = t.option(name).Text()
			}
			around = "{{ " + im.addColumn(name, values, typeString) + " }}"
		}
		for _, p := range im.prompts {
			switch {
			case p.chat != nil:
				im.Lost(at, name+" of a test", "the prompt %s is a chat.", p.name)
			case name == "prefix":
				p.raw = around + p.raw
			default:
				p.raw += around
			}
		}
	}
}

// modelTransforms reports transforms that differ between models, because
// metrics do not know whose answer they look at.
func (im *importer) modelTransforms() {
	if im.providerTransform().IsSet() {
		return
	}
	for _, m := range im.models {
		if m.transform.IsSet() {
			im.Lost(m.transform, "transform of a provider", "other providers have none or a different one, but metrics are the same for all subjects.")
		}
	}
}

// write creates the files.
func (im *importer) write(name string) (*importers.Pipeline, error) {
	subjects := len(im.subjects)
	if im.open && len(im.tests) == 0 {
		subjects = 0
	}
	source, err := render(im, name, im.blocks(name, subjects > 0))
	if err != nil {
		return nil, err
	}
	files := []importers.File{{Name: name + ".quern.hcl", Data: source}}
	if im.untouched == "" && len(im.tests) > 0 {
		files = append(files, importers.File{Name: name + ".jsonl", Data: im.rows()})
	}
	return &importers.Pipeline{
		Name: name, Files: files, Findings: im.Findings, Empty: subjects == 0,
		Counts: []importers.Count{
			{Of: "model", N: im.calledModels()}, {Of: "prompt", N: len(im.prompts)}, {Of: "subject", N: subjects},
			{Of: "row", N: len(im.tests)}, {Of: "metric", N: len(im.metrics)},
		},
	}, nil
}

// calledModels returns the number of models that the pipeline calls.
func (im *importer) calledModels() int {
	n := len(im.graderModels())
	for _, m := range im.models {
		if !m.echo {
			n++
		}
	}
	return n
}

func (im *importer) graderModels() []*model {
	var all []*model
	for _, key := range slices.Sorted(maps.Keys(im.graders)) {
		if m := im.graders[key]; m != nil {
			all = append(all, m)
		}
	}
	return all
}

// rows returns the tests as JSON lines.
func (im *importer) rows() []byte {
	var b strings.Builder
	for _, t := range im.tests {
		row := config.Object{}
		for _, name := range im.columns {
			row = append(row, config.Member{Name: name, Value: t.cell(name)})
		}
		b.Write(config.Encode(row))
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// relative returns the path from the pipeline's folder to a file of the
// configuration.
func (im *importer) relative(file string) string {
	from, err := filepath.Abs(im.into)
	if err != nil {
		return file
	}
	to, err := filepath.Abs(im.Path(file))
	if err != nil {
		return file
	}
	if rel, err := filepath.Rel(from, to); err == nil {
		return filepath.ToSlash(rel)
	}
	return filepath.ToSlash(to)
}
