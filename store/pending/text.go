package pending

import (
	"fmt"
	"strings"
	"time"

	"github.com/quern-dev/quern/internal/english"
)

// mostShown is the number of reasons in a text.
const mostShown = 3

// Text describes in one sentence what a stage waits for: "12 of 100 rows wait:
// batch_1 is in progress". It quotes the plugin and has to be made printable.
func (s *Summary) Text() string {
	what := "waits"
	if s.Rows > 0 {
		what = fmt.Sprintf("%s of %s %s", english.Number(s.Rows), english.Count(s.Total, "row"), english.Agree(s.Rows, "waits", "wait"))
	}
	if len(s.For) == 1 && s.More == 0 {
		return what + ": " + s.For[0].Text
	}
	var texts []string
	rest := s.More
	for i, r := range s.For {
		if i >= mostShown {
			rest += r.Rows
			continue
		}
		texts = append(texts, fmt.Sprintf("%s (%s)", r.Text, english.Count(r.Rows, "row")))
	}
	if rest > 0 {
		texts = append(texts, english.Count(rest, "row")+" for other reasons")
	}
	return what + ": " + strings.Join(texts, "; ")
}

// Again says when it is worth asking again, or is empty if that is not known.
func (s *Summary) Again() string {
	if s.CheckAfter.IsZero() {
		return ""
	}
	return "check again after " + Time(s.CheckAfter)
}

// Time formats a time for people.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
