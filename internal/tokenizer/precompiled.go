package tokenizer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/apparentlymart/go-textseg/v15/textseg"
)

// precompiled is SentencePiece's table of replacements: a double array, whose
// values are places in a list of texts that end with zero bytes.
type precompiled struct {
	units []uint32
	texts []byte
}

func newPrecompiled(table []byte) (*precompiled, error) {
	if len(table) < 4 {
		return nil, errors.New("the table of replacements is empty")
	}
	size := binary.LittleEndian.Uint32(table)
	table = table[4:]
	if size%4 != 0 || uint64(size) > uint64(len(table)) || size == 0 {
		return nil, errors.New("the table of replacements is damaged")
	}
	p := &precompiled{units: make([]uint32, size/4), texts: table[size:]}
	for i := range p.units {
		p.units[i] = binary.LittleEndian.Uint32(table[4*i:])
	}
	return p, nil
}

// find returns the replacement of a text. As in SentencePiece's importer, that is
// the replacement of the shortest beginning that has one.
func (p *precompiled) find(s string) (string, bool) {
	at := unitOffset(p.units[0])
	for i := range len(s) {
		if s[i] == 0 {
			return "", false
		}
		at ^= uint32(s[i])
		if int(at) >= len(p.units) || p.units[at]&(1<<31|0xff) != uint32(s[i]) {
			return "", false
		}
		leaf := p.units[at]>>8&1 == 1
		at ^= unitOffset(p.units[at])
		if !leaf {
			continue
		}
		if int(at) >= len(p.units) {
			return "", false
		}
		if from := p.units[at] &^ (1 << 31); int(from) < len(p.texts) {
			text, _, _ := bytes.Cut(p.texts[from:], []byte{0})
			return string(text), true
		}
		return "", false
	}
	return "", false
}

func unitOffset(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }

// longestReplaced is the maximum length of a character with its marks that is
// replaced as a whole, in bytes.
const longestReplaced = 5

func (p *precompiled) normalize(t *piece, track bool) {
	changes, modified := make([]change, 0, len(t.s)), false
	replace := func(old string) bool {
		text, ok := p.find(old)
		if ok {
			modified = true
			changes = exchange(changes, old, text)
		}
		return ok
	}
	for rest := t.s; rest != ""; {
		cluster := rest[:clusterLength(rest)]
		rest = rest[len(cluster):]
		if len(cluster) <= longestReplaced && replace(cluster) {
			continue
		}
		for i, r := range cluster {
			if !replace(cluster[i : i+utf8.RuneLen(r)]) {
				changes = append(changes, change{r: r})
			}
		}
	}
	if modified {
		t.transform(track, changes, 0)
	}
}

const replacementCharacter = "\ufffd"

// clusterLength returns the length of the first grapheme cluster. The library's
// version of Unicode is older than the reference's, so marks that it does not know
// are added to the cluster before them.
func clusterLength(s string) int {
	n := knownCluster(s)
	if n == len(s) || s[n] < utf8.RuneSelf {
		return n
	}
	if first, _ := utf8.DecodeRuneInString(s); controls&(1<<propertiesOf(first).category) != 0 {
		return n
	}
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if !isExtending.of(r) {
			break
		}
		n += size
	}
	return n
}

// controls are the categories of characters that are clusters of their own.
var controls = categoryMask("Cc") | categoryMask("Cf") | categoryMask("Zl") | categoryMask("Zp")

func knownCluster(s string) int {
	if len(s) == 1 || s[0] < utf8.RuneSelf && s[1] < utf8.RuneSelf && s[0] != '\r' {
		return 1
	}
	if strings.HasPrefix(s, replacementCharacter) { // which textseg takes for damaged text
		return len(replacementCharacter) - 1 + knownCluster("a"+s[len(replacementCharacter):])
	}
	n, _, err := textseg.ScanGraphemeClusters([]byte(s[:min(len(s), 256)]), true)
	if err != nil || n == 0 || n == 256 {
		n, _, _ = textseg.ScanGraphemeClusters([]byte(s), true)
	}
	return n
}

// exchange adds the changes that replace a text by another one.
func exchange(changes []change, old, text string) []change {
	n := utf8.RuneCountInString(old)
	for _, r := range text {
		changes = append(changes, change{r: r, added: n <= 0})
		n--
	}
	if n > 0 && len(changes) > 0 {
		if last := &changes[len(changes)-1]; last.added {
			last.added, last.removed = false, n-1
		} else {
			last.removed += n
		}
	}
	return changes
}
