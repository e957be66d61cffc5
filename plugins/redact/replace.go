package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// What is done with what is found.
const (
	actionMask      = "mask"
	actionPseudonym = "pseudonym"
	actionRemove    = "remove"
)

// replacer replaces what a detector finds.
type replacer struct {
	*detector
	action  string
	actions map[string]string // by kind, where it differs
	key     []byte
}

// redact returns a text without what was found in it.
func (r *replacer) redact(text string) (string, []match) {
	found := r.find(text)
	if len(found) == 0 {
		return text, nil
	}
	var b strings.Builder
	from := 0
	for _, m := range found {
		b.WriteString(text[from:m.start])
		from = m.end
		action := r.action
		if own, ok := r.actions[m.kind]; ok {
			action = own
		}
		switch action {
		case actionMask:
			b.WriteString("<" + strings.ToUpper(m.kind) + ">")
		case actionPseudonym:
			b.WriteString("<" + strings.ToUpper(m.kind) + "_" + r.pseudonym(m) + ">")
		case actionRemove:
			// Of the spaces on both sides, one is left.
			if m.start > 0 && text[m.start-1] == ' ' && from < len(text) && text[from] == ' ' {
				from++
			}
		}
	}
	b.WriteString(text[from:])
	return b.String(), found
}

// pseudonymBytes is how much of the digest a pseudonym shows: among a million
// values, two have the same one with a probability below 1 in 10 million.
const pseudonymBytes = 8

// pseudonym returns a token that is the same for the same value, and which only
// somebody with the key can compute.
func (r *replacer) pseudonym(m match) string {
	h := hmac.New(sha256.New, r.key)
	h.Write([]byte(m.kind + "\x00" + m.value))
	return hex.EncodeToString(h.Sum(nil)[:pseudonymBytes])
}
