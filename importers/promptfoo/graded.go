package promptfoo

import (
	"slices"
	"strings"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// judged contains the types that a model grades.
var judged = []string{
	"llm-rubric", "g-eval", "model-graded-closedqa", "factuality", "model-graded-factuality", "answer-relevance",
	"context-faithfulness", "context-recall", "select-best",
}

func graded(base string) bool { return slices.Contains(judged, base) }

// judge returns a metric that a model grades.
func (im *importer) judge(s *slot, answer value) (measure, error) {
	m := measure{name: im.Name("metric", s.wish(), "judge"), block: "judge", weight: s.weight, limit: s.limit}
	if s.inverse {
		return m, errorf("judges cannot be negated. Invert the rubric")
	}
	c := &checker{im: im, s: s, answer: answer, name: m.name}
	if s.base != "answer-relevance" && s.base != "context-faithfulness" {
		if err := c.operand(false); err != nil {
			return m, err
		}
		if c.typ == typeList && s.base == "g-eval" {
			c.expected = `join("\n", ` + c.expected + ")"
		} else if c.typ != typeString {
			return m, errorf("its value is not a string")
		}
	}
	add := func(name, text string) { m.attrs = append(m.attrs, attr{name, text}) }
	grader := im.grader(s, "text")
	if grader == nil {
		return m, errorf("the grading model has no equivalent")
	}
	add("model", "model."+grader.name)
	if err := im.question(s, c, add); err != nil {
		return m, err
	}
	if answer.typ != typeOutput {
		add("answer", c.text())
	}
	im.passing(s, &m)
	return m, nil
}

// question writes what a judge of the type looks at.
func (im *importer) question(s *slot, c *checker, add func(name, text string)) error {
	// only restricts a value that all tests have, if the judge is for only some
	// of them.
	only := ""
	if s.base == "answer-relevance" || s.base == "context-faithfulness" {
		if len(s.values) < len(im.tests) {
			only = "row." + im.markTests(s, c.name)
		}
	}
	column := func(argument, name string, needed bool) error {
		if _, ok := im.types[name]; ok || im.open {
			text := rowColumn(name)
			if needed && only != "" {
				text = only + " ? " + text + " : null"
			}
			add(argument, text)
		} else if needed {
			return errorf("no test sets the variable %s", name)
		}
		return nil
	}
	// An expression that refers to the row becomes a criterion. A rubric is the
	// same for all rows.
	rubric := "rubric"
	if strings.Contains(c.expected, "row.") || strings.Contains(c.expected, "row[") {
		rubric = "criterion"
	}
	switch s.base {
	case "llm-rubric":
		add(rubric, c.expected)
	case "g-eval":
		if rubric == "rubric" {
			add("kind", hcltext.Quote("g_eval"))
		} else {
			im.Note(s.at, "assertion of type g-eval", "evaluation steps need a rubric that is the same for all rows; these rows are graded without steps.")
		}
		add(rubric, c.expected)
	case "model-graded-closedqa":
		add("kind", hcltext.Quote("closed_qa"))
		add(rubric, c.expected)
	case "factuality", "model-graded-factuality":
		add("kind", hcltext.Quote("factuality"))
		add("expected", c.expected)
	case "answer-relevance":
		add("kind", hcltext.Quote("relevance"))
		if only != "" {
			add("criterion", only+` ? "It is to the point." : null`)
		}
		return column("question", "query", false)
	case "context-faithfulness":
		add("kind", hcltext.Quote("faithfulness"))
		return first(column("question", "query", false), column("context", "context", true))
	case "context-recall":
		add("kind", hcltext.Quote("context_recall"))
		add("expected", c.expected)
		return column("context", "context", true)
	case "select-best":
		if len(im.subjects) < 2 {
			return errorf("there is only one subject")
		}
		add("kind", hcltext.Quote("pairwise"))
		add("baseline", hcltext.Quote(im.subjects[0].name))
		add(rubric, c.expected)
		im.Note(s.at, "assertion of type select-best", "all subjects are compared with the first one, %s, with each pair in both orders.", im.subjects[0].name)
	}
	return nil
}

// passing sets the grade at which an answer passes.
func (im *importer) passing(s *slot, m *measure) {
	set := func(v float64) {
		if m.limit == nil {
			m.limit = &v
		}
	}
	switch s.base {
	case "llm-rubric":
		if m.limit == nil {
			im.Note(s.at, "assertion of type llm-rubric", "promptfoo asks the model whether the answer passes; in quern, it passes if the grade is at least 0.5.")
		}
		set(0.5)
	case "g-eval":
		set(0.7)
	case "model-graded-closedqa", "factuality", "model-graded-factuality", "select-best":
		m.limit = nil
	}
	if m.weight != nil && *m.weight == 0 {
		m.limit = nil
	}
}

// similar returns a metric for the similarity of an answer to a text.
func (im *importer) similar(s *slot, answer value) (measure, error) {
	m := measure{name: im.Name("metric", s.wish(), "similar"), block: "similar", weight: s.weight, limit: s.limit}
	c := &checker{im: im, s: s, answer: answer, name: m.name}
	if s.inverse {
		return m, errorf("similarity cannot be negated")
	}
	if err := c.operand(false); err != nil {
		return m, err
	}
	if list, ok := c.plain.([]any); ok && len(list) == 1 {
		text, err := im.filledText(config.AsText(list[0]), s.at)
		if err != nil {
			return m, err
		}
		c.expected, c.typ = text, typeString
	}
	if c.typ != typeString {
		return m, errorf("similar can compare with only one string")
	}
	grader := im.grader(s, "embedding")
	if grader == nil {
		return m, errorf("the embedding model has no equivalent")
	}
	m.attrs = append(m.attrs, attr{"model", "model." + grader.name}, attr{"expected", c.expected})
	if answer.typ != typeOutput {
		m.attrs = append(m.attrs, attr{"answer", c.text()})
	}
	if limit := 0.75; m.limit == nil && (m.weight == nil || *m.weight > 0) {
		m.limit = &limit
	}
	return m, nil
}

// graderOf contains the models that promptfoo uses by default.
var graderOf = map[string]struct{ id, name string }{
	"text":      {"openai:chat:gpt-4.1", "judge"},
	"embedding": {"openai:embedding:text-embedding-3-large", "embedding"},
}

// grader returns the model block that grades: an existing one or a new one.
func (im *importer) grader(s *slot, use string) *model {
	n := im.follow(s.provider)
	if n.IsMap() && !n.Get("id").IsSet() {
		if inner := im.follow(n.Get(use)); inner.IsSet() {
			n = inner
		} else if n.Get("text").IsSet() || n.Get("embedding").IsSet() || n.Get("classification").IsSet() {
			n = config.Node{}
		}
	}
	written := string(config.Encode(n.Plain()))
	if !n.IsSet() {
		written = use
	}
	for _, m := range im.models {
		if n.IsText() && !m.echo && slices.Contains(m.written, n.Text()) {
			return m
		}
	}
	if m, ok := im.graders[written]; ok {
		return m
	}
	if !n.IsSet() {
		other := graderOf[use]
		n = textNode(s.at.File, s.at.Line(), other.id)
		im.Note(s.at, "grading model", "none is named, so the import uses %s, which is close to promptfoo's default.", strings.SplitN(other.id, ":", 3)[2])
		m := im.provider(n)
		if m != nil {
			m.name = im.Name("model", other.name, "judge")
		}
		im.graders[written] = m
		return m
	}
	m := im.provider(n)
	if m != nil && m.echo {
		m = nil
	}
	im.graders[written] = m
	return m
}

// combined returns one metric for an assert-set with a threshold.
func (im *importer) combined(set *assertionSet) (measure, error) {
	wish := set.name
	if wish == "" {
		wish = "assert_set"
	}
	m := measure{name: im.Name("metric", wish, "set"), block: "metric", weight: set.weight}
	var parts []string
	total := 0.0
	when := ""
	for _, s := range set.slots {
		if !slices.Equal(s.tests(), set.slots[0].tests()) {
			return m, errorf("its assertions differ between tests")
		}
		inner, err := im.measure(s)
		if err != nil {
			return m, errorf("one of its assertions, of type %s, has no equivalent: %w", s.typeName(), err)
		}
		if inner.block != "metric" {
			return m, errorf("one of its assertions, of type %s, is graded by a model, and other metrics cannot use its grades", s.typeName())
		}
		weight := 1.0
		if s.weight != nil {
			weight = *s.weight
		}
		part := "(" + inner.always + ")"
		if inner.condition {
			part = "(" + inner.always + " ? 1 : 0)"
		}
		if weight != 1 {
			part = hcltext.Literal(weight) + " * " + part
		}
		parts, total, when = append(parts, part), total+weight, inner.when
	}
	if total == 0 {
		return m, errorf("its assertions have no weight")
	}
	s := &slot{base: "assert-set", at: set.at}
	im.scored(&m, s, "("+strings.Join(parts, " + ")+") / "+hcltext.Literal(total), when, set.limit)
	return m, nil
}
