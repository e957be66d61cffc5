package progress

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/printable"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// line describes an event in one line without the address, or returns "" if the
// event is not worth a line.
func line(e events.Event) string {
	switch e.Type {
	case events.RunExtended:
		return extendedText(e.Run)
	case events.StageDone:
		return doneText(e.Stage)
	case events.StageFailed:
		if e.Stage.Kind == kind.Gate {
			return "failed: " + summaries(e.Diagnostics)
		}
		return "failed after " + duration(e.Stage.Seconds) + ": " + summaries(e.Diagnostics)
	case events.StagePending:
		return pendingText(e)
	case events.StageInterrupted:
		return "interrupted after " + duration(e.Stage.Seconds)
	case events.StageSkipped:
		switch {
		case len(e.Because) == 0:
			return "not started"
		case e.Waits:
			return "waits for " + list(e.Because)
		}
		return "not reached because " + list(e.Because) + " " + english.Agree(len(e.Because), "is", "are") + " not done"
	case events.Warning:
		return "warning: " + summaries(e.Diagnostics)
	case events.StageRetried:
		return retryText(e.Retry)
	}
	return ""
}

// extendedText names the stages whose instances are now known.
func extendedText(r *events.Run) string {
	var parts []string
	for _, address := range slices.Sorted(maps.Keys(r.Instances)) {
		parts = append(parts, address+" has "+english.Count(r.Instances[address], "instance"))
	}
	return "Planned the rest: " + strings.Join(parts, ", ") + "."
}

// doing describes an action in progress.
func doing(of, action string) string {
	switch action {
	case "check":
		return "checking"
	case "create":
		return "creating"
	case "update":
		return "updating"
	case "replace":
		return "replacing"
	case "delete":
		return "deleting"
	case "forget":
		return "forgetting"
	}
	if of == kind.Source {
		return "reading"
	}
	return "running"
}

var doneWords = map[string]string{
	"adopt": "adopted", "run": "done", "reuse": "reused", "keep": "unchanged", "check": "passed", "create": "created",
	"update": "updated", "replace": "replaced", "delete": "deleted", "refresh": "state updated", "forget": "forgotten",
}

func doneText(s *events.Stage) string {
	text := doneWords[s.Action]
	if text == "" {
		text = s.Action
	}
	if s.Seconds >= 0.05 || s.Action == "run" {
		text += " in " + duration(s.Seconds)
	}
	var details []string
	for _, detail := range []string{rowsText(s), spendText(s.Spend)} {
		if detail != "" {
			details = append(details, detail)
		}
	}
	if len(details) > 0 {
		text += " (" + strings.Join(details, "; ") + ")"
	}
	return text
}

// pendingText describes what a stage waits for, and what it did before.
func pendingText(e events.Event) string {
	text := "pending after " + duration(e.Stage.Seconds)
	var details []string
	if e.Stage.NewRows+e.Stage.ReusedRows+e.Stage.FailedRows > 0 {
		details = append(details, english.Count(e.Stage.NewRows, "row")+" new, "+english.Number(e.Stage.ReusedRows)+" reused")
	}
	if e.Stage.FailedRows > 0 {
		details = append(details, english.Number(e.Stage.FailedRows)+" failed")
	}
	if spent := spendText(e.Stage.Spend); spent != "" {
		details = append(details, spent)
	}
	if len(details) > 0 {
		text += " (" + strings.Join(details, "; ") + ")"
	}
	text += ": " + printable.Line(e.Pending.Text())
	if again := e.Pending.Again(); again != "" {
		text += "; " + again
	}
	return text
}

// spendKind is what a part of a spend is about.
type spendKind int

const (
	spentCalls spendKind = iota
	spentTokens
	spentCached
	spentCost
)

type spendPart struct {
	kind spendKind
	text string
}

// spendText describes what calls of language models cost, or returns "" if
// there were none.
func spendText(s llm.Spend) string {
	var texts []string
	for _, part := range spendParts(s) {
		texts = append(texts, part.text)
	}
	return strings.Join(texts, ", ")
}

func spendParts(s llm.Spend) []spendPart {
	var parts []spendPart
	add := func(kind spendKind, text string) { parts = append(parts, spendPart{kind, text}) }
	if s.Calls > 0 {
		add(spentCalls, english.Count(s.Calls, "call"))
		add(spentTokens, english.Count(s.Tokens(), "token")+estimated(s))
	}
	if s.CachedCalls > 0 {
		add(spentCached, english.Count(s.CachedCalls, "cached response"))
	}
	switch {
	case s.Calls > 0 && s.UnpricedCalls == s.Calls:
		add(spentCost, "price unknown")
	case s.UnpricedCalls > 0:
		add(spentCost, "cost "+llm.FormatMoney(s.Cost)+" and "+english.Count(s.UnpricedCalls, "call")+" without a price")
	case s.UnpricedPayments > 0:
		add(spentCost, "cost only partly known")
	case s.Cost != 0:
		add(spentCost, "cost "+llm.FormatMoney(s.Cost))
	}
	return parts
}

// estimated marks token counts that are estimates.
func estimated(s llm.Spend) string {
	switch {
	case s.EstimatedCalls == 0:
		return ""
	case s.EstimatedCalls == s.Calls:
		return " (estimated)"
	}
	return " (estimated for " + english.Count(s.EstimatedCalls, "call") + ")"
}

func rowsText(s *events.Stage) string {
	var parts []string
	switch {
	case s.RowsIn > 0:
		parts = append(parts, fmt.Sprintf("%s from %s: %s new", english.Count(s.Rows, "row"), english.Number(s.RowsIn), english.Number(s.NewRows)), english.Number(s.ReusedRows)+" reused")
	case s.ComputedRows > 0 && s.ReusedRows > 0:
		parts = append(parts, english.Count(s.ComputedRows, "row")+" recomputed", english.Number(s.ReusedRows)+" reused")
	case s.ReusedRows > 0 || s.FailedRows > 0 && s.ComputedRows == 0:
		parts = append(parts, english.Count(s.NewRows, "row")+" new", english.Number(s.ReusedRows)+" reused")
	case s.Rows > 0 || s.Action == "run" || s.Action == "reuse":
		parts = append(parts, english.Count(s.Rows, "row"))
	}
	if s.FailedRows > 0 {
		parts = append(parts, english.Number(s.FailedRows)+" failed")
	}
	return strings.Join(parts, ", ")
}

func retryText(r *events.Retry) string {
	return fmt.Sprintf("attempt %d of %d failed, retrying in %s: %s", r.Attempt, r.Of, duration(r.Wait), firstLine(r.Error))
}

// detail is something to say about a running stage. If there is not enough
// room, details with the lowest rank are left out first.
type detail struct {
	text string
	rank int
}

// state describes how far a running stage is, in at most width columns. 0 means
// any width.
func (s *stage) state(width int) string {
	if s.note != "" {
		return s.note
	}
	details := s.details()
	for width > 0 && len(details) > 1 && displaywidth.String(s.joined(details)) > width {
		least := 0
		for i, d := range details {
			if d.rank < details[least].rank {
				least = i
			}
		}
		details = slices.Delete(details, least, least+1)
	}
	return s.joined(details)
}

// details returns what can be said about a running stage, in the order in which
// it is shown. What it has cost outranks how fast it is.
func (s *stage) details() []detail {
	if s.trains() {
		return s.training()
	}
	all := []detail{{s.done(), 9}, {s.speed(), 3}}
	if p := s.progress; p.FailedRows > 0 {
		all = append(all, detail{english.Number(p.FailedRows) + " failed", 8})
	}
	if p := s.progress; p.PendingRows > 0 {
		all = append(all, detail{english.Number(p.PendingRows) + " pending", 8})
	}
	all = append(all, detail{s.leftText(), 5})
	ranks := map[spendKind]int{spentCost: 7, spentTokens: 6, spentCalls: 4, spentCached: 2}
	for _, part := range spendParts(s.progress.Spend) {
		all = append(all, detail{part.text, ranks[part.kind]})
	}
	return said(append(all, detail{firstLine(s.progress.Message), 1}))
}

// messageSeparator separates the parts of a trainer's message, such as "loss
// 1.234 · 512 tokens/s".
const messageSeparator = " · "

// trains reports whether the stage is a trainer that says how it is going.
func (s *stage) trains() bool { return s.kind == kind.Train && s.progress.Message != "" }

// training returns the details of a trainer: what it says itself, the most
// important first, matters more than the number of steps.
func (s *stage) training() []detail {
	const most = 20
	var all []detail
	for i, part := range strings.Split(firstLine(s.progress.Message), messageSeparator) {
		all = append(all, detail{part, most - i})
	}
	return said(append(all, detail{s.leftText(), most - 2}, detail{s.done(), 1}))
}

// done is the amount of work that is done, as text.
func (s *stage) done() string {
	p := s.progress
	if p.Done == 0 && p.Total == 0 {
		return ""
	}
	done := english.Number(p.Done)
	if p.Total > 0 {
		done += " of " + english.Number(p.Total)
	}
	return strings.TrimSpace(done + " " + p.Unit)
}

func (s *stage) speed() string {
	if perSecond := s.rate.perSecond(); perSecond > 0 {
		return rateText(perSecond) + "/s"
	}
	return ""
}

func (s *stage) leftText() string {
	if left := s.left(); left > 0 {
		return "about " + duration(left.Seconds()) + " left"
	}
	return ""
}

// said leaves out empty details.
func said(all []detail) []detail {
	return slices.DeleteFunc(all, func(d detail) bool { return d.text == "" })
}

func (s *stage) joined(details []detail) string {
	texts := make([]string, len(details))
	for i, d := range details {
		texts[i] = d.text
	}
	if s.trains() {
		return strings.Join(texts, messageSeparator)
	}
	return strings.Join(texts, ", ")
}

// closing returns the lines that end a run: what was done, what failed, and
// what was not reached.
func (t *tracker) closing(s *events.Summary) []string {
	var done []string
	for _, a := range []string{"adopt", "run", "reuse", "keep", "check", "create", "update", "replace", "delete", "refresh", "forget"} {
		if n := s.Actions[a]; n > 0 {
			done = append(done, english.Number(n)+" "+closingWords[a])
		}
	}
	var rest []string
	for _, r := range []struct {
		n    int
		word string
	}{{s.Pending, "pending"}, {s.Failed, "failed"}, {s.Interrupted, "interrupted"}, {s.Skipped, "not reached"}} {
		if r.n > 0 {
			rest = append(rest, english.Number(r.n)+" "+r.word)
		}
	}
	word := map[string]string{"done": "complete", "pending": "is not complete", "failed": "failed", "interrupted": "interrupted"}[s.Status]
	text := t.command + " " + word + " after " + duration(s.Seconds)
	if all := slices.Concat(done, rest); len(all) > 0 {
		text += ": " + strings.Join(all, ", ")
	}
	lines := []string{text + "."}
	if s.Pending > 0 {
		lines = append(lines, fmt.Sprintf("%s %s for something outside of quern. To continue, apply again later.",
			english.Count(s.Pending, "stage"), english.Agree(s.Pending, "waits", "wait")))
	}
	if spent := spendText(s.Spend); spent != "" {
		lines = append(lines, "Language models: "+spent+".")
	}
	return lines
}

var closingWords = map[string]string{
	"adopt": "adopted", "run": "run", "reuse": "reused", "keep": "unchanged", "check": "checked", "create": "created",
	"update": "updated", "replace": "replaced", "delete": "deleted", "refresh": "refreshed", "forget": "forgotten",
}

// command names the kind of run.
func command(r *events.Run) string {
	switch {
	case r.Destroy:
		return "Destroy"
	case r.RefreshOnly:
		return "Refresh"
	}
	return "Apply"
}

func summaries(diags []events.Diagnostic) string {
	var out []string
	for _, d := range diags {
		out = append(out, firstLine(d.Summary))
	}
	return strings.Join(out, "; ")
}

// firstLine returns the first line of a message, which may quote data or an
// answer.
func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return printable.Line(s)
}

func list(words []string) string {
	const most = 3
	if len(words) > most {
		return strings.Join(words[:most], ", ") + " and " + english.Number(len(words)-most) + " more"
	}
	if len(words) > 1 {
		return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
	}
	return strings.Join(words, "")
}

func rateText(perSecond float64) string {
	if perSecond < 10 {
		return strconv.FormatFloat(perSecond, 'f', 1, 64)
	}
	return english.Number(int64(math.Round(perSecond)))
}

// duration formats seconds for people: 0.2 s, 45 s, 3 min 20 s, 2 h 5 min.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 9950*time.Millisecond:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}
