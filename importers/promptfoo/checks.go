package promptfoo

import (
	"regexp"
	"strings"
	"sync"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// check translates an assertion: to a condition, or to a number with the
// minimum that passes.
type check func(c *checker) (made, error)

// made is the result of a check.
type made struct {
	// Either condition or score is set.
	condition, score string
	limit            float64 // of score
}

func when(condition string) (made, error) { return made{condition: condition}, nil }

// checks are the deterministic types.
var checks = map[string]check{
	"equals":      equals,
	"contains":    func(c *checker) (made, error) { return c.withText("strcontains(" + c.text() + ", " + c.expected + ")") },
	"icontains":   func(c *checker) (made, error) { return c.withText("icontains(" + c.text() + ", " + c.expected + ")") },
	"starts-with": func(c *checker) (made, error) { return c.withText("startswith(" + c.text() + ", " + c.expected + ")") },
	"regex":       regex,

	"contains-all":  func(c *checker) (made, error) { return c.each("contains_all") },
	"contains-any":  func(c *checker) (made, error) { return c.each("contains_any") },
	"icontains-all": func(c *checker) (made, error) { return c.each("icontains_all") },
	"icontains-any": func(c *checker) (made, error) { return c.each("icontains_any") },

	"is-json":       isJSON,
	"contains-json": func(c *checker) (made, error) { return c.withSchema("contains_json") },
	"is-xml":        func(c *checker) (made, error) { return c.xml("is_xml") },
	"contains-xml":  func(c *checker) (made, error) { return c.xml("contains_xml") },
	"is-html":       func(c *checker) (made, error) { return c.form("is_html") },
	"contains-html": func(c *checker) (made, error) { return c.form("contains_html") },
	"is-sql":        func(c *checker) (made, error) { return c.sql("is_sql") },
	"contains-sql":  func(c *checker) (made, error) { return c.sql("contains_sql") },

	"levenshtein": levenshtein,
	"rouge-n":     func(c *checker) (made, error) { return c.overlap("rouge_n", ", 1", 0.75) },
	"bleu":        func(c *checker) (made, error) { return c.overlap("bleu", "", 0.5) },
	"gleu":        func(c *checker) (made, error) { return c.overlap("gleu", "", 0.5) },
	"meteor":      func(c *checker) (made, error) { return c.overlap("meteor", "", 0.5) },
	"word-count":  wordCount,

	"latency":          func(c *checker) (made, error) { return c.atMost("output.latency", 1000) },
	"cost":             func(c *checker) (made, error) { return c.atMost("output.cost", 1) },
	"perplexity":       func(c *checker) (made, error) { return c.atMost("perplexity(output.logprobs)", 1) },
	"perplexity-score": perplexityScore,
	"finish-reason":    finishReason,
	"is-refusal":       refusal,

	"is-valid-openai-tools-call":    toolCalls,
	"is-valid-openai-function-call": toolCalls,
	"is-valid-function-call":        toolCalls,
	"tool-call-f1":                  toolCallF1,

	"javascript": code,
}

// measure combines the parts: the negation, the tests that it is for, its
// weight, and its threshold.
func (c *checker) measure(check check) (measure, error) {
	m := measure{name: c.name, block: "metric", weight: c.s.weight}
	got, err := check(c)
	if err != nil {
		return m, err
	}
	if got.score != "" && !c.s.inverse {
		limit := got.limit
		if c.s.limit != nil {
			limit = *c.s.limit
		}
		c.im.scored(&m, c.s, orElse(got.score, "0"), c.when, limit)
		return m, nil
	}
	condition := got.condition
	if got.score != "" {
		limit := got.limit
		if c.s.limit != nil {
			limit = *c.s.limit
		}
		condition = got.score + " < " + hcltext.Literal(limit)
	} else if c.s.inverse {
		condition = negated(condition)
	}
	condition = orElse(condition, "false")
	m.value, m.condition = c.only(condition), true
	m.always, m.when = condition, c.when
	if m.weight != nil && *m.weight == 0 {
		// A condition would decide whether an answer passes.
		m.value, m.condition = c.only("("+condition+" ? 1 : 0)"), false
	}
	return m, nil
}

// scored builds a metric from a number. If only some tests have it, the others
// must not count as if they had a value; then the metric is the condition that
// the number reaches its minimum.
func (im *importer) scored(m *measure, s *slot, score, when string, limit float64) {
	m.always, m.when = score, when
	switch decides := m.weight == nil || *m.weight != 0; {
	case when != "" && decides:
		m.value = when + " ? " + score + " >= " + hcltext.Literal(limit) + " : null"
		im.Note(s.at, "assertion of type "+s.typeName(), "only some tests have it, so its figure is the share of those tests that reach %s.", hcltext.Literal(limit))
		return
	case when != "":
		m.value = when + " ? " + score + " : null"
	default:
		m.value = score
	}
	m.limit = &limit
	if m.weight == nil {
		one := 1.0
		m.weight = &one
	}
	if *m.weight == 0 {
		m.limit = nil
	}
}

// only makes a condition null in the tests that do not have the assertion.
func (c *checker) only(condition string) string {
	if c.when == "" {
		return condition
	}
	if strings.Contains(condition, " ? ") && !strings.HasPrefix(condition, "(") {
		condition = "(" + condition + ")"
	}
	return c.when + " ? " + condition + " : null"
}

func negated(condition string) string {
	if strings.Contains(condition, " ") && !strings.HasSuffix(condition, ")") || strings.Contains(condition, " || ") || strings.Contains(condition, " && ") || strings.Contains(condition, " == ") {
		return "!(" + condition + ")"
	}
	return "!" + condition
}

// withText is a condition that compares with a text or number.
func (c *checker) withText(condition string) (made, error) {
	if c.typ != typeString {
		return made{}, errorf("its value is not a string")
	}
	return when(condition)
}

// lowered converts a text to lower case, immediately if it is constant.
func lowered(text string) string {
	if strings.HasPrefix(text, `"`) && !strings.ContainsAny(text, `$%\`) {
		return strings.ToLower(text)
	}
	return "lower(" + text + ")"
}

func equals(c *checker) (made, error) {
	switch c.typ {
	case typeString:
		return when(c.text() + " == " + c.expected)
	case typeList, typeObject:
		left := "output.json"
		if c.answer.typ != typeOutput {
			left = c.answer.text
		}
		if strings.HasPrefix(c.expected, "row.") && c.typ == typeObject {
			return when("jsonencode(" + left + ") == jsonencode(jsondecode(" + c.expected + "))")
		}
		return when("jsonencode(" + left + ") == jsonencode(" + c.expected + ")")
	}
	return made{}, errorf("it has no value")
}

func regex(c *checker) (made, error) {
	if c.typ != typeString {
		return made{}, errorf("its value is not a string")
	}
	return when(matches(c.text(), c.expected))
}

// translatePatterns converts regular expressions to the syntax that quern uses.
// Tests whose expression has no counterpart lose the assertion; the others keep
// it.
func (im *importer) translatePatterns(s *slot) error {
	var last error
	for _, i := range s.tests() {
		text, ok := s.values[i].(string)
		if !ok || hasTags(text) {
			continue
		}
		p, err := goPattern(text, "")
		if err == nil {
			s.values[i] = p
			continue
		}
		if last = err; s.lone() {
			return err
		}
		im.loseIn(s, []int{i}, config.Sentence(err))
		delete(s.values, i)
	}
	if len(s.values) == 0 {
		return last
	}
	return nil
}

// matches reports whether a text contains a match of a pattern.
func matches(text, pattern string) string { return "can(regex(" + pattern + ", " + text + "))" }

// each is a condition on the elements of a list.
func (c *checker) each(function string) (made, error) {
	if c.typ != typeList {
		return made{}, errorf("its value is not a list")
	}
	return when(function + "(" + c.text() + ", " + c.expected + ")")
}

func isJSON(c *checker) (made, error) {
	if c.answer.text == "output.json" {
		c.answer = value{text: "output.text", typ: typeOutput}
	}
	if c.plain == nil || c.plain == "" {
		return when("can(jsondecode(" + c.text() + "))")
	}
	return c.withSchema("is_json")
}

// withSchema is a call with a JSON schema, if the assertion has one.
func (c *checker) withSchema(function string) (made, error) {
	schema := c.plain
	if s, ok := schema.(string); ok && s != "" {
		n, err := config.ParseYAML("schema", []byte(s))
		if err != nil || !n.IsMap() {
			return made{}, errorf("its schema is not valid")
		}
		schema = n.Plain()
	}
	if o, ok := schema.(config.Object); ok {
		return when(function + "(" + c.text() + ", " + hcltext.Literal(o) + ")")
	}
	return when(function + "(" + c.text() + ")")
}

// xml is a call with the required elements.
func (c *checker) xml(function string) (made, error) {
	elements := c.plain
	if o, ok := elements.(config.Object); ok {
		if elements = o.Get("requiredElements"); len(o) != 1 || elements == nil {
			return made{}, errorf("its value contains more than the required elements")
		}
	}
	if s, ok := elements.(string); ok {
		if hasTags(s) {
			return made{}, errorf("its elements come from a variable of the tests")
		}
		var list []any
		for part := range strings.SplitSeq(s, ",") {
			list = append(list, strings.TrimSpace(part))
		}
		elements = list
	}
	arguments := []string{c.text()}
	list, ok := elements.([]any)
	if !ok && elements != nil {
		return made{}, errorf("its value is not a list of elements")
	}
	for _, e := range list {
		text, err := c.im.filledText(config.AsText(e), c.s.at)
		if err != nil {
			return made{}, err
		}
		arguments = append(arguments, text)
	}
	return when(function + "(" + strings.Join(arguments, ", ") + ")")
}

// refusal also counts an empty answer as a refusal.
func refusal(c *checker) (made, error) {
	return when("trimspace(" + c.text() + ") == \"\" || is_refusal(" + c.text() + ")")
}

func (c *checker) form(function string) (made, error) {
	return when(function + "(" + c.text() + ")")
}

// dialects maps promptfoo's names to the dialects that quern knows.
var dialects = map[string]string{"mysql": "mysql", "mariadb": "mysql", "postgresql": "postgresql", "postgres": "postgresql", "sqlite": "sqlite"}

func (c *checker) sql(function string) (made, error) {
	o, ok := c.plain.(config.Object)
	if c.plain != nil && !ok {
		return made{}, errorf("its value is not a mapping")
	}
	dialect := "mysql" // promptfoo's default
	for _, m := range o {
		if m.Name != "databaseType" {
			return made{}, errorf("%s has no equivalent", m.Name)
		}
		name := strings.ToLower(config.AsText(m.Value))
		if dialect = dialects[name]; dialect == "" {
			return made{}, errorf("quern has no SQL parser for %s", config.AsText(m.Value))
		}
	}
	return when(function + "(" + c.text() + ", " + hcltext.Quote(dialect) + ")")
}

func (c *checker) limit(other float64) string {
	if c.s.limit != nil {
		other = *c.s.limit
	}
	return hcltext.Literal(other)
}

func levenshtein(c *checker) (made, error) {
	return c.withText("levenshtein(" + c.text() + ", " + c.expected + ") <= " + c.limit(5))
}

// otherwise says how quern's figures differ from promptfoo's.
var otherwise = map[string]string{
	"bleu":    "BLEU is computed as in sacrebleu; promptfoo uses different smoothing and ignores case.",
	"gleu":    "GLEU is case-sensitive in quern.",
	"meteor":  "METEOR does not match synonyms in quern.",
	"rouge_n": "ROUGE ignores case and punctuation in quern.",
}

func (c *checker) overlap(function, more string, limit float64) (made, error) {
	if c.typ != typeString && c.typ != typeList {
		return made{}, errorf("it has no value")
	}
	if how := otherwise[function]; how != "" {
		c.im.Note(c.s.at, "assertion of type "+c.s.typeName(), "%s", how)
	}
	return made{score: function + "(" + c.text() + ", " + c.expected + more + ")", limit: limit}, nil
}

func wordCount(c *checker) (made, error) {
	count := "word_count(" + c.text() + ")"
	switch v := c.plain.(type) {
	case float64:
		return when(count + " == " + hcltext.Literal(v))
	case string:
		return when(count + " == tonumber(" + c.expected + ")")
	case config.Object:
		var parts []string
		if f, ok := v.Get("min").(float64); ok {
			parts = append(parts, count+" >= "+hcltext.Literal(f))
		}
		if f, ok := v.Get("max").(float64); ok {
			parts = append(parts, count+" <= "+hcltext.Literal(f))
		}
		if len(parts) > 0 {
			return when(strings.Join(parts, " && "))
		}
	}
	return made{}, errorf("it does not say how many words")
}

// atMost compares a figure of the answer with the threshold, which is in the
// figure's unit times per.
func (c *checker) atMost(figure string, per float64) (made, error) {
	if c.s.limit == nil {
		return made{}, errorf("it has no threshold")
	}
	return when(figure + " <= " + hcltext.Literal(*c.s.limit/per))
}

func perplexityScore(c *checker) (made, error) {
	if c.s.limit == nil && c.s.inverse {
		return made{}, errorf("it has no threshold")
	}
	return made{score: "1 / (1 + perplexity(output.logprobs))", limit: 0}, nil
}

func finishReason(c *checker) (made, error) {
	return c.withText("output.finish_reason == " + lowered(c.expected))
}

// toolCalls checks the calls against the models' tools, which the pipeline then
// lists once.
func toolCalls(c *checker) (made, error) {
	tools := c.im.commonTools()
	if tools == nil {
		return made{}, errorf("the models have different tools, but metrics are the same for all subjects")
	}
	c.im.shared = tools
	return when("tool_call_valid(output.tool_calls, local.tools)")
}

func toolCallF1(c *checker) (made, error) {
	expected := c.expected
	if c.typ == typeString {
		var items []any
		for part := range strings.SplitSeq(config.AsText(c.plain), ",") {
			items = append(items, strings.TrimSpace(part))
		}
		expected = hcltext.Literal(items)
	}
	return made{score: "tool_call_f1(output.tool_calls, " + expected + ")", limit: 1}, nil
}

func code(c *checker) (made, error) {
	src, ok := c.plain.(string)
	if !ok {
		return made{}, errorf("its value is not a string")
	}
	if strings.HasPrefix(src, "file://") || strings.HasPrefix(src, "package:") {
		return made{}, errorf("it is a program, and the import does not run programs. Write it as a row expression")
	}
	sc := c.im.scope(&c.answer)
	v, err := sc.code(src)
	if err != nil {
		return made{}, errorf("this JavaScript has no equivalent: %w. Write it as a row expression", err)
	}
	switch {
	case v.typ == typeBool:
		return when(v.text)
	case v.typ == typeNumber && c.s.limit != nil:
		return made{score: v.text, limit: *c.s.limit}, nil
	case v.typ == typeNumber:
		return when(v.operand() + " > 0")
	case isText(v.typ):
		return made{}, errorf("it returns a string, which promptfoo treats as a failure")
	}
	return made{}, errorf("it is not known whether %s is true or false. Write it as a row expression", v.text)
}

// failing are the parts of translated JavaScript that fail for some answers.
var failing = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\.json( :|[.\[)])|tonumber\(|jsondecode\(|(^|[^(])regex\(|\[[0-9]+\]`)
})

// harmless are those that do not fail.
var harmless = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`can\(jsondecode\(|jsonencode\(output\.json\)|jsonencode\(jsondecode\(row\.`)
})

// orElse returns the given value if a condition or a score fails: in promptfoo,
// JavaScript that throws in an assertion or a transform makes the assertion
// fail.
func orElse(expression, value string) string {
	if !failing().MatchString(harmless().ReplaceAllString(expression, "")) {
		return expression
	}
	return "try(" + expression + ", " + value + ")"
}
