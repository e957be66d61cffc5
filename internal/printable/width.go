package printable

import (
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// Width returns how many columns of a terminal a text takes. Characters of some scripts
// take two, and some none.
func Width(text string) int { return displaywidth.String(text) }

// Pad appends spaces to a text until it takes so many columns.
func Pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-Width(text)))
}
