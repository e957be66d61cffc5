// Package quality provides the transform "quality": rules that decide which
// texts are fit for training a language model, as Gopher, C4, RefinedWeb, and
// FineWeb define them, and rules of the user.
//
// A rule compares a measure of the text with a limit. The verdicts are those of
// datatrove, whose definitions of words, lines, and characters apply; see
// document. Those of RefinedWeb are DCLM's.
package quality

import "github.com/quern-dev/quern/sdk/go/plugin"

// Types returns the transforms of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindTransform, Name: "quality", Doc: doc, BehaviorVersion: 1}, transform{}),
	}
}

const doc = `Judges texts with the rules of Gopher, C4, RefinedWeb, and FineWeb, and with your own.

Each set of rules that has a block is applied, with the limits of its paper unless you change them. The names of the rules that a text fails are in ` + "`NAME_reasons`" + `, a list such as ` + "`[\"gopher_quality.min_words\", \"fineweb.max_short_lines\"]`" + `, in the order of the arguments below. ` + "`NAME_keep`" + ` is true if the list is empty. All rows stay: filter them by ` + "`NAME_keep`" + ` in a second stage, so that you can look at what is removed and why. The counts are in ` + "`counts.NAME_reasons`" + `, by rule, and ` + "`counts.NAME_keep`" + `.

The sets are applied in the order in which they are listed below. c4 and refinedweb also remove lines: the text that is left is in ` + "`NAME_text`" + `, and later sets judge that text. A null text has the reason ` + "`null`" + `, and an empty one the reason ` + "`SET.empty`" + `. Verdicts are those of datatrove 0.10, which made FineWeb, and for refinedweb those of DCLM. All measures are computed from the text alone, so only new and changed rows are judged again.

` + "```hcl" + `
transform "quality" "clean" {
  input = source.pages
  text  = row.text

  gopher_repetition {}
  gopher_quality {
    min_words = 30
    without   = ["max_bullet_lines"]
  }
  fineweb {}

  rule "too many links" {
    when = row.links > 100
  }
}

transform "filter" "kept" {
  input = transform.clean
  where = row.clean_keep
}
` + "```"
