package promptfoo

import (
	"slices"
	"strings"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// measure is a metric of the evaluation.
type measure struct {
	name string
	// block is "metric", "judge", or "similar".
	block string
	// value is the row expression of a metric. always is its value in the tests
	// that it applies to, and when is the condition for these tests ("" means
	// all).
	value, always, when string
	// condition is set if the value is true or false.
	condition     bool
	weight, limit *float64
	attrs         []attr
	slot          *slot
}

// plain reports whether a metric does not need a block.
func (m *measure) plain() bool { return m.block == "metric" && m.weight == nil && m.limit == nil }

// measureAll converts the slots to metrics.
func (im *importer) measureAll() {
	for _, s := range im.slots {
		columns := len(im.columns)
		m, err := im.measure(s)
		if err != nil {
			im.columns = im.columns[:columns]
			im.drop(s, config.Sentence(err))
			continue
		}
		m.slot = s
		im.metrics = append(im.metrics, m)
	}
}

func (im *importer) measure(s *slot) (measure, error) {
	if s.base == "assert-set" {
		return im.combined(s.set)
	}
	if why, ok := hopeless[s.base]; ok {
		return measure{}, errorf("%s", why)
	}
	if strings.HasPrefix(s.base, "trajectory:") || strings.HasPrefix(s.base, "trace-") {
		return measure{}, errorf("quern sees the answers of models, but not the steps that agents take")
	}
	answer, err := im.answer(s.transforms)
	if err != nil {
		return measure{}, errorf("its transform has no equivalent: %w", err)
	}
	switch {
	case graded(s.base):
		return im.judge(s, answer)
	case s.base == "similar" || s.base == "similar:cosine":
		return im.similar(s, answer)
	}
	check, ok := checks[s.base]
	if !ok {
		return measure{}, errorf("promptfoo has no assertion of this type")
	}
	if s.base == "regex" {
		if err := im.translatePatterns(s); err != nil {
			return measure{}, err
		}
	}
	c := &checker{im: im, s: s, answer: answer, name: im.Name("metric", s.wish(), "metric")}
	if err := c.operand(keyed(s.base)); err != nil {
		return measure{}, err
	}
	return c.measure(check)
}

// hopeless contains the types that have no counterpart, with the reason.
var hopeless = map[string]string{
	"python":                 "it is a program, and the import does not run programs. Write it as a row expression or as a stage of a plugin",
	"ruby":                   "it is a program, and the import does not run programs. Write it as a row expression or as a stage of a plugin",
	"webhook":                "metrics cannot call endpoints. Write a plugin",
	"human":                  "a pipeline cannot wait for people to grade answers",
	"max-score":              "it compares subjects. See the differences in overall in the results",
	"pi":                     "it is a separate service. Write a judge",
	"moderation":             "it is a separate service. Write a judge",
	"guardrails":             "reports of a provider's filters are in output.refused and output.finish_reason",
	"classifier":             "a classifier can be a separate model. Label the answers with label \"model\", or write a judge",
	"context-relevance":      "no judge grades only the context. Write a judge with a rubric",
	"conversation-relevance": "questions cannot use earlier answers",
	"agent-rubric":           "judges cannot use tools",
	"search-rubric":          "judges do not search the web",
	"skill-used":             "quern sees the answers of models, but not the steps that agents take",
	"similar:dot":            "similar uses cosine similarity",
	"similar:euclidean":      "similar uses cosine similarity",
}

// allTypes returns the names of all types of assertions.
func allTypes() []string {
	var all []string
	for t := range checks {
		all = append(all, t)
	}
	for t := range hopeless {
		all = append(all, t)
	}
	return append(all, append(slices.Clone(judged), "similar")...)
}

// scope returns the meaning of names in expressions about an answer.
func (im *importer) scope(output *value) *scope {
	return &scope{columns: im.types, open: im.open, output: output, env: im.env.variable}
}

// answer returns what an assertion looks at: the text of the answer, or the
// result of transforms.
func (im *importer) answer(transforms []config.Node) (value, error) {
	v := value{text: "output.text", typ: typeOutput}
	for _, t := range transforms {
		if isScript(t.Text()) && strings.HasPrefix(t.Text(), "file://") {
			return v, errorf("%s is a program, and the import does not run programs", strings.TrimPrefix(t.Text(), "file://"))
		}
		next, err := im.scope(&v).code(t.Text())
		if err != nil {
			return v, err
		}
		v = next
	}
	return v, nil
}

// text returns the answer as text.
func (c *checker) text() string {
	switch c.answer.typ {
	case typeOutput, typeString:
		return c.answer.text
	case typeList, typeObject:
		return "jsonencode(" + c.answer.text + ")"
	case typeNumber, typeBool:
		return "tostring(" + c.answer.text + ")"
	}
	return "try(tostring(" + c.answer.text + "), jsonencode(" + c.answer.text + "))"
}

// checker builds the metric of one slot.
type checker struct {
	im     *importer
	s      *slot
	answer value
	name   string

	// plain is the value that all tests have. expected is the expression for
	// the value, and when is the condition for the tests that have one (""
	// means all).
	plain    any
	expected string
	typ      typ
	when     string
}

// keyed reports whether the value of a type is a part of the computation rather
// than data. It is then the same in all tests of a slot.
func keyed(base string) bool {
	switch base {
	case "equals", "contains", "icontains", "contains-all", "contains-any", "icontains-all", "icontains-any", "starts-with",
		"regex", "levenshtein", "rouge-n", "bleu", "gleu", "meteor", "finish-reason":
		return false
	}
	return !graded(base) && base != "similar"
}

// operand determines the assertion's value: a constant that is the same in all
// tests, or a column.
func (c *checker) operand(keyed bool) error {
	v, same := c.s.constant(len(c.im.tests))
	if text, ok := v.(string); ok && c.cut() && hasTags(text) {
		same = c.im.open // what is split at commas is the text that each test has
	}
	if !same && keyed {
		v = c.s.values[c.s.tests()[0]]
		c.when = "row." + c.im.markTests(c.s, c.name)
	}
	if same || keyed {
		c.plain = v
		return c.constant(v)
	}
	values := map[int]any{}
	kinds := map[typ]bool{}
	for i, v := range c.s.values {
		filled, err := c.im.filled(i, v)
		if err == nil {
			filled, err = c.listed(filled)
		}
		if err != nil {
			return err
		}
		if filled == nil {
			return errorf("it has no value")
		}
		if _, ok := filled.(config.Object); ok {
			filled = string(config.Encode(filled))
			kinds[typeObject] = true
		} else {
			kinds[kindOf(filled)] = true
		}
		values[i] = filled
	}
	c.typ = single(kinds)
	if c.typ == typeAny || c.typ == typeNumber || c.typ == typeBool {
		for i, v := range values {
			values[i] = config.AsText(v)
		}
		c.typ = typeString
	}
	column := c.im.addColumn("expect_"+c.name, values, c.typ)
	c.expected = "row." + column
	if len(values) < len(c.im.tests) {
		c.when = "row." + column + " != null"
	}
	return nil
}

// filled returns a value in which the variables of a test are replaced.
func (im *importer) filled(i int, v any) (any, error) {
	switch v := v.(type) {
	case string:
		if !hasTags(v) {
			return v, nil
		}
		return im.render(im.tests[i], v)
	case []any:
		out := make([]any, len(v))
		for k := range v {
			var err error
			if out[k], err = im.filled(i, v[k]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

// constant sets the value that all tests have.
func (c *checker) constant(v any) error {
	v, err := c.listed(v)
	if err != nil {
		return err
	}
	c.plain = v
	switch v := v.(type) {
	case string:
		if c.s.base == "javascript" {
			return nil
		}
		text, err := c.im.filledText(v, c.s.at)
		c.expected, c.typ = text, typeString
		return err
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			text, err := c.im.filledText(config.AsText(item), c.s.at)
			if err != nil {
				return err
			}
			items[i] = text
		}
		c.expected, c.typ = hcltext.Bracket("[", items, "]", ","), typeList
	case config.Object:
		c.expected, c.typ = hcltext.Literal(v), typeObject
	case float64, bool:
		c.expected, c.typ = hcltext.Quote(config.AsText(v)), typeString
	}
	return nil
}

// filledText returns the expression for a text of the configuration over the
// row.
func (im *importer) filledText(s string, at config.Node) (string, error) {
	sc := im.scope(nil)
	sc.missing = im.missing(at)
	pieces, err := sc.template(s)
	if err != nil {
		return "", err
	}
	return expression(pieces, 2), nil
}

// missing returns a function that reports variables that no test has.
func (im *importer) missing(at config.Node) func(string) {
	return func(name string) {
		im.Note(at, "variable "+name, "no test sets it, so it is replaced by nothing.")
	}
}

// cut reports whether the type accepts text in place of a list.
func (c *checker) cut() bool {
	return strings.HasSuffix(c.s.base, "contains-any") || strings.HasSuffix(c.s.base, "contains-all")
}

// listed splits a text at its commas if the type needs a list. Commas within
// quotes are part of the text.
func (c *checker) listed(v any) (any, error) {
	s, ok := v.(string)
	if !ok || !c.cut() {
		return v, nil
	}
	list := []any{}
	for {
		if s = strings.TrimLeft(s, ", \t\r\n"); s == "" {
			return list, nil
		}
		if s[0] != '"' {
			part, rest, _ := strings.Cut(s, ",")
			list, s = append(list, strings.TrimSpace(part)), rest
			continue
		}
		part, rest, ok := unquoted(s)
		if rest = strings.TrimSpace(rest); !ok || rest != "" && rest[0] != ',' {
			return nil, errorf("the quotes in its value do not match")
		}
		list, s = append(list, part), rest
	}
}

// unquoted returns the text between the quotes at the beginning of s, and the
// rest. Quotes in the text are doubled or preceded by a backslash.
func unquoted(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		next := byte(0)
		if i+1 < len(s) {
			next = s[i+1]
		}
		switch {
		case s[i] == '\\' && (next == '"' || next == '\\'), s[i] == '"' && next == '"':
			b.WriteByte(next)
			i++
		case s[i] == '"':
			return b.String(), s[i+1:], true
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

// addColumn adds a column to the tests. It is null in tests without a value.
func (im *importer) addColumn(wish string, values map[int]any, t typ) string {
	im.untouched = ""
	name := wish
	for slices.Contains(im.columns, name) {
		name += "_"
	}
	im.columns = append(im.columns, name)
	im.types[name] = column{typ: t, elem: typeString}
	for i, v := range values {
		im.tests[i].vars = append(slices.Clone(im.tests[i].vars), config.Member{Name: name, Value: v})
	}
	return name
}

// markTests adds a column that is true in the tests that have an assertion.
func (im *importer) markTests(s *slot, name string) string {
	values := map[int]any{}
	for i := range im.tests {
		_, has := s.values[i]
		values[i] = has
	}
	return im.addColumn("check_"+name, values, typeBool)
}
