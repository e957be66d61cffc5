package redact

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// shortestPhone is the least number of digits of a number without a country code.
const shortestPhone = 7

// numberingPlan is how phone numbers of a region are formed.
type numberingPlan struct {
	Region string `json:"region"`
	Code   int    `json:"code"`           // the country code
	Main   bool   `json:"main,omitempty"` // of the regions that share the code
	// Prefix matches what precedes a national number within the region, and
	// Transform, if set, is what replaces it.
	Prefix    string `json:"prefix,omitempty"`
	Transform string `json:"transform,omitempty"`
	Lengths   []int  `json:"lengths"` // possible numbers of digits
	Valid     string `json:"valid"`   // matches all valid national numbers

	prefix, valid func() *regexp.Regexp
}

// phonesFile is derived from the metadata of libphonenumber; see NOTICE.
//
//go:embed phones.jsonl
var phonesFile []byte

// phones are all numbering plans, by country code and by region.
type phones struct {
	byCode   map[int][]*numberingPlan
	byRegion map[string]*numberingPlan
}

// allPhones reads the plans when they are first needed.
var allPhones = sync.OnceValue(func() *phones {
	p := &phones{byCode: map[int][]*numberingPlan{}, byRegion: map[string]*numberingPlan{}}
	lines := json.NewDecoder(bytes.NewReader(phonesFile))
	for lines.More() {
		plan := &numberingPlan{}
		if err := lines.Decode(plan); err != nil {
			panic(err) // a test reads the file
		}
		plan.prefix = compiled(`^(?:` + plan.Prefix + `)`)
		plan.valid = compiled(`^(?:` + plan.Valid + `)$`)
		if plan.Main {
			// Most numbers are those of the main region.
			p.byCode[plan.Code] = slices.Insert(p.byCode[plan.Code], 0, plan)
		} else {
			p.byCode[plan.Code] = append(p.byCode[plan.Code], plan)
		}
		p.byRegion[plan.Region] = plan
	}
	return p
})

// compiled returns a pattern that is compiled when it is first needed.
func compiled(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// accepts reports whether digits are a valid national number. If lenient is
// true, it is enough that they could be one by their number.
func (p *numberingPlan) accepts(digits string, lenient bool) bool {
	if !slices.Contains(p.Lengths, len(digits)) {
		return false
	}
	return lenient || p.valid().MatchString(digits)
}

// national returns the national number that digits dialed within the region
// mean, or "".
func (p *numberingPlan) national(digits string, lenient bool) string {
	if p.Prefix != "" {
		if m := p.prefix().FindStringSubmatchIndex(digits); m != nil && m[1] > 0 {
			rest := digits[m[1]:]
			if p.Transform != "" && m[len(m)-1] > 0 {
				rest = string(p.prefix().ExpandString(nil, strings.ReplaceAll(p.Transform, "$1", "${1}"), digits, m)) + rest
			}
			if p.accepts(rest, lenient) {
				return rest
			}
		}
	}
	if p.accepts(digits, lenient) {
		return digits
	}
	return ""
}

// international returns the number that starts with a country code in the form
// of E.164, or "".
func (p *phones) international(digits string, lenient bool) string {
	for n := 1; n <= 3 && n < len(digits); n++ {
		code, _ := strconv.Atoi(digits[:n])
		for _, plan := range p.byCode[code] {
			if rest := digits[n:]; plan.accepts(rest, lenient) {
				return "+" + digits
			}
			// +44 (0)20 …: the prefix of national calls.
			if rest := plan.national(digits[n:], lenient); rest != "" {
				return "+" + digits[:n] + rest
			}
		}
	}
	return ""
}

// findPhone finds the phone number that begins at i.
func (d *detector) findPhone(text string, i int) (match, bool) {
	plus := text[i] == '+'
	if !plus && !isDigit(text[i]) && !areaCode(text[i:]) || i > 0 && strings.ContainsRune("-/#_", rune(text[i-1])) {
		return match{}, false
	}
	run := readPhone(text, i)
	near := sync.OnceValue(func() bool { return d.near(text, i, i, phoneWords) })
	for k := len(run.ends) - 1; k >= 0 && run.counts[k] >= shortestPhone; k-- {
		digits, end := string(run.digits[:run.counts[k]]), run.ends[k]
		written := text[i:end]
		if !endsNumber(text, end) || !plus && !looksLikePhone(written, digits) || !plus && !near() && inSequence(text, i, end) {
			continue
		}
		if value := d.phoneNumber(digits, written, near()); value != "" {
			return match{start: i, end: extension(text, end), kind: kindPhone, value: value, named: near()}, true
		}
	}
	return match{}, false
}

// looksLikePhone reports whether digits without a country code are not written as
// something else: a number with decimals, an ISBN, or with a part in parentheses
// that does not end.
func looksLikePhone(written, digits string) bool {
	if strings.Count(written, ".") == 1 && strings.Trim(written, "0123456789.") == "" {
		return false
	}
	if len(digits) == 13 && (digits[:3] == "978" || digits[:3] == "979") {
		return false
	}
	return strings.Count(written, "(") == strings.Count(written, ")")
}

// areaCode reports whether a text begins with an area code in parentheses.
func areaCode(text string) bool {
	end := strings.IndexByte(text, ')')
	return 2 <= end && end <= 7 && text[0] == '(' && strings.Trim(text[1:end], "0123456789 -") == ""
}

// american is how numbers of the North American plan are written, which is enough
// to recognize them: examples, such as 555-0123, are not valid.
var american = compiled(`^(?:\([2-9]\d\d\) ?|[2-9]\d\d[-.])[2-9]\d\d[-.]\d{4}$`)

// phoneNumber returns the number that digits mean in the form of E.164, or "".
// written is how they are written, and near says that a word such as "phone" is
// near.
func (d *detector) phoneNumber(digits, written string, near bool) string {
	all := allPhones()
	if written[0] == '+' {
		return all.international(digits, near)
	}
	grouped := strings.Trim(written, "0123456789") != ""
	if rest, ok := strings.CutPrefix(digits, "00"); ok {
		if value := all.international(rest, false); value != "" {
			return value
		}
	}
	for _, region := range d.regions {
		plan := all.byRegion[region]
		if rest, ok := strings.CutPrefix(digits, "00"+strconv.Itoa(plan.Code)); ok && plan.accepts(rest, near) {
			return "+" + strconv.Itoa(plan.Code) + rest
		}
		if !grouped && !near && !d.bare {
			continue
		}
		lenient := near && grouped || plan.Code == 1 && american().MatchString(written)
		if national := plan.national(digits, lenient); national != "" {
			return "+" + strconv.Itoa(plan.Code) + national
		}
	}
	return ""
}

// phoneRun is a sequence of digits as they are written in phone numbers.
type phoneRun struct {
	digits []byte
	// For each group of digits: where it ends, and how many digits there are up
	// to its end.
	ends, counts []int
}

// longestPhone is the most digits of a number, with the prefix for international
// calls and the country code.
const longestPhone = 20

func readPhone(text string, i int) phoneRun {
	r := phoneRun{digits: make([]byte, 0, longestPhone)}
	if text[i] == '+' {
		i++
	}
	for gap := 0; i < len(text); i++ {
		c := text[i]
		if isDigit(c) {
			if len(r.digits) == longestPhone {
				return r
			}
			r.digits = append(r.digits, c)
			if i+1 == len(text) || !isDigit(text[i+1]) {
				r.ends, r.counts = append(r.ends, i+1), append(r.counts, len(r.digits))
			}
			gap = 0
			continue
		}
		size := 1
		if strings.HasPrefix(text[i:], "\u00a0") || strings.HasPrefix(text[i:], "\u2011") || strings.HasPrefix(text[i:], "\u2013") {
			_, size = decode(text[i:])
		} else if !strings.ContainsRune(" -./()", rune(c)) {
			return r
		}
		if gap++; gap > 3 || c == ' ' && text[i-1] == ' ' {
			return r
		}
		i += size - 1
	}
	return r
}

// extension returns where the extension ends that follows a number, such as
// "x123" or "ext. 45".
func extension(text string, end int) int {
	rest := strings.TrimPrefix(text[end:], " ")
	for _, word := range []string{"extension", "ext.", "ext", "x", "#"} {
		if len(rest) < len(word) || !strings.EqualFold(rest[:len(word)], word) {
			continue
		}
		digits := strings.TrimPrefix(rest[len(word):], " ")
		n := 0
		for n < len(digits) && isDigit(digits[n]) {
			n++
		}
		if n > 0 && n <= 7 {
			return len(text) - len(digits) + n
		}
	}
	return end
}
