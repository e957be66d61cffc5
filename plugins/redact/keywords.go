package redact

// keywords finds many words in a text in one pass, whatever their case in ASCII
// (Aho and Corasick 1975).
type keywords struct {
	classes [256]uint8 // of bytes; 0 for those that are in no word
	width   int        // the number of classes
	next    []int32    // by state and class
	// words are, by state, the numbers of the words that end there.
	words [][]int
}

// newKeywords takes words in lower case.
func newKeywords(words []string) *keywords {
	k := &keywords{width: 1}
	for _, w := range words {
		for i := range len(w) {
			if k.classes[w[i]] == 0 {
				k.classes[w[i]] = uint8(k.width)
				k.width++
			}
		}
	}
	for c := byte('A'); c <= 'Z'; c++ {
		k.classes[c] = k.classes[c|0x20]
	}
	k.addState()
	for n, w := range words {
		k.add(n, w)
	}
	k.link()
	return k
}

func (k *keywords) addState() int32 {
	k.next = append(k.next, make([]int32, k.width)...)
	k.words = append(k.words, nil)
	return int32(len(k.words) - 1)
}

// add adds the states of a word, which are a tree so far.
func (k *keywords) add(n int, word string) {
	state := int32(0)
	for i := range len(word) {
		at := int(state)*k.width + int(k.classes[word[i]])
		if k.next[at] == 0 {
			to := k.addState()
			k.next[at] = to
		}
		state = k.next[at]
	}
	k.words[state] = append(k.words[state], n)
}

// link completes the transitions: where no word continues, the longest end of
// what was read that begins a word does.
func (k *keywords) link() {
	fail := make([]int32, len(k.words))
	var queue []int32
	for c := range k.width {
		if to := k.next[c]; to != 0 {
			queue = append(queue, to)
		}
	}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		k.words[state] = append(k.words[state], k.words[fail[state]]...)
		for c := range k.width {
			at, back := int(state)*k.width+c, k.next[int(fail[state])*k.width+c]
			if to := k.next[at]; to != 0 {
				fail[to] = back
				queue = append(queue, to)
			} else {
				k.next[at] = back
			}
		}
	}
}

// each calls found with the number and the end of each word in a text.
func (k *keywords) each(text string, found func(word, end int)) {
	state := int32(0)
	for i := range len(text) {
		state = k.next[int(state)*k.width+int(k.classes[text[i]])]
		for _, n := range k.words[state] {
			found(n, i+1)
		}
	}
}
