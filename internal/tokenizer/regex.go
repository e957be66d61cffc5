package tokenizer

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// compile compiles a regular expression in the syntax of Oniguruma, as far as
// tokenizers use it. It refuses anything else.
func compile(expression string) (*pattern, error) {
	c := &compiler{rest: expression, out: &pattern{}}
	if err := c.alternatives(); err != nil {
		return nil, fmt.Errorf("the pattern %q: %w", expression, err)
	}
	if c.rest != "" {
		return nil, fmt.Errorf("the pattern %q has a closing parenthesis too many", expression)
	}
	c.emit(instruction{op: opMatch})
	c.out.findBegins()
	return c.out, nil
}

type compiler struct {
	rest string
	fold bool // letters match in both cases
	out  *pattern
}

func (c *compiler) emit(in instruction) int {
	c.out.program = append(c.out.program, in)
	return len(c.out.program) - 1
}

// insert makes room for an instruction before a part that has been compiled.
func (c *compiler) insert(at int, in instruction) {
	p := append(c.out.program, instruction{})
	copy(p[at+1:], p[at:])
	p[at] = in
	for i := range p {
		if i == at || p[i].op != opSplit && p[i].op != opJump && p[i].op != opAhead {
			continue
		}
		if p[i].x > at || p[i].x == at && i > at {
			p[i].x++
		}
		if p[i].y > at || p[i].y == at && i > at {
			p[i].y++
		}
	}
	c.out.program = p
}

func (c *compiler) take(prefix string) (ok bool) {
	c.rest, ok = strings.CutPrefix(c.rest, prefix)
	return ok
}

// alternatives compiles everything up to a closing parenthesis or the end.
func (c *compiler) alternatives() error {
	var ends []int
	for {
		start := len(c.out.program)
		if err := c.sequence(); err != nil {
			return err
		}
		if !c.take("|") {
			break
		}
		c.insert(start, instruction{op: opSplit, x: start + 1})
		ends = append(ends, c.emit(instruction{op: opJump}))
		c.out.program[start].y = len(c.out.program)
	}
	for _, i := range ends {
		c.out.program[i].x = len(c.out.program)
	}
	return nil
}

func (c *compiler) sequence() error {
	for c.rest != "" && c.rest[0] != '|' && c.rest[0] != ')' {
		start := len(c.out.program)
		if err := c.item(); err != nil {
			return err
		}
		if err := c.repeat(start); err != nil {
			return err
		}
	}
	return nil
}

// item compiles a group or a class.
func (c *compiler) item() error {
	switch {
	case strings.HasPrefix(c.rest, "("):
		return c.group()
	case strings.HasPrefix(c.rest, "^"), strings.HasPrefix(c.rest, "$"):
		c.emit(instruction{op: opEdge, negated: c.rest[0] == '$', line: true})
		c.rest = c.rest[1:]
		return nil
	case strings.HasPrefix(c.rest, `\A`), strings.HasPrefix(c.rest, `\z`):
		c.emit(instruction{op: opEdge, negated: c.rest[1] == 'z'})
		c.rest = c.rest[2:]
		return nil
	}
	set, err := c.character()
	if err != nil {
		return err
	}
	c.emit(instruction{op: opRepeat, class: set.seal(), low: 1, high: 1})
	return nil
}

func (c *compiler) group() error {
	fold, ahead := c.fold, -1
	switch {
	case c.take("(?i:"):
		c.fold = true
	case c.take("(?:"):
	case c.take("(?="):
		ahead = c.emit(instruction{op: opAhead})
	case c.take("(?!"):
		ahead = c.emit(instruction{op: opAhead, negated: true})
	case strings.HasPrefix(c.rest, "(?"):
		return fmt.Errorf("%q is not supported", c.rest[:min(4, len(c.rest))])
	default:
		c.take("(")
	}
	if err := c.alternatives(); err != nil {
		return err
	}
	if !c.take(")") {
		return fmt.Errorf("a group is not closed")
	}
	c.fold = fold
	if ahead >= 0 {
		c.emit(instruction{op: opMatch})
		c.out.program[ahead].x = len(c.out.program)
	}
	return nil
}

// repeat compiles how often what begins at start occurs.
func (c *compiler) repeat(start int) error {
	low, high, ok, err := c.count()
	if err != nil || !ok {
		return err
	}
	if strings.HasPrefix(c.rest, "?") {
		return fmt.Errorf("%q is not supported", "?? or *?")
	}
	possessive := c.take("+")
	if p := c.out.program; len(p) == start+1 && p[start].op == opRepeat && p[start].low == 1 && p[start].high == 1 {
		p[start].low, p[start].high, p[start].possessive = low, high, possessive
		return nil
	}
	switch {
	case possessive || strings.ContainsAny(c.rest[:min(1, len(c.rest))], "*+?{"):
		return fmt.Errorf("such a repetition of a group is not supported")
	case low == 0 && high == 1:
		c.insert(start, instruction{op: opSplit, x: start + 1, y: len(c.out.program) + 1})
		return nil
	case c.out.empty(start):
		return fmt.Errorf("the repetition of a group that can be empty is not supported")
	case low == 0 && high < 0:
		c.insert(start, instruction{op: opSplit, x: start + 1, y: len(c.out.program) + 2})
		c.emit(instruction{op: opJump, x: start})
		return nil
	case low == 1 && high < 0:
		c.emit(instruction{op: opSplit, x: start, y: len(c.out.program) + 1})
		return nil
	}
	return fmt.Errorf("the repetition of a group from %d to %d times is not supported", low, high)
}

// count reads a quantifier.
func (c *compiler) count() (low, high int, ok bool, err error) {
	switch {
	case c.take("?"):
		return 0, 1, true, nil
	case c.take("*"):
		return 0, -1, true, nil
	case c.take("+"):
		return 1, -1, true, nil
	case !c.take("{"):
		return 0, 0, false, nil
	}
	text, rest, closed := strings.Cut(c.rest, "}")
	from, to, several := strings.Cut(text, ",")
	low, err = strconv.Atoi(from)
	high = low
	if several && to == "" {
		high = -1
	} else if several && err == nil {
		high, err = strconv.Atoi(to)
	}
	if err != nil || !closed || high >= 0 && high < low || low < 0 {
		return 0, 0, false, fmt.Errorf("{%s} is not a number of repetitions", text)
	}
	c.rest = rest
	return low, high, true, nil
}

// character reads one character or a class.
func (c *compiler) character() (*class, error) {
	switch {
	case c.take("["):
		return c.brackets()
	case c.take("."):
		return &class{ranges: []runeRange{{'\n', '\n'}}, negated: true}, nil
	case strings.HasPrefix(c.rest, `\`):
		return c.escape()
	case strings.ContainsAny(c.rest[:1], "*+?{"):
		return nil, fmt.Errorf("%q repeats nothing", c.rest[:1])
	}
	return c.letter(c.rune()), nil
}

func (c *compiler) rune() rune {
	r, n := utf8.DecodeRuneInString(c.rest)
	c.rest = c.rest[n:]
	return r
}

// letter returns a class with a character and, if case does not matter, those
// that differ only by case.
func (c *compiler) letter(r rune) *class {
	out := &class{ranges: []runeRange{{r, r}}}
	if c.fold {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			out.ranges = append(out.ranges, runeRange{f, f})
		}
	}
	return out
}

// escape reads a backslash and what follows.
func (c *compiler) escape() (*class, error) {
	c.take(`\`)
	if c.rest == "" {
		return nil, fmt.Errorf("it ends with a backslash")
	}
	r := c.rune()
	switch r {
	case 's', 'S':
		return negate(spaces(), r == 'S'), nil
	case 'd', 'D':
		return negate(&class{categories: categoryMask("Nd")}, r == 'D'), nil
	case 'w', 'W':
		return negate(wordCharacters(), r == 'W'), nil
	case 'p', 'P':
		set, err := c.property()
		return negate(set, r == 'P'), err
	case 'n':
		return c.letter('\n'), nil
	case 'r':
		return c.letter('\r'), nil
	case 't':
		return c.letter('\t'), nil
	case 'f':
		return c.letter('\f'), nil
	case 'v':
		return c.letter('\v'), nil
	case 'x', 'u':
		return c.code(r)
	}
	if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
		return nil, fmt.Errorf(`\%c is not supported`, r)
	}
	return c.letter(r), nil
}

func negate(set *class, yes bool) *class {
	if !yes || set == nil {
		return set
	}
	return &class{sets: []*class{set}, negated: true}
}

// code reads the number of a character: \x{1F600}, \x20, or \u00a0.
func (c *compiler) code(kind rune) (*class, error) {
	digits := 4
	if kind == 'x' {
		digits = 2
	}
	text := c.rest[:min(digits, len(c.rest))]
	if kind == 'x' && c.take("{") {
		inside, _, closed := strings.Cut(c.rest, "}")
		if !closed {
			return nil, fmt.Errorf(`\x{ is not closed`)
		}
		text = inside
		c.rest = c.rest[1:]
	}
	n, err := strconv.ParseUint(text, 16, 21)
	if err != nil || n > unicode.MaxRune {
		return nil, fmt.Errorf(`\%c%s is not a character`, kind, text)
	}
	c.rest = c.rest[len(text):]
	return c.letter(rune(n)), nil
}

// property reads the name of a property, such as {L}.
func (c *compiler) property() (*class, error) {
	name := c.rest[:min(1, len(c.rest))]
	if c.take("{") {
		inside, rest, closed := strings.Cut(c.rest, "}")
		if !closed {
			return nil, fmt.Errorf(`\p{ is not closed`)
		}
		name, c.rest = inside, rest
	} else {
		c.take(name)
	}
	name, negated := strings.CutPrefix(name, "^")
	if mask := categoryMask(name); mask != 0 {
		return negate(&class{categories: mask}, negated), nil
	}
	if s := scriptNamed(name); s != 0 {
		return negate(&class{scripts: []uint8{s}}, negated), nil
	}
	return nil, fmt.Errorf(`\p{%s} is not a category or script that is supported`, name)
}

// brackets reads a class after its opening bracket.
func (c *compiler) brackets() (*class, error) {
	whole := &class{negated: c.take("^")}
	set := &class{}
	for first := true; !c.take("]") || first && c.literalBracket(); first = false {
		if c.rest == "" {
			return nil, fmt.Errorf("a class is not closed")
		}
		if c.take("&&") {
			both, err := c.intersection()
			if err != nil {
				return nil, err
			}
			set.both = both
			break
		}
		if err := c.member(set); err != nil {
			return nil, err
		}
	}
	whole.sets = []*class{set}
	return whole, nil
}

// literalBracket puts back a bracket that is the first character of a class.
func (c *compiler) literalBracket() bool {
	c.rest = `\]` + c.rest
	return true
}

// intersection reads what follows &&, up to the end of the class.
func (c *compiler) intersection() (*class, error) {
	if strings.HasPrefix(c.rest, "^") {
		return nil, fmt.Errorf("&&^ is not supported")
	}
	return c.brackets()
}

// member reads a character, range, or class inside brackets.
func (c *compiler) member(set *class) error {
	if strings.HasPrefix(c.rest, "[:") {
		return fmt.Errorf("[:…:] is not supported")
	}
	var low *class
	var err error
	switch {
	case c.take("["):
		low, err = c.brackets()
	case strings.HasPrefix(c.rest, `\`):
		low, err = c.escape()
	default:
		low = c.letter(c.rune())
	}
	if err != nil {
		return err
	}
	if !strings.HasPrefix(c.rest, "-") || strings.HasPrefix(c.rest, "-]") || len(low.ranges) != 1 || low.categories != 0 {
		set.sets = append(set.sets, low)
		return nil
	}
	c.take("-")
	high := &class{}
	if strings.HasPrefix(c.rest, `\`) {
		high, err = c.escape()
	} else if c.rest != "" {
		high = c.letter(c.rune())
	}
	switch {
	case err != nil:
		return err
	case len(high.ranges) != 1 || high.categories != 0 || high.ranges[0].low < low.ranges[0].low:
		return fmt.Errorf("a range in a class has no valid end")
	case c.fold:
		return fmt.Errorf("a range of letters in both cases is not supported")
	}
	set.ranges = append(set.ranges, runeRange{low.ranges[0].low, high.ranges[0].low})
	return nil
}

// empty reports whether the program from pc to its end can match nothing.
func (p *pattern) empty(pc int) bool {
	if pc >= len(p.program) {
		return true
	}
	switch in := p.program[pc]; in.op {
	case opMatch:
		return true
	case opJump, opAhead:
		return p.empty(in.x)
	case opSplit:
		return in.x > pc && p.empty(in.x) || in.y > pc && p.empty(in.y)
	case opRepeat:
		return in.low == 0 && p.empty(pc+1)
	}
	return p.empty(pc + 1)
}

// findBegins finds the bytes that a match, and each first choice of a split, can
// begin with.
func (p *pattern) findBegins() {
	p.begins = p.first(0)
	for i := range p.program {
		if p.program[i].op == opSplit {
			p.program[i].begins = p.first(p.program[i].x)
		}
	}
}

// first returns the bytes that a match of the program from pc on can begin with,
// or nil if it can be empty.
func (p *pattern) first(pc int) *[256]bool {
	begins, empty := &[256]bool{}, false
	seen := make([]bool, len(p.program))
	var visit func(pc int)
	visit = func(pc int) {
		if seen[pc] {
			return
		}
		seen[pc] = true
		switch in := &p.program[pc]; in.op {
		case opMatch:
			empty = true
		case opJump, opAhead:
			visit(in.x)
		case opSplit:
			visit(in.x)
			visit(in.y)
		case opEdge:
			visit(pc + 1)
		case opRepeat:
			for b := range begins {
				begins[b] = begins[b] || b >= utf8.RuneSelf || in.class.has(rune(b))
			}
			if in.low == 0 {
				visit(pc + 1)
			}
		}
	}
	visit(pc)
	if empty {
		return nil
	}
	return begins
}
