package redact

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// findEmails finds e-mail addresses whose domain ends in a public suffix.
func findEmails(text string, found []match) []match {
	for at := strings.IndexByte(text, '@'); at >= 0; {
		next := at + 1
		start, end := localPart(text, at), domain(text, at+1)
		if start < at && end > at+1 && !isPassword(text, start) && public(text[at+1:end]) {
			found = append(found, match{start: start, end: end, kind: kindEmail, value: strings.ToLower(text[start:end])})
			next = end
		}
		more := strings.IndexByte(text[next:], '@')
		if more < 0 {
			return found
		}
		at = next + more
	}
	return found
}

// isPassword reports whether what begins at i is the password in a URL, which an @
// and the host follow.
func isPassword(text string, i int) bool {
	return i > 0 && text[i-1] == ':' && strings.Contains(text[max(0, i-longestLocal):i], "://")
}

// longestLocal is the most bytes before the @ of an address (RFC 5321, with room
// for other scripts).
const longestLocal = 128

// localPart returns where the part before the @ begins.
func localPart(text string, at int) int {
	start := at
	for start > 0 && at-start < longestLocal {
		c := text[start-1]
		if c < utf8.RuneSelf {
			if !isAlnum(c) && !strings.ContainsRune("._%+-'", rune(c)) {
				break
			}
			start--
			continue
		}
		r, size := utf8.DecodeLastRuneInString(text[:start])
		if !unicode.IsLetter(r) && !unicode.IsMark(r) {
			break
		}
		start -= size
	}
	for start < at && strings.ContainsRune(".'%+-", rune(text[start])) {
		start++
	}
	if at > 0 && text[at-1] == '.' {
		return at
	}
	return start
}

// domain returns where the domain that begins at i ends.
func domain(text string, i int) int {
	end := i
	for end < len(text) && end-i < 254 {
		c := text[end]
		if c < utf8.RuneSelf {
			if !isAlnum(c) && c != '.' && c != '-' {
				break
			}
			end++
			continue
		}
		r, size := decode(text[end:])
		if !unicode.IsLetter(r) && !unicode.IsMark(r) {
			break
		}
		end += size
	}
	for end > i && (text[end-1] == '.' || text[end-1] == '-') {
		end--
	}
	return end
}

// public reports whether a domain is one that can be registered below a public
// suffix of ICANN, or an internationalized one.
func public(name string) bool {
	if !strings.Contains(name, ".") {
		return false
	}
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil || strings.HasPrefix(ascii, ".") {
		return false
	}
	_, icann := publicsuffix.PublicSuffix(ascii)
	if !icann {
		// A private suffix, such as github.io, is below one of ICANN.
		_, icann = publicsuffix.PublicSuffix("x." + ascii[strings.LastIndexByte(ascii, '.')+1:])
	}
	return icann
}

// findCredentials finds the user and password in URLs.
func findCredentials(text string, found []match) []match {
	for from := 0; ; {
		at := strings.Index(text[from:], "://")
		if at < 0 {
			return found
		}
		from += at + 3
		authority := text[from:]
		if end := strings.IndexAny(authority, "/?# \t\r\n\"'<>"); end >= 0 {
			authority = authority[:end]
		}
		at = strings.LastIndexByte(authority, '@')
		if at < 1 || !strings.Contains(authority[:at], ":") {
			continue
		}
		if name, password, _ := strings.Cut(authority[:at], ":"); password != "" && !placeholder(password) && name+password != "" {
			found = append(found, match{start: from, end: from + at, kind: kindCredentials, value: authority[:at]})
		}
	}
}

// placeholder reports whether a password is only a name for one, such as
// ${PASSWORD} or <password>.
func placeholder(s string) bool {
	return strings.HasPrefix(s, "$") || strings.HasPrefix(s, "{{") || strings.HasPrefix(s, "%(")
}

// findIPv4 finds the address that begins at i. Addresses that name no machine,
// such as 127.0.0.1, are left out.
func findIPv4(text string, i int) (match, bool) {
	end, dots := i, 0
	for end < len(text) && (isDigit(text[end]) || text[end] == '.') && end-i < 16 {
		if text[end] == '.' {
			dots++
		}
		end++
	}
	if end > i && text[end-1] == '.' {
		end, dots = end-1, dots-1
	}
	if dots != 3 || !endsNumber(text, end) {
		return match{}, false
	}
	a, err := netip.ParseAddr(text[i:end])
	if err != nil || !names(a) {
		return match{}, false
	}
	return match{start: i, end: end, kind: kindIP, value: a.String()}, true
}

// names reports whether an address can name a machine of somebody.
func names(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// findIPv6 finds the address that begins at i.
func findIPv6(text string, i int) (match, bool) {
	end, colons := i, 0
	for end < len(text) && end-i < 45 {
		c := text[end]
		if c == ':' {
			colons++
		} else if !isDigit(c) && !('a' <= c|0x20 && c|0x20 <= 'f') && c != '.' {
			break
		}
		end++
	}
	for end > i && (text[end-1] == '.' || text[end-1] == ':' && !strings.HasSuffix(text[i:end], "::")) {
		end--
	}
	if colons < 2 || !endsWord(text, end) {
		return match{}, false
	}
	a, err := netip.ParseAddr(text[i:end])
	if err != nil || !names(a) || !plausible(text[i:end]) {
		return match{}, false
	}
	return match{start: i, end: end, kind: kindIP, value: a.String()}, true
}

// plausible reports whether a text that is a valid IPv6 address is likely to be
// meant as one, unlike the path a::b of a program's name.
func plausible(s string) bool {
	groups := strings.FieldsFunc(s, func(r rune) bool { return r == ':' })
	return len(groups) >= 3 && strings.ContainsAny(s, "0123456789") || len(groups) == 2 && len(groups[0]) == 4 && isDigit(groups[0][0])
}

// findMAC finds the hardware address of a network device that begins at i.
func findMAC(text string, i int) (match, bool) {
	for _, shape := range [...]string{"nn:nn:nn:nn:nn:nn", "nn-nn-nn-nn-nn-nn", "nnnn.nnnn.nnnn"} {
		end, compact := readShape(text, i, shape)
		if end < 0 || !endsWord(text, end) || end < len(text) && text[end] == shape[2] || strings.Trim(compact, "0123456789ABCDEF") != "" {
			continue
		}
		if compact == "000000000000" || compact == "FFFFFFFFFFFF" {
			continue
		}
		return match{start: i, end: end, kind: kindMAC, value: compact}, true
	}
	return match{}, false
}
