package files

import (
	"errors"
	"fmt"
)

// delimiters are the delimiters that are detected, starting with the most
// common one.
var delimiters = []byte{',', '\t', ';', '|'}

// The maximum amount of text that findDelimiter looks at.
const (
	delimiterBytes = 64 << 10
	delimiterRows  = 200
)

var errAmbiguous = errors.New("the delimiter is ambiguous")

// findDelimiter detects the delimiter: it must split at least nine in ten of
// the first rows into as many fields as the first row, and into more than one.
func (r *csvReader) findDelimiter() (byte, error) {
	for len(r.data) < delimiterBytes && !r.end {
		if err := r.grow(); err != nil {
			return 0, err
		}
	}
	sample := r.data[:min(len(r.data), delimiterBytes)]
	var fits []byte
	all := true // so far, all rows match
	rows := 0
	for _, d := range delimiters {
		width, agree, n := r.cutBy(d, sample)
		if width < 2 || 10*agree < 9*n {
			continue
		}
		if whole := agree == n; whole != all || len(fits) == 0 {
			if len(fits) > 0 && !whole {
				continue
			}
			fits, all = nil, whole
		}
		fits, rows = append(fits, d), n
	}
	switch {
	case len(fits) == 0:
		return delimiters[0], nil
	case len(fits) > 1 && rows > 1:
		return 0, fmt.Errorf("%w: %q and %q both split each row into the same number of fields\nSet delimiter to the right one.", errAmbiguous, fits[0], fits[1])
	}
	return fits[0], nil
}

// cutBy returns the number of fields into which a delimiter splits the first
// row of a text, and how many of the rows have the same number.
func (r *csvReader) cutBy(delimiter byte, text []byte) (width, agree, rows int) {
	trial := csvReader{
		// If the text continues, ignore its last record, which is incomplete.
		window:  &window{r: cut{}, data: text, end: r.end && len(text) == len(r.data), line: 1, ending: r.ending},
		dialect: dialect{delimiter, r.quote, r.escape},
	}
	for ; rows < delimiterRows; rows++ {
		err := trial.next()
		if err != nil && !errors.As(err, new(malformed)) {
			break
		}
		if rows == 0 {
			width = len(trial.fields)
		}
		if err == nil && len(trial.fields) == width {
			agree++
		}
	}
	return width, agree, rows
}

// cut is a reader for the rest of a text that was cut off.
type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, errEnough }
