package wellformed

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// The elements of HTML: those without an end tag, those whose end tag may be
// omitted, and all others, including obsolete ones.
var (
	voids    = elements("area base br col embed hr img input link meta param source track wbr basefont bgsound frame keygen")
	optional = elements("html head body p li dt dd rt rp option optgroup colgroup caption thead tbody tfoot tr td th")
	closed   = elements(`a abbr acronym address applet article aside audio b bdi bdo big blink blockquote button canvas center
		cite code data datalist del details dfn dialog dir div dl em fieldset figcaption figure font footer form frameset
		h1 h2 h3 h4 h5 h6 header hgroup i iframe ins kbd label legend main map mark marquee math menu meter nav nobr
		noframes noscript object ol output picture pre progress q ruby s samp script search section select slot small
		span strike strong style sub summary sup svg table template textarea time title tt u ul var video`)
)

func elements(names string) map[string]bool { return set(strings.Fields(names)) }

// isElement reports whether a name is one of HTML's elements or could be a custom
// one, which has a hyphen in its name.
func isElement(name string) bool {
	return voids[name] || optional[name] || closed[name] || strings.Contains(name, "-")
}

// IsHTML reports whether a text is HTML and nothing else: it consists of HTML
// elements, all that must be closed are closed, and no text is outside of them.
// Browsers accept anything as HTML; this function does not.
func IsHTML(text string) bool {
	var open []string
	count := 0
	for z := html.NewTokenizer(strings.NewReader(text)); ; {
		switch z.Next() {
		case html.ErrorToken:
			return count > 0 && !slices.ContainsFunc(open, func(name string) bool { return !optional[name] })
		case html.TextToken:
			if len(open) == 0 && strings.TrimSpace(string(z.Raw())) != "" {
				return false
			}
		case html.StartTagToken:
			name, _ := z.TagName()
			tag := string(name)
			if !isElement(tag) && !foreign(open) {
				return false
			}
			count++
			if !voids[tag] {
				open = append(open, tag)
			}
		case html.SelfClosingTagToken:
			name, _ := z.TagName()
			if !isElement(string(name)) && !foreign(open) {
				return false
			}
			count++
		case html.EndTagToken:
			name, _ := z.TagName()
			var ok bool
			if open, ok = closing(open, string(name)); !ok {
				return false
			}
		}
	}
}

// foreign reports whether a position is within SVG or MathML, which have
// different elements.
func foreign(open []string) bool {
	return slices.Contains(open, "svg") || slices.Contains(open, "math")
}

// closing closes an element, and the elements within it whose end tags may be
// omitted.
func closing(open []string, name string) ([]string, bool) {
	for i := len(open) - 1; i >= 0; i-- {
		if open[i] == name {
			return open[:i], true
		}
		if !optional[open[i]] {
			break
		}
	}
	return open, false
}

// ContainsHTML reports whether a text contains an HTML element: one with an end
// tag, or one that needs none.
func ContainsHTML(text string) bool {
	open := map[string]bool{}
	for z := html.NewTokenizer(strings.NewReader(text)); ; {
		switch z.Next() {
		case html.ErrorToken:
			return false
		case html.DoctypeToken:
			return true
		case html.StartTagToken:
			name, _ := z.TagName()
			if voids[string(name)] {
				return true
			}
			open[string(name)] = isElement(string(name))
		case html.SelfClosingTagToken:
			name, _ := z.TagName()
			if isElement(string(name)) {
				return true
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if open[string(name)] {
				return true
			}
		}
	}
}
