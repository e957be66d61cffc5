package rows

import "github.com/apache/arrow-go/v18/arrow"

// AppendValue appends a value so that different values of a column have different
// encodings, none of which is a prefix of another. Zero and negative zero are equal.
func AppendValue(b []byte, a arrow.Array, i int) ([]byte, error) { return appendValue(b, a, i) }
