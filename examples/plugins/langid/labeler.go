package main

import (
	"context"
	_ "embed"
	"slices"
	"strings"
	"unicode"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// wordsFile has a line for each language: its code and its most common words.
//
//go:embed words.txt
var wordsFile string

// languages lists the codes in the order of the file. words maps each word to the
// indexes of its languages.
var languages, words = parse(wordsFile)

func parse(file string) (codes []string, words map[string][]int) {
	words = map[string][]int{}
	for line := range strings.Lines(file) {
		fields := strings.Fields(line)
		for _, w := range fields[1:] {
			words[w] = append(words[w], len(codes))
		}
		codes = append(codes, fields[0])
	}
	return codes, words
}

// args are the block's arguments.
type args struct {
	Input    plugin.Dataset `quern:"input,required" doc:"The rows to label."`
	Text     plugin.Column  `quern:"text,required" type:"string" doc:"The text whose language is detected."`
	Among    []string       `quern:"among" doc:"The languages to consider. By default, all of them."`
	MinWords int            `quern:"min_words" default:"2" doc:"The minimum number of known words."`

	among []bool // by language; filled by Open
}

type labeler struct{}

// Prepare declares the output: the input's columns and one more.
func (labeler) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	for _, code := range p.Args.Among {
		if code != "" && !slices.Contains(languages, code) {
			p.Errorf("among", "unknown language %q\nUse any of %s.", code, strings.Join(languages, ", "))
		}
	}
	p.KeepInput("input")
	p.AddColumn(p.Name(), "string")
	return nil
}

// Open prepares what all batches of an instance need.
func (labeler) Open(_ context.Context, a *args) error {
	a.among = make([]bool, len(languages))
	for i, code := range languages {
		a.among[i] = len(a.Among) == 0 || slices.Contains(a.Among, code)
	}
	return nil
}

// Map gets only rows whose label quern does not have.
func (labeler) Map(_ context.Context, a *args, b *plugin.Batch) error {
	text := b.Strings(a.Text)
	for row := range b.N {
		s, _ := text.At(row)
		if code := a.language(s); code != "" {
			b.SetString(b.Name(), row, code)
		}
	}
	return nil
}

// language returns the language with the most known words, or "" if there is a tie.
func (a *args) language(text string) string {
	counts := make([]int, len(languages))
	for word := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) }) {
		for _, l := range words[word] {
			if a.among[l] {
				counts[l]++
			}
		}
	}
	best := slices.Max(counts)
	first := slices.Index(counts, best)
	if best < max(a.MinWords, 1) || slices.Contains(counts[first+1:], best) {
		return ""
	}
	return languages[first]
}
