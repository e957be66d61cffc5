package fingerprint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/plan"
)

// Compare lists how two preimages differ: definition first, then
// inputs. Fields that are not known yet do not count. Summary describes the
// current content of a source, for people.
func Compare(before, after []plan.Field, summary string) []plan.Reason {
	was, is := differences(before, after)
	inputs := slices.ContainsFunc(after, func(f plan.Field) bool { return isInputField(f.Name) })
	var reasons []plan.Reason
	for _, f := range is {
		value, had := "", false
		if i := slices.IndexFunc(was, func(w plan.Field) bool { return w.Name == f.Name }); i >= 0 {
			value, had = was[i].Value, true
			was = slices.Delete(was, i, i+1)
		}
		if r, ok := reasonFor(f.Name, value, f.Value, had, true, summary); ok {
			reasons = append(reasons, r)
		}
	}
	for _, f := range was {
		if isInputField(f.Name) && !inputs {
			continue
		}
		if r, ok := reasonFor(f.Name, f.Value, "", true, false, summary); ok {
			reasons = append(reasons, r)
		}
	}
	return withoutConsequences(withoutRepetition(reasons))
}

// differences returns the fields that only one of two preimages has. Several fields can
// have the same name, such as the conditions of a gate.
func differences(before, after []plan.Field) (was, is []plan.Field) {
	left := make(map[plan.Field]int, len(before))
	for _, f := range before {
		left[f]++
	}
	for _, f := range after {
		if left[f] > 0 {
			left[f]--
			continue
		}
		is = append(is, f)
	}
	for _, f := range before {
		if left[f] > 0 {
			left[f]--
			was = append(was, f)
		}
	}
	return was, is
}

// withoutConsequences drops changes to the columns of an output if a changed
// argument explains them, and changes to the content of an input that was added or
// removed.
func withoutConsequences(reasons []plan.Reason) []plan.Reason {
	arguments := map[string]bool{} // that were added or removed
	for _, r := range reasons {
		if r.Code == plan.BecauseArgument && (r.Before == "") != (r.After == "") {
			arguments[r.Subject] = true
		}
	}
	reasons = slices.DeleteFunc(reasons, func(r plan.Reason) bool {
		return r.Code == plan.BecauseUpstream && arguments[r.Subject]
	})
	isOutput := func(r plan.Reason) bool {
		return strings.HasPrefix(r.Subject, "output") && r.Code == plan.BecauseArgument
	}
	if !slices.ContainsFunc(reasons, func(r plan.Reason) bool { return r.Code == plan.BecauseArgument && !isOutput(r) }) {
		return reasons
	}
	return slices.DeleteFunc(reasons, isOutput)
}

// isInputField reports whether a field comes from the action key.
func isInputField(name string) bool {
	return name == "source" || strings.HasPrefix(name, "input ")
}

// reasonFor describes the difference of one field. had and has report whether
// the field is in the former and in the present preimage.
func reasonFor(name, before, after string, had, has bool, summary string) (plan.Reason, bool) {
	first, rest, _ := strings.Cut(name, " ")
	change := " changed"
	switch {
	case !had:
		change = " was added"
	case !has:
		change = " was removed"
	}
	switch first {
	case "type":
		return plan.Reason{Code: plan.BecauseArgument, Subject: "type", Before: before, After: after, Text: "its type changed from " + before + " to " + after}, true
	case "behaviour":
		return plan.Reason{Code: plan.BecauseBehavior, Before: before, After: after, Text: "the plugin gives different results since behavior version " + after + " (was " + before + ")"}, true
	case "function":
		if !had || !has {
			return plan.Reason{}, false // the expression that calls it has changed, too
		}
		return plan.Reason{Code: plan.BecauseBehavior, Subject: rest, Before: before, After: after, Text: rest + "() gives different results since behavior version " + after + " (was " + before + ")"}, true
	case "source":
		text := "the source changed"
		if summary != "" {
			text += ": " + summary
		}
		return plan.Reason{Code: plan.BecauseSource, Text: text}, true
	case "input":
		return inputReason(rest, before, after, change)
	case "output":
		return plan.Reason{Code: plan.BecauseArgument, Subject: name, Before: before, After: after, Text: strings.TrimSpace(name) + change}, true
	case "blocks":
		return plan.Reason{Code: plan.BecauseArgument, Subject: "blocks", Before: before, After: after, Text: "the blocks or their order changed"}, true
	case "pin":
		return pinReason(rest, before, after, change), true
	case "secret":
		return plan.Reason{Code: plan.BecauseArgument, Subject: rest, Text: "the value of " + rest + change}, true
	case "row":
		if strings.HasSuffix(rest, " type") {
			return plan.Reason{}, false
		}
		before, after = expr.Readable(before), expr.Readable(after)
	case "expression", "condition":
		before, after = expr.Readable(before), expr.Readable(after)
	}
	subject := rest
	if subject == "" {
		subject = first
	}
	return plan.Reason{Code: plan.BecauseArgument, Subject: subject, Before: before, After: after, Text: subject + change}, true
}

// inputReason is about a field of an input: "tickets column text", "tickets
// rows", "model digest", "model feature text".
func inputReason(rest, before, after, change string) (plan.Reason, bool) {
	key, what := cutInput(rest)
	switch {
	case what == "rows":
		return rowsReason(key, before, after)
	case what == "digest":
		return plan.Reason{Code: plan.BecauseUpstream, Subject: key, Text: key + change}, true
	case strings.HasPrefix(what, "pin "):
		return pinReason(strings.TrimPrefix(what, "pin "), before, after, change), true
	case strings.HasPrefix(what, "column "):
		column := strings.TrimPrefix(what, "column ")
		switch change {
		case " was added":
			change = " is now read"
		case " was removed":
			change = " is no longer read"
		}
		return plan.Reason{Code: plan.BecauseColumn, Subject: key + "." + column, Text: "column " + column + " of " + key + change}, true
	}
	return plan.Reason{Code: plan.BecauseUpstream, Subject: key, Before: before, After: after, Text: what + " of " + key + change}, true
}

// rowsReason is about the number of rows of an input.
func rowsReason(key, before, after string) (plan.Reason, bool) {
	was, err := strconv.ParseInt(before, 10, 64)
	if err != nil {
		return plan.Reason{}, false // it is empty
	}
	is, err := strconv.ParseInt(after, 10, 64)
	if err != nil {
		return plan.Reason{}, false
	}
	text := fmt.Sprintf("%s has %s (had %s)", key, english.Count(is, "row"), english.Number(was))
	return plan.Reason{Code: plan.BecauseColumn, Subject: key, Before: before, After: after, Text: text}, true
}

// pinReason is about a name outside that refers to something else now.
func pinReason(name, before, after, change string) plan.Reason {
	return plan.Reason{Code: plan.BecauseArgument, Subject: name, Before: before, After: after, Text: "the pin of " + name + change}
}

// cutInput splits an input's field. Keys may contain spaces.
func cutInput(rest string) (key, what string) {
	for _, word := range []string{" column ", " feature ", " pin "} {
		if i := strings.Index(rest, word); i >= 0 {
			return rest[:i], rest[i+1:]
		}
	}
	if i := strings.LastIndexByte(rest, ' '); i >= 0 {
		return rest[:i], rest[i+1:]
	}
	return rest, ""
}

// withoutRepetition merges repeated reasons: if an argument is written in a
// different form, its old and new fields are one change.
func withoutRepetition(reasons []plan.Reason) []plan.Reason {
	at := map[string]int{}
	var out []plan.Reason
	for _, r := range reasons {
		if r.Code != plan.BecauseArgument {
			out = append(out, r)
			continue
		}
		if i, ok := at[r.Subject]; ok && (out[i].Before == "" && r.After == "" || out[i].After == "" && r.Before == "") {
			out[i].Before, out[i].After = out[i].Before+r.Before, out[i].After+r.After
			out[i].Text = r.Subject + " changed"
			continue
		}
		at[r.Subject] = len(out)
		out = append(out, r)
	}
	return out
}
