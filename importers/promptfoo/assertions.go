package promptfoo

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// Assertions of different tests that differ only in their value become one
// metric, a slot. The value is then a column of the tests.

// slot is a set of assertions that becomes a metric.
type slot struct {
	base     string // the type without not-
	inverse  bool
	metric   string // its given name
	weight   *float64
	limit    *float64    // the threshold
	provider config.Node // the model that grades
	config   config.Node
	// transforms are applied to the answer, in order.
	transforms []config.Node
	at         config.Node
	// set is the assert-set that it belongs to.
	set *assertionSet

	values map[int]any // by test; nil if the assertion has no value
	nodes  map[int]config.Node
}

// assertionSet is a set of assertions, a share of which must pass.
type assertionSet struct {
	key, name string
	at        config.Node
	limit     float64
	weight    *float64
	slots     []*slot
}

// gatherSlots sorts the assertions of all tests into slots.
func (im *importer) gatherSlots() {
	known := map[string]*slot{}
	sets := map[string]*assertionSet{}
	for i, t := range im.tests {
		times := map[string]int{}
		for _, a := range t.asserts {
			im.assertion(i, t, a, known, times, sets, nil)
		}
	}
}

// assertion adds one assertion of a test to a slot.
func (im *importer) assertion(i int, t *test, a config.Node, known map[string]*slot, times map[string]int, sets map[string]*assertionSet, set *assertionSet) {
	a = im.follow(a)
	if !a.IsMap() {
		if a.IsSet() {
			im.Lost(a, "assertion "+short(a.Text()), "it is not a mapping.")
		}
		return
	}
	typ := a.Get("type").Text()
	if typ == "assert-set" {
		im.assertionSet(i, t, a, known, times, sets)
		return
	}
	im.Known(a, "option of an assertion", "type", "value", "config", "threshold", "weight", "provider", "rubricPrompt", "metric", "transform")
	s := &slot{at: a, metric: a.Get("metric").Text(), provider: a.Get("provider"), config: a.Get("config"), set: set}
	s.base, s.inverse = strings.CutPrefix(typ, "not-")
	s.weight, s.limit = pointerTo(a.Get("weight")), pointerTo(a.Get("threshold"))
	s.transforms = im.transforms(t, a)
	if r := a.Get("rubricPrompt"); r.IsSet() {
		im.Lost(r, "rubricPrompt", "judges use their own prompt around the rubric.")
	} else if r := t.option("rubricPrompt"); r.IsSet() && graded(s.base) {
		im.Lost(r, "rubricPrompt", "judges use their own prompt around the rubric.")
	}
	if !s.provider.IsSet() {
		s.provider = t.option("provider")
	}
	expected := im.expected(a)
	key := s.key()
	switch kind := kindOf(expected); {
	case keyed(s.base):
		key += "|" + string(config.Encode(expected))
	case s.base == "equals" && (kind == typeList || kind == typeObject):
		key += "|" + string(kind) // compared by content, not as text
	}
	times[key]++
	key += "|" + strconv.Itoa(times[key])
	if known[key] == nil {
		s.values, s.nodes = map[int]any{}, map[int]config.Node{}
		known[key] = s
		if set == nil {
			im.slots = append(im.slots, s)
		} else {
			set.slots = append(set.slots, s)
		}
	}
	known[key].values[i], known[key].nodes[i] = expected, a
}

func (s *slot) key() string {
	parts := []string{s.base, strconv.FormatBool(s.inverse), s.metric, string(config.Encode(s.weight)), string(config.Encode(s.limit)), string(config.Encode(s.provider.Plain())), string(config.Encode(s.config.Plain()))}
	for _, t := range s.transforms {
		parts = append(parts, t.Text())
	}
	if s.set != nil {
		parts = append(parts, s.set.key)
	}
	return strings.Join(parts, "|")
}

func pointerTo(n config.Node) *float64 {
	if f, ok := n.Number(); ok {
		return &f
	}
	return nil
}

// transforms returns the transforms of the answer that an assertion sees.
func (im *importer) transforms(t *test, a config.Node) []config.Node {
	var all []config.Node
	if tr := im.providerTransform(); tr.IsSet() {
		all = append(all, tr)
	}
	for _, tr := range []config.Node{t.option("transform"), t.option("postprocess"), a.Get("transform")} {
		if tr.IsSet() {
			all = append(all, tr)
		}
	}
	return all
}

// providerTransform returns the transform of the models, if all have the same.
func (im *importer) providerTransform() config.Node {
	if len(im.models) == 0 {
		return config.Node{}
	}
	for _, m := range im.models[1:] {
		if m.transform.Text() != im.models[0].transform.Text() {
			return config.Node{}
		}
	}
	return im.models[0].transform
}

// assertionSet adds the assertions of a set. If all of them must pass, they are
// treated as separate assertions.
func (im *importer) assertionSet(i int, t *test, a config.Node, known map[string]*slot, times map[string]int, sets map[string]*assertionSet) {
	im.Known(a, "option of an assert-set", "type", "assert", "weight", "metric", "threshold", "config")
	var set *assertionSet
	if limit, ok := a.Get("threshold").Number(); ok {
		key := "set|" + a.Get("metric").Text() + "|" + hcltext.Literal(limit)
		times[key]++
		key += "|" + strconv.Itoa(times[key])
		if sets[key] == nil {
			sets[key] = &assertionSet{key: key, name: a.Get("metric").Text(), at: a, limit: limit, weight: pointerTo(a.Get("weight"))}
			im.slots = append(im.slots, &slot{base: "assert-set", at: a, set: sets[key]})
		}
		set = sets[key]
	}
	for _, inner := range a.Get("assert").Listed() {
		im.assertion(i, t, inner, known, times, sets, set)
	}
}

// expected returns the value of an assertion as a plain value, and reads texts
// from files.
func (im *importer) expected(a config.Node) any {
	v := a.Get("value")
	if name, ok := reference(v.Text()); ok && !isScript(name) {
		if f := im.follow(v); !f.IsText() || f.Text() != v.Text() {
			return f.Plain()
		}
		src, err := im.Bytes(name)
		if err != nil {
			im.Lost(v, "value "+name, "%s.", config.Sentence(err))
			return ""
		}
		return strings.TrimSpace(string(src))
	}
	return im.follow(v).Plain()
}

// constant returns the value that all tests share. It returns false if the
// values differ, or if some tests do not have the assertion.
func (s *slot) constant(tests int) (any, bool) {
	if len(s.values) != tests || !s.lone() {
		return nil, false
	}
	return s.values[0], true
}

// lone reports whether there is only one value among the tests that have the
// assertion.
func (s *slot) lone() bool {
	seen := map[string]bool{}
	for _, v := range s.values {
		seen[string(config.Encode(v))] = true
	}
	return len(seen) == 1
}

// tests that have the assertion, in order.
func (s *slot) tests() []int { return slices.Sorted(maps.Keys(s.values)) }

// typeName returns the type as the configuration writes it.
func (s *slot) typeName() string {
	if s.inverse {
		return "not-" + s.base
	}
	return s.base
}

// wish returns the preferred name of the metric.
func (s *slot) wish() string {
	if s.metric != "" && !hasTags(s.metric) {
		return s.metric
	}
	switch s.base {
	case "latency", "cost":
		return s.base + "_limit"
	case "finish-reason":
		return strings.TrimSuffix(s.typeName(), "finish-reason") + "finished"
	}
	return s.typeName()
}

// drop reports a slot without a counterpart at each place where it was written.
func (im *importer) drop(s *slot, why string) { im.loseIn(s, s.tests(), why) }

// loseIn reports that some tests lose an assertion.
func (im *importer) loseIn(s *slot, tests []int, why string) {
	if len(tests) == 0 { // a set
		im.Lost(s.at, "assertion of type "+s.typeName(), "%s.", why)
	}
	seen := map[string]bool{}
	for _, i := range tests {
		n := s.nodes[i]
		place := n.File + ":" + strconv.Itoa(n.Line())
		if !seen[place] {
			seen[place] = true
			im.Lost(n, "assertion of type "+s.typeName(), "%s.", why)
		}
	}
}
