package linear

import (
	"fmt"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

const (
	// maxClasses is the maximum number of labels of a model. Each row is scored
	// for all of them, so training would take too long before it takes too much
	// memory.
	maxClasses = 50_000
	// maxLabelBytes is the maximum total length of all different labels.
	maxLabelBytes = 64 << 20
	// maxMemory is the maximum of Options.MaxMemory: the largest model that
	// Open reads.
	maxMemory = maxWeights * weightBytes >> 20
)

// weightBytes is the size of a weight, a float32.
const weightBytes = 4

// labelCounts counts rows by label, up to the limits of a model.
type labelCounts struct {
	rows    map[string]int64
	total   int64
	bytes   int   // of all different labels
	singles int64 // number of labels with one row
}

func (l *labelCounts) add(label string) error {
	l.total++
	switch l.rows[label]++; l.rows[label] {
	case 1:
		l.singles++
		l.bytes += len(label)
	case 2:
		l.singles--
	}
	if len(l.rows) > maxClasses {
		advice := "Merge rare labels."
		if id := likeID(l.singles, l.total, len(l.rows), "the first "); id != "" {
			advice = id + " Use a column with classes as the target."
		}
		return plugin.ArgumentErrorf("target", "The target has more than %d distinct labels\n"+
			"train \"linear\" supports up to %d classes. %s", maxClasses, maxClasses, advice)
	}
	if l.bytes > maxLabelBytes {
		return plugin.ArgumentErrorf("target", "The labels of the target are too long\n"+
			"The %d distinct labels of the first %d rows take more than %d MiB. Use a column with short class names as the target.",
			len(l.rows), l.total, maxLabelBytes>>20)
	}
	return nil
}

// likeID explains why a target looks like an ID: most of its many rows have a
// unique value. It returns "" if the target does not look like an ID.
func likeID(singles, rows int64, classes int, which string) string {
	if classes < 100 || 2*singles <= rows {
		return ""
	}
	return fmt.Sprintf("The target looks like an ID: %d of %s%d rows have a value that no other row has.", singles, which, rows)
}

// fits returns an error if the weights would take more memory than o allows.
func (s *survey) fits(o Options) error {
	places, classes := int64(len(s.vocabulary.idf)), int64(len(s.classes))
	need := places * classes * weightBytes
	if need <= int64(o.MaxMemory)<<20 {
		return nil
	}
	advice := "Merge rare labels, set a higher min_rows or fewer hash_bits, or raise max_memory."
	if id := likeID(s.singles, s.rows, len(s.classes), ""); id != "" {
		advice = id + " Use a column with classes as the target."
	}
	return plugin.ArgumentErrorf("target", "The model would take %d MiB of memory\n"+
		"The weights of %d classes times %d n-grams, at %d bytes each, are more than the %d MiB that max_memory allows. %s",
		(need+1<<20-1)>>20, classes, places, weightBytes, o.MaxMemory, advice)
}
