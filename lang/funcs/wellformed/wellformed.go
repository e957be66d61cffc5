// Package wellformed reports whether texts are, or contain, what other programs
// can read: JSON, with or without a schema, XML, HTML, and SQL. It checks
// whether a model answered in the requested format.
//
// It reads only the text, and refuses schemas and documents that refer to files
// or addresses. For any text, it takes time in proportion to its length.
package wellformed

// patience bounds how much of a text is read repeatedly in the search for a
// well-formed part, as a multiple of the text's length.
const patience = 16

// search calls try at each place in a text, with the rest of the text from
// there. places returns the next place from an offset on, or a negative number
// if there is none. try reports whether it found what is searched for, and how
// many bytes it has read.
func search(text string, places func(from int) int, try func(rest string) (found bool, read int)) bool {
	left := patience*len(text) + 1<<16
	for at := places(0); at >= 0 && left > 0; at = places(at + 1) {
		found, read := try(text[at:])
		if found {
			return true
		}
		left -= max(read, 1)
	}
	return false
}
