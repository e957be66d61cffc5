package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Parse reads the content of a tokenizer.json.
func Parse(content []byte) (*Tokenizer, error) {
	f, err := readFile(content)
	if err != nil {
		return nil, err
	}
	t, err := f.steps()
	if err != nil {
		return nil, err
	}
	if t.model, err = f.Model.read(); err != nil {
		return nil, err
	}
	t.readBytes()
	return t, t.addTokens(f.AddedTokens)
}

// Check reports whether Parse can read a tokenizer.json, apart from mistakes in the
// vocabulary, which takes nearly all of the time to read.
func Check(content []byte) error {
	f, err := readFile(content)
	if err != nil {
		return err
	}
	if _, err := f.steps(); err != nil {
		return err
	}
	return f.Model.check()
}

// contents are those of a tokenizer.json.
type contents struct {
	AddedTokens   []fileToken     `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Model         *fileModel      `json:"model"`
}

func readFile(content []byte) (*contents, error) {
	f := &contents{}
	if err := json.Unmarshal(content, f); err != nil {
		return nil, fmt.Errorf("it is not a tokenizer.json: %w", err)
	}
	if f.Model == nil {
		return nil, errors.New("it is not a tokenizer.json: it has no model")
	}
	return f, nil
}

// steps returns the tokenizer without its model.
func (f *contents) steps() (*Tokenizer, error) {
	t := &Tokenizer{}
	var err error
	if t.normalizer, err = readNormalizer(f.Normalizer); err != nil {
		return nil, err
	}
	if t.split, err = readPreTokenizer(f.PreTokenizer); err != nil {
		return nil, err
	}
	if t.finish, err = readPostProcessor(f.PostProcessor); err != nil {
		return nil, err
	}
	t.places = slices.ContainsFunc(t.split, func(p preTokenizer) bool {
		m, ok := p.(metaspace)
		return ok && m.scheme == "first"
	})
	return t, nil
}

// readBytes lets the model read bytes, if the pre-tokenizer would turn them into
// characters as its last step.
func (t *Tokenizer) readBytes() {
	m, ok := t.model.(*bpe)
	if !ok || len(t.split) == 0 {
		return
	}
	last := &t.split[len(t.split)-1]
	if b, ok := (*last).(byteLevel); ok && m.useBytes() {
		b.raw = true
		*last = b
	}
}

type fileToken struct {
	ID         uint32 `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// addTokens adds the added tokens. A token that the model has keeps its ID, and
// others are numbered after the model's.
func (t *Tokenizer) addTokens(all []fileToken) error {
	t.added, t.idOfAll = map[uint32]*addedToken{}, map[string]uint32{}
	next := uint32(t.model.size())
	for _, f := range all {
		if f.Content == "" {
			continue
		}
		id, known := t.ID(f.Content)
		if !known {
			id = next
			next++
		}
		t.added[id] = &addedToken{id, f.Content, f.SingleWord, f.LStrip, f.RStrip, f.Normalized, f.Special}
		t.idOfAll[f.Content] = id
		if !known && id != f.ID {
			return fmt.Errorf("added_tokens gives %q the ID %d, but after the model's vocabulary its ID is %d", f.Content, f.ID, id)
		}
	}
	var found [2][]*addedToken
	var forms [2][]string
	for _, id := range sortedKeys(t.added) {
		token, form, k := t.added[id], t.added[id].content, 0
		if token.normalized {
			p := piece{s: form}
			t.normalizer.normalize(&p, false)
			form, k = p.s, 1
		}
		found[k], forms[k] = append(found[k], token), append(forms[k], form)
	}
	t.before, t.after = newAddedTokens(found[0], forms[0]), newAddedTokens(found[1], forms[1])
	return nil
}

func sortedKeys(m map[uint32]*addedToken) []uint32 {
	keys := make([]uint32, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// part is a component of the file.
type part struct {
	Type string `json:"type"`
	raw  json.RawMessage
	in   string // what it is a part of, for errors
}

func readPart(raw json.RawMessage, in string) (part, error) {
	p := part{raw: raw, in: in}
	if err := json.Unmarshal(raw, &p); err != nil {
		return p, fmt.Errorf("%s is damaged: %w", in, err)
	}
	return p, nil
}

func (p part) decode(into any) error {
	if err := json.Unmarshal(p.raw, into); err != nil {
		return fmt.Errorf("%s of type %s is damaged: %w", p.in, p.Type, err)
	}
	return nil
}

func (p part) unknown() error {
	return fmt.Errorf("%s has the type %q, which is not supported", p.in, p.Type)
}

// sequence reads the parts of a part of type Sequence, or a part that is alone.
func sequence[T any](raw json.RawMessage, in, key string, one func(part) (T, error)) ([]T, error) {
	if isNull(raw) {
		return nil, nil
	}
	p, err := readPart(raw, in)
	if err != nil {
		return nil, err
	}
	if p.Type != "Sequence" {
		v, err := one(p)
		return []T{v}, err
	}
	var fields map[string]json.RawMessage
	var all []json.RawMessage
	if err := p.decode(&fields); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(fields[key], &all); err != nil {
		return nil, fmt.Errorf("%s of type Sequence has no list %q", in, key)
	}
	var out []T
	for i, raw := range all {
		inside, err := sequence(raw, fmt.Sprintf("%s.%s[%d]", in, key, i), key, one)
		if err != nil {
			return nil, err
		}
		out = append(out, inside...)
	}
	return out, nil
}

// fileModel is the model of a tokenizer.json.
type fileModel struct {
	Type       string          `json:"type"`
	Vocab      json.RawMessage `json:"vocab"`
	Merges     json.RawMessage `json:"merges"`
	UnkToken   string          `json:"unk_token"`
	UnkID      *int64          `json:"unk_id"`
	Dropout    *float64        `json:"dropout"`
	Prefix     *string         `json:"continuing_subword_prefix"`
	Suffix     string          `json:"end_of_word_suffix"`
	FuseUnk    bool            `json:"fuse_unk"`
	Fallback   bool            `json:"byte_fallback"`
	Whole      bool            `json:"ignore_merges"`
	MaxCharact *int            `json:"max_input_chars_per_word"`
}

// kind is the type, which files of early versions do not name.
func (f *fileModel) kind() string {
	switch {
	case f.Type != "":
		return f.Type
	case f.Merges != nil:
		return "BPE"
	case f.MaxCharact != nil:
		return "WordPiece"
	case strings.HasPrefix(strings.TrimSpace(string(f.Vocab)), "["):
		return "Unigram"
	}
	return "WordLevel"
}

// check checks everything but the vocabulary.
func (f *fileModel) check() error {
	switch kind := f.kind(); {
	case !slices.Contains([]string{"BPE", "WordPiece", "Unigram", "WordLevel"}, kind):
		return part{Type: kind, in: "model"}.unknown()
	case isNull(f.Vocab):
		return errors.New("model has no vocab")
	case kind == "BPE" && f.Dropout != nil && *f.Dropout != 0:
		return errors.New("model has a dropout, with which the tokens of a text are random; set model.dropout to null")
	}
	return nil
}

func (f *fileModel) read() (model, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.kind() == "Unigram" {
		unknown := int64(-1)
		if f.UnkID != nil {
			unknown = *f.UnkID
		}
		return readUnigram(f.Vocab, unknown, f.Fallback)
	}
	var ids map[string]uint32
	if err := json.Unmarshal(f.Vocab, &ids); err != nil {
		return nil, fmt.Errorf("model.vocab is damaged: %w", err)
	}
	v, err := newVocabulary(ids)
	if err != nil {
		return nil, err
	}
	switch f.kind() {
	case "WordPiece":
		prefix, longest := "##", 100
		if f.Prefix != nil {
			prefix = *f.Prefix
		}
		if f.MaxCharact != nil {
			longest = *f.MaxCharact
		}
		return newWordPiece(v, prefix, f.UnkToken, longest), nil
	case "BPE":
		return f.readBPE(v)
	}
	return &wordLevel{v, f.UnkToken}, nil
}

func (f *fileModel) readBPE(v *vocabulary) (model, error) {
	prefix := ""
	if f.Prefix != nil {
		prefix = *f.Prefix
	}
	merges, err := readMerges(f.Merges)
	if err != nil {
		return nil, err
	}
	m, err := newBPE(v, merges, prefix)
	if err != nil {
		return nil, err
	}
	m.unknown, m.suffix, m.fuse, m.fallback, m.whole = f.UnkToken, f.Suffix, f.FuseUnk, f.Fallback, f.Whole
	return m, nil
}

func readMerges(raw json.RawMessage) ([][2]string, error) {
	var lines []string
	if json.Unmarshal(raw, &lines) != nil {
		var pairs [][]string
		if err := json.Unmarshal(raw, &pairs); err != nil {
			return nil, fmt.Errorf("model.merges is damaged: %w", err)
		}
		out := make([][2]string, len(pairs))
		for i, p := range pairs {
			if len(p) != 2 {
				return nil, fmt.Errorf("model.merges[%d] has %d tokens, but must have 2", i, len(p))
			}
			out[i] = [2]string{p[0], p[1]}
		}
		return out, nil
	}
	var out [][2]string
	for i, line := range lines {
		if strings.HasPrefix(line, "#version") {
			continue
		}
		left, right, ok := strings.Cut(line, " ")
		if !ok || strings.Contains(right, " ") {
			return nil, fmt.Errorf("model.merges[%d] is %q, but must be two tokens with a space between them", i, line)
		}
		out = append(out, [2]string{left, right})
	}
	return out, nil
}

func readUnigram(raw json.RawMessage, unknown int64, fallback bool) (model, error) {
	var entries [][2]json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, fmt.Errorf("model.vocab is damaged: %w", err)
	}
	tokens, scores := make([]string, len(entries)), make([]float64, len(entries))
	for i, e := range entries {
		var n score
		if err := errors.Join(json.Unmarshal(e[0], &tokens[i]), json.Unmarshal(e[1], &n)); err != nil {
			return nil, fmt.Errorf("model.vocab[%d] is not a token with its score: %w", i, err)
		}
		scores[i] = float64(n)
	}
	return newUnigram(tokens, scores, unknown, fallback)
}

func readNormalizer(raw json.RawMessage) (normalizers, error) {
	return sequence(raw, "normalizer", "normalizers", func(p part) (normalizer, error) {
		var f struct {
			CleanText   bool        `json:"clean_text"`
			Chinese     bool        `json:"handle_chinese_chars"`
			Accents     *bool       `json:"strip_accents"`
			Lowercase   bool        `json:"lowercase"`
			StripLeft   bool        `json:"strip_left"`
			StripRight  bool        `json:"strip_right"`
			Prepend     string      `json:"prepend"`
			Content     string      `json:"content"`
			Pattern     filePattern `json:"pattern"`
			Precompiled string      `json:"precompiled_charsmap"`
		}
		if err := p.decode(&f); err != nil {
			return nil, err
		}
		switch p.Type {
		case "NFC":
			return unicodeForm{norm.NFC}, nil
		case "NFD":
			return unicodeForm{norm.NFD}, nil
		case "NFKC":
			return unicodeForm{norm.NFKC}, nil
		case "NFKD":
			return unicodeForm{norm.NFKD}, nil
		case "Lowercase":
			return lowercase{}, nil
		case "Strip":
			return strip{f.StripLeft, f.StripRight}, nil
		case "StripAccents":
			return stripAccents{}, nil
		case "Prepend":
			return prefix(f.Prepend), nil
		case "Nmt":
			return nmt{}, nil
		case "ByteLevel":
			return byteLevelNormalizer{}, nil
		case "Replace":
			find, err := f.Pattern.finder(p.in)
			return replacement{find, f.Content}, err
		case "BertNormalizer":
			accents := f.Lowercase
			if f.Accents != nil {
				accents = *f.Accents
			}
			return bert{f.CleanText, f.Chinese, accents, f.Lowercase}, nil
		case "Precompiled":
			table, err := base64.StdEncoding.DecodeString(f.Precompiled)
			if err != nil {
				return nil, fmt.Errorf("%s has a damaged precompiled_charsmap: %w", p.in, err)
			}
			n, err := newPrecompiled(table)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.in, err)
			}
			return n, nil
		}
		return nil, p.unknown()
	})
}

// filePattern is a text or a regular expression to find.
type filePattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

func (f filePattern) finder(in string) (finder, error) {
	switch {
	case f.String != nil:
		return literal(*f.String), nil
	case f.Regex != nil:
		p, err := compile(*f.Regex)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in, err)
		}
		return p, nil
	}
	return nil, fmt.Errorf("%s has a pattern that is neither a String nor a Regex", in)
}

func readPreTokenizer(raw json.RawMessage) (preTokenizers, error) {
	return sequence(raw, "pre_tokenizer", "pretokenizers", func(p part) (preTokenizer, error) {
		var f struct {
			PrefixSpace *bool       `json:"add_prefix_space"`
			UseRegex    *bool       `json:"use_regex"`
			Pattern     filePattern `json:"pattern"`
			Behavior    behavior    `json:"behavior"`
			Invert      bool        `json:"invert"`
			Replacement string      `json:"replacement"`
			Scheme      string      `json:"prepend_scheme"`
			Split       *bool       `json:"split"`
			Delimiter   string      `json:"delimiter"`
			Individual  bool        `json:"individual_digits"`
			Length      *int        `json:"length"`
		}
		if err := p.decode(&f); err != nil {
			return nil, err
		}
		switch f.Behavior {
		case "", removed, isolated, mergedWithPrevious, mergedWithNext, contiguous:
		default:
			return nil, fmt.Errorf("%s has the behavior %q, which is not supported", p.in, f.Behavior)
		}
		switch p.Type {
		case "ByteLevel":
			n := byteLevel{prefix: f.PrefixSpace == nil || *f.PrefixSpace}
			var err error
			if f.UseRegex == nil || *f.UseRegex {
				n.words, err = compile(gpt2Words)
			}
			return n, err
		case "Split":
			find, err := f.Pattern.finder(p.in)
			return splitter{find, f.Behavior, f.Invert}, err
		case "Whitespace":
			find, err := compile(whitespaceWords)
			return splitter{find, removed, true}, err
		case "WhitespaceSplit":
			return splitter{find: single(unicode.IsSpace), behavior: removed}, nil
		case "BertPreTokenizer":
			return bertPreTokenizer(), nil
		case "Punctuation":
			if f.Behavior == "" {
				f.Behavior = isolated
			}
			return splitter{find: single(isPunctuated.of), behavior: f.Behavior}, nil
		case "Digits":
			n := splitter{find: single(isNumeric.of), behavior: contiguous}
			if f.Individual {
				n.behavior = isolated
			}
			return n, nil
		case "CharDelimiterSplit":
			if utf8.RuneCountInString(f.Delimiter) != 1 {
				return nil, fmt.Errorf("%s has the delimiter %q, which is not one character", p.in, f.Delimiter)
			}
			return splitter{find: literal(f.Delimiter), behavior: removed}, nil
		case "FixedLength":
			n := 5
			if f.Length != nil {
				n = *f.Length
			}
			if n < 1 {
				return nil, fmt.Errorf("%s has the length %d, but it must be at least 1", p.in, n)
			}
			return fixedLength(n), nil
		case "UnicodeScripts":
			return unicodeScripts{}, nil
		case "Metaspace":
			return newMetaspace(p, f.Replacement, f.Scheme, f.PrefixSpace, f.Split)
		}
		return nil, p.unknown()
	})
}

func newMetaspace(p part, replacement, scheme string, prefixSpace, splits *bool) (preTokenizer, error) {
	if scheme == "" {
		scheme = "always"
	}
	if prefixSpace != nil && !*prefixSpace {
		scheme = "never"
	}
	switch {
	case utf8.RuneCountInString(replacement) != 1:
		return nil, fmt.Errorf("%s has the replacement %q, which is not one character", p.in, replacement)
	case scheme != "always" && scheme != "first" && scheme != "never":
		return nil, fmt.Errorf("%s has the prepend_scheme %q, which is not supported", p.in, scheme)
	}
	return metaspace{replacement, scheme, splits == nil || *splits}, nil
}

func readPostProcessor(raw json.RawMessage) ([]postProcessor, error) {
	all, err := sequence(raw, "post_processor", "processors", func(p part) ([]postProcessor, error) {
		var f struct {
			Trim        *bool               `json:"trim_offsets"`
			PrefixSpace *bool               `json:"add_prefix_space"`
			Sep         [2]any              `json:"sep"`
			Cls         [2]any              `json:"cls"`
			Single      []templatePiece     `json:"single"`
			Tokens      map[string]tokenIDs `json:"special_tokens"`
		}
		if err := p.decode(&f); err != nil {
			return nil, err
		}
		var out []postProcessor
		if p.Type == "ByteLevel" || p.Type == "RobertaProcessing" {
			if f.Trim == nil || *f.Trim {
				out = append(out, trim{f.PrefixSpace == nil || *f.PrefixSpace})
			}
		}
		switch p.Type {
		case "ByteLevel":
			return out, nil
		case "BertProcessing", "RobertaProcessing":
			cls, ok := f.Cls[1].(float64)
			sep, ok2 := f.Sep[1].(float64)
			if !ok || !ok2 {
				return nil, fmt.Errorf("%s has no cls and sep with their IDs", p.in)
			}
			return append(out, surround{[]uint32{uint32(cls)}, []uint32{uint32(sep)}}), nil
		case "TemplateProcessing":
			s, err := readTemplate(p, f.Single, f.Tokens)
			return []postProcessor{s}, err
		}
		return nil, p.unknown()
	})
	return slices.Concat(all...), err
}

type templatePiece struct {
	Sequence     *struct{ ID string }
	SpecialToken *struct{ ID string }
}

type tokenIDs struct {
	IDs []uint32 `json:"ids"`
}

// readTemplate reads the template for one text, A.
func readTemplate(p part, pieces []templatePiece, tokens map[string]tokenIDs) (surround, error) {
	var s surround
	seen := false
	for _, piece := range pieces {
		switch {
		case piece.Sequence != nil && piece.Sequence.ID == "A" && !seen:
			seen = true
		case piece.SpecialToken != nil:
			ids, ok := tokens[piece.SpecialToken.ID]
			if !ok {
				return s, fmt.Errorf("%s uses the special token %q, but does not define it", p.in, piece.SpecialToken.ID)
			}
			if seen {
				s.after = append(s.after, ids.IDs...)
			} else {
				s.before = append(s.before, ids.IDs...)
			}
		default:
			return s, fmt.Errorf("%s has a template in which the text does not occur once", p.in)
		}
	}
	if !seen {
		return s, fmt.Errorf("%s has a template in which the text does not occur once", p.in)
	}
	return s, nil
}
