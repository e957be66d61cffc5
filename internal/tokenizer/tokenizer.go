package tokenizer

import (
	"errors"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Tokenizer turns texts into tokens. Any number of goroutines can use it.
type Tokenizer struct {
	before     *addedTokens // found in the text as it is
	normalizer normalizers
	after      *addedTokens // found in the normalized text
	split      preTokenizers
	model      model
	finish     []postProcessor
	// places says that where a piece begins decides what becomes of it.
	places bool

	added   map[uint32]*addedToken
	works   sync.Pool
	idOfAll map[string]uint32 // added tokens
}

// Options says what to compute.
type Options struct {
	// Special adds the special tokens of the model, such as [CLS].
	Special bool
	// Offsets computes where tokens come from.
	Offsets bool
}

// Encoding contains the tokens of a text.
type Encoding struct {
	IDs []uint32
	// Offsets are the bytes of the text that each token comes from. They are
	// whole characters, so those of two tokens can overlap, and empty for tokens
	// that were added. Nil if they were not requested.
	Offsets []Span
	// Before and After are the numbers of special tokens of the model at the
	// beginning and at the end.
	Before, After int

	values []string // the texts of added tokens; empty for other ones
}

var errInvalid = errors.New("the text is not valid UTF-8")

// Encode returns the tokens of a text.
func (t *Tokenizer) Encode(text string, o Options) (*Encoding, error) {
	if !utf8.ValidString(text) {
		return nil, errInvalid
	}
	w, _ := t.works.Get().(*work)
	if w == nil {
		w = &work{cache: map[string]cachedWord{}}
	}
	defer t.works.Put(w)
	w.track, w.out, w.offsets, w.values, w.err = o.Offsets || t.places, w.out[:0], w.offsets[:0], w.values[:0], nil
	t.run(w, text)
	if w.err != nil {
		return nil, w.err
	}
	e := &Encoding{IDs: make([]uint32, len(w.out))}
	for i, s := range w.out {
		e.IDs[i] = s.id
	}
	if o.Offsets {
		e.Offsets, e.values = slices.Clone(w.offsets), w.values
		if e.Offsets == nil {
			e.Offsets = []Span{}
		}
	}
	for _, p := range t.finish {
		p.process(t, e, text, o)
	}
	e.values = nil
	return e, nil
}

// Count returns the number of tokens of a text, without special ones.
func (t *Tokenizer) Count(text string) (int, error) {
	e, err := t.Encode(text, Options{})
	if err != nil {
		return 0, err
	}
	return len(e.IDs), nil
}

// ID returns the ID of a token.
func (t *Tokenizer) ID(token string) (uint32, bool) {
	if id, ok := t.idOfAll[token]; ok {
		return id, true
	}
	return t.model.id(token)
}

// Size returns the number of tokens, with the added ones.
func (t *Tokenizer) Size() int {
	n := t.model.size()
	for token := range t.idOfAll {
		if _, ok := t.model.id(token); !ok {
			n++
		}
	}
	return n
}

// work is the memory of one encoding. It is reused.
type work struct {
	track   bool
	err     error
	out     []symbol
	offsets []Span
	values  []string

	symbols []symbol
	heap    heap
	best    []best
	// cache says where the tokens of words are in cached.
	cache  map[string]cachedWord
	cached []symbol
}

func (w *work) add(id uint32, length int) { w.out = append(w.out, symbol{id, int32(length)}) }

func (w *work) addAll(s []symbol) { w.out = append(w.out, s...) }

// run computes the tokens of a text, without the special ones of the model.
func (t *Tokenizer) run(w *work, text string) {
	word := func(p piece) { t.word(w, p) }
	t.before.split(piece{s: text}, func(p piece) {
		if p.token != nil {
			t.word(w, p)
			return
		}
		t.normalizer.normalize(&p, w.track)
		t.after.split(p, func(p piece) {
			if p.token != nil {
				t.word(w, p)
				return
			}
			t.split.split(p, w.track, word)
		})
	})
}

// word adds the tokens of a word.
func (t *Tokenizer) word(w *work, p piece) {
	if w.err != nil || p.s == "" {
		return
	}
	first := len(w.out)
	if p.token != nil {
		w.add(p.token.id, len(p.s))
	} else if w.err = t.model.tokenize(w, p.s); w.err != nil {
		return
	}
	if !w.track {
		return
	}
	value := ""
	if p.token != nil {
		value = p.s
	}
	at, n := 0, 0
	for _, s := range w.out[first:] {
		if s.length != sameSpan {
			at, n = at+n, int(s.length)
		}
		w.offsets = append(w.offsets, p.origin(at, at+n))
		w.values = append(w.values, value)
	}
}

// postProcessor changes the tokens of a text.
type postProcessor interface {
	process(t *Tokenizer, e *Encoding, text string, o Options)
}

// surround adds special tokens.
type surround struct{ before, after []uint32 }

func (s surround) process(_ *Tokenizer, e *Encoding, _ string, o Options) {
	if !o.Special {
		return
	}
	e.IDs = slices.Concat(s.before, e.IDs, s.after)
	e.Before, e.After = e.Before+len(s.before), e.After+len(s.after)
	if o.Offsets {
		e.Offsets = slices.Concat(make([]Span, len(s.before)), e.Offsets, make([]Span, len(s.after)))
		e.values = slices.Concat(make([]string, len(s.before)), e.values, make([]string, len(s.after)))
	}
}

// trim takes spaces out of the offsets of tokens, but not their places.
type trim struct{ prefixed bool }

func (n trim) process(t *Tokenizer, e *Encoding, text string, _ Options) {
	for i := range e.Offsets {
		value := e.values[i]
		if value == "" {
			value, _ = t.model.text(e.IDs[i])
		}
		n.trim(&e.Offsets[i], value, text, i)
	}
}

func (n trim) trim(s *Span, value, text string, i int) {
	leading, trailing := spacesAround(value)
	if leading == 1 && n.prefixed && (i == 0 || s.Start == 0) {
		leading = 0 // the pre-tokenizer has added it
	}
	start, end := int(s.Start), int(s.End)
	start = min(skip(text, start, leading), end)
	if trailing > 0 && utf8.RuneCountInString(text[:end]) >= trailing {
		for range trailing {
			end = before(text, end)
		}
		end = max(start, end)
	}
	s.Start, s.End = int32(start), int32(end)
}

// spacesAround counts the spaces at the beginning and at the end of a token.
func spacesAround(token string) (leading, trailing int) {
	space := func(r rune) bool { return r == byteRunes[' '] || unicode.IsSpace(r) }
	all := true
	for _, r := range token {
		switch {
		case !space(r):
			all, trailing = false, 0
		case all:
			leading++
			trailing++
		default:
			trailing++
		}
	}
	return leading, trailing
}
