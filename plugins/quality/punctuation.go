package quality

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// terminal are the punctuation marks that end a sentence, in any script, and
// marks the other ones, as datatrove lists them.
const (
	terminal = "!.?։؝؞؟۔܀܁܂߹࠷࠹࠽࠾।॥၊။።፧፨᙮᜵᜶។៕៖៙៚᠃᠉᥄᥅᪨᪩᪪᪫᭚᭛᭞᭟᭽᭾᰻᰼᱾᱿‼‽⁇⁈⁉⸮⸼⹓⹔。\ua4ff" +
		"\ua60e\ua60f\ua6f3\ua6f7\ua876\ua877\ua8ce\ua8cf\ua92f\ua9c8\ua9c9\uaa5d\uaa5e\uaa5f\uaaf0\uaaf1\uabeb\ufe52\ufe56\ufe57\uff01\uff0e\uff1f\uff61\U00010a56\U00010a57\U00010f55\U00010f56\U00010f57\U00010f58\U00010f59\U00010f86\U00010f87\U00010f88\U00010f89\U00011047\U00011048\U000110be\U000110bf\U000110c0\U000110c1\U00011141\U00011142\U00011143\U000111c5\U000111c6\U000111cd\U000111de\U000111df\U00011238\U00011239\U0001123b\U0001123c\U000112a9\U0001144b\U0001144c\U000115c2\U000115c3\U000115c9\U000115ca" +
		"\U000115cb\U000115cc\U000115cd\U000115ce\U000115cf\U000115d0\U000115d1\U000115d2\U000115d3\U000115d4\U000115d5\U000115d6\U000115d7\U00011641\U00011642\U0001173c\U0001173d\U0001173e\U00011944\U00011946\U00011a42\U00011a43\U00011a9b\U00011a9c\U00011c41\U00011c42\U00011ef7\U00011ef8\U00011f43\U00011f44\U00016a6e\U00016a6f\U00016af5\U00016b37\U00016b38\U00016b44\U00016e98\U0001bc9f\U0001da88"
	marks = "\u0022#$%&'()*+,-/:;<=>@[\u005c]^_`{|}~«´»–—’“”„…∶━►、〈〉《》「」【】\uff05\uff08\uff09\uff0c\uff11\uff1a\uff1b\uff5e"
)

// further are the punctuation marks that are not ASCII; the value is true for
// terminal ones.
var further = sync.OnceValue(func() map[rune]bool {
	out := map[rune]bool{}
	for _, r := range marks {
		out[r] = false
	}
	for _, r := range terminal {
		out[r] = true
	}
	return out
})

// isTerminal reports whether a character ends a sentence.
func isTerminal(r rune) bool {
	if r < utf8.RuneSelf {
		return r == '.' || r == '?' || r == '!'
	}
	return further()[r]
}

// isPunctuation reports whether a word of such characters is not counted as a
// word. Control characters are among them.
func isPunctuation(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r < ' ' && r != '\t' && r != '\n' || r == 0x7f || strings.IndexByte(marks, byte(r)) >= 0 || isTerminal(r)
	case r < 0xa0:
		return true
	}
	_, ok := further()[r]
	return ok
}
