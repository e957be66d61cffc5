package wire

import "fmt"

// CheckCounts says what is wrong with the counts of a response to a FlatMapper's
// batch, of which left rows are not answered yet. The response has made rows.
func CheckCounts(counts []int64, left, made int64) error {
	if n := int64(len(counts)); n > left || n == 0 && left > 0 {
		return fmt.Errorf("it counted the rows that came of %d rows, where %d are left to be answered", n, left)
	}
	sum := int64(0)
	for i, n := range counts {
		if n < 0 || n > made-sum {
			return fmt.Errorf("it says that %d rows came of row %d, and made %d rows in all", n, i, made)
		}
		sum += n
	}
	if sum != made {
		return fmt.Errorf("it says that %d rows came of %d rows, and made %d rows", sum, len(counts), made)
	}
	return nil
}
