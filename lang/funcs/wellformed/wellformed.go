// Package wellformed reports whether texts are, or contain, what other programs can
// read: JSON, with or without a schema, XML, HTML, and SQL. It checks
// that a model answered in the requested format.
//
// It reads only the text: schemas and documents that refer to files or
// addresses are refused. It takes time in proportion to the text, whatever the
// text is.
package wellformed

// patience limits how much of a text is read again and again in the search for
// a part that is well-formed: so many times its length.
const patience = 16

// search calls try at each place of a text, with the text from there on. The
// next place from an offset on is given by places; below 0: there is none. try
// reports whether that is what is looked for, and how many bytes it has read.
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
