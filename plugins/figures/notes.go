package figures

import "fmt"

// Missing says how many of all items are affected by something, such as failed
// answers.
func Missing(n, all int64, one, many, what string) string {
	if all != 1 {
		one = many
	}
	return fmt.Sprintf("%d of %d %s %s", n, all, one, what)
}
