// Package english formats numbers of things for people. Nouns are given in the
// singular; plurals add an s.
package english

import (
	"strconv"
	"strings"
	"time"
)

// Integer is the type of a count.
type Integer interface{ ~int | ~int32 | ~int64 }

// Number groups digits in threes: 10,003.
func Number[N Integer](n N) string {
	text := strconv.FormatInt(int64(n), 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Count formats a number of things in digits: 0 rows, 1 row, 10,003 rows.
func Count[N Integer](n N, noun string) string { return Number(n) + " " + Plural(n, noun) }

// Spell formats a number of things, with small numbers in words: no rows, one
// row, two rows, 3 rows.
func Spell[N Integer](n N, noun string) string {
	switch n {
	case 0:
		return "no " + noun + "s"
	case 1:
		return "one " + noun
	case 2:
		return "two " + noun + "s"
	}
	return Count(n, noun)
}

// Plural returns the noun in the form for the number.
func Plural[N Integer](n N, noun string) string { return Agree(n, noun, noun+"s") }

// Agree returns the form of a word that agrees with the number: is, are.
func Agree[N Integer](n N, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

const day = 24 * time.Hour

// Duration formats a duration, rounded to seconds: 90 days, 2 days 12h, 1h, 1m30s, 0s.
func Duration(d time.Duration) string {
	d = d.Round(time.Second)
	if d < 2*day {
		return clock(d)
	}
	days := Count(int64(d/day), "day")
	if d%day == 0 {
		return days
	}
	return days + " " + clock(d%day)
}

// clock is like d.String, without trailing units that are 0.
func clock(d time.Duration) string {
	text := d.String()
	if d != 0 && d%time.Minute == 0 {
		text = strings.TrimSuffix(text, "0s")
	}
	if d != 0 && d%time.Hour == 0 {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Or joins alternatives: "a", "a or b", "a, b, or c".
func Or(phrases []string) string { return series(phrases, "or") }

// And joins phrases: "a", "a and b", "a, b, and c".
func And(phrases []string) string { return series(phrases, "and") }

func series(phrases []string, conjunction string) string {
	n := len(phrases)
	switch n {
	case 0, 1:
		return strings.Join(phrases, "")
	case 2:
		return phrases[0] + " " + conjunction + " " + phrases[1]
	}
	return strings.Join(phrases[:n-1], ", ") + ", " + conjunction + " " + phrases[n-1]
}
