package redact

import "slices"

// ibanLengths are the lengths of IBANs by country, from the IBAN registry.
var ibanLengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28, "CH": 21,
	"CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18,
	"FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23,
	"IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27,
	"MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28,
	"PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
	"SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}

// findIBAN finds the international bank account number that begins at i: the
// length is that of its country, and the remainder by 97 is 1.
func findIBAN(text string, i int) (match, bool) {
	if i+4 > len(text) || !isLetter(text[i]) || !isLetter(text[i+1]) || !isDigit(text[i+2]) || !isDigit(text[i+3]) {
		return match{}, false
	}
	length := ibanLengths[string([]byte{text[i] &^ 0x20, text[i+1] &^ 0x20})]
	if length == 0 {
		return match{}, false
	}
	compact := make([]byte, 0, length)
	at := i
	for ; at < len(text) && len(compact) < length; at++ {
		c := text[at]
		switch {
		case isDigit(c):
			compact = append(compact, c)
		case isLetter(c):
			compact = append(compact, c&^0x20)
		case (c == ' ' || c == '-') && isAlnum(text[at-1]):
		default:
			return match{}, false
		}
	}
	if len(compact) < length || !endsWord(text, at) || mod97(string(compact[4:])+string(compact[:4])) != 1 {
		return match{}, false
	}
	return match{start: i, end: at, kind: kindIBAN, value: string(compact)}, true
}

// network is a range of card numbers: prefixes of one length, and the numbers of
// digits.
type network struct {
	from, to int
	lengths  []int
}

// networks are the ranges that card networks use.
var networks = []network{
	{4, 4, []int{13, 16, 19}},    // Visa
	{51, 55, []int{16}},          // Mastercard
	{2221, 2720, []int{16}},      // Mastercard
	{34, 34, []int{15}},          // American Express
	{37, 37, []int{15}},          // American Express
	{6011, 6011, []int{16, 19}},  // Discover
	{644, 659, []int{16, 19}},    // Discover and RuPay
	{60, 60, []int{16}},          // RuPay
	{81, 82, []int{16}},          // RuPay
	{35, 35, []int{16, 19}},      // JCB
	{2131, 2131, []int{15}},      // JCB
	{1800, 1800, []int{15}},      // JCB
	{300, 305, []int{14, 16}},    // Diners Club
	{3095, 3095, []int{14, 16}},  // Diners Club
	{36, 36, []int{14, 16}},      // Diners Club
	{38, 39, []int{14, 16}},      // Diners Club
	{62, 62, []int{16, 17, 19}},  // UnionPay
	{2200, 2204, []int{16}},      // Mir
	{4026, 4026, []int{16}},      // Visa Electron
	{50, 50, maestroLengths},     // Maestro and RuPay
	{56, 58, maestroLengths},     // Maestro
	{6304, 6304, maestroLengths}, // Maestro
	{6759, 6763, maestroLengths}, // Maestro
	{676770, 676774, maestroLengths},
}

var maestroLengths = []int{12, 13, 14, 15, 16, 17, 18, 19}

// issued reports whether a card network uses numbers that begin and are as long
// as this one.
func issued(digits string) bool {
	return slices.ContainsFunc(networks, func(n network) bool {
		width := 1
		for k := n.from; k >= 10; k /= 10 {
			width++
		}
		prefix := number(digits[:width])
		return n.from <= prefix && prefix <= n.to && slices.Contains(n.lengths, len(digits))
	})
}

// findCard finds the number of a payment card that begins at i: a known range,
// the length that the network uses, and Luhn's check digit.
func findCard(text string, i int) (match, bool) {
	if !isDigit(text[i]) {
		return match{}, false
	}
	var digits [19]byte
	n, best := 0, match{}
	separator := byte(0)
	for at := i; at < len(text); at++ {
		c := text[at]
		if !isDigit(c) {
			if n < 4 || c != ' ' && c != '-' || separator != 0 && separator != c || !isDigit(text[at-1]) {
				break
			}
			separator = c
			continue
		}
		if n == len(digits) {
			break
		}
		digits[n] = c
		n++
		if n >= 12 && endsNumber(text, at+1) {
			if s := string(digits[:n]); issued(s) && luhn(s) && !same(s) {
				best = match{start: i, end: at + 1, kind: kindCard, value: s}
			}
		}
	}
	return best, best.end > 0
}
