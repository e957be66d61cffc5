// Package annotation combines labels that several annotators, people or
// labelers, gave to the same items. label "vote" turns them into one label, and
// evaluate "agreement" measures how far they agree.
//
// The votes on an item are columns of one row, one column for each annotator,
// or each vote is a row. A null vote is a missing vote.
package annotation

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/plugins/stats"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types returns the types of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewRunner(plugin.Info{Kind: plugin.KindLabel, Name: "vote", Doc: voteDoc, BehaviorVersion: 3}, voter{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "agreement", Doc: agreementDoc, BehaviorVersion: 2}, agreement{}),
	}
}

// Votes contains the arguments that say who gave which label to which item.
type Votes struct {
	Columns map[string]plugin.Column `quern:"votes" type:"string" doc:"The label that each annotator gave the row, by annotator's name, such as '{ rules = row.rules, small = row.small }'."`

	Item      plugin.Column `quern:"item" type:"string" doc:"The item that was labeled, if each row is one vote. Use item, annotator, and label instead of votes."`
	Annotator plugin.Column `quern:"annotator" type:"string" doc:"Who gave the label, if each row is one vote."`
	Label     plugin.Column `quern:"label" type:"string" doc:"The label that was given, if each row is one vote."`
}

// long reports whether each row is one vote.
func (v *Votes) long() bool { return v.Item.IsSet() }

// problem describes what is wrong with the arguments. text is empty if they are
// valid.
func (v *Votes) problem() (key, text string) {
	given := 0
	for _, c := range []plugin.Column{v.Item, v.Annotator, v.Label} {
		if c.IsSet() {
			given++
		}
	}
	switch {
	case len(v.Columns) > 0 && given > 0:
		return "votes", "votes cannot be combined with item, annotator, and label\nIf votes are columns, keep votes. If each row is one vote, keep item, annotator, and label."
	case len(v.Columns) == 1:
		return "votes", "There is only one annotator\nAt least two are needed."
	case len(v.Columns) == 0 && given < 3:
		return "", "The votes are missing\nWrite votes = { a = row.a, b = row.b } or, if each row is one vote, write item, annotator, and label."
	}
	return "", ""
}

// ballot contains all votes, and the names that their numbers refer to.
type ballot struct {
	votes                     []stats.Vote
	items, annotators, labels []string
	// rows is the number of items if they are rows, which have no names.
	rows int
}

// names numbers strings in the order in which they first occur.
type names struct {
	list   []string
	number map[string]int
}

func (n *names) of(s string) int {
	if i, ok := n.number[s]; ok {
		return i
	}
	if n.number == nil {
		n.number = map[string]int{}
	}
	s = string([]byte(s)) // copy it out of the batch's memory
	n.number[s] = len(n.list)
	n.list = append(n.list, s)
	return len(n.list) - 1
}

// read reads all votes. Labels are numbered in sorted order, or in the given
// one.
func (v *Votes) read(ctx context.Context, in *plugin.DatasetInput, order []string) (*ballot, error) {
	var items, annotators, labels names
	for _, l := range order {
		labels.of(l)
	}
	b := &ballot{}
	var columns []string
	if v.long() {
		columns = []string{v.Item.Key, v.Annotator.Key, v.Label.Key}
	} else {
		for _, name := range slices.Sorted(maps.Keys(v.Columns)) {
			annotators.of(name)
			columns = append(columns, v.Columns[name].Key)
		}
	}
	for rec, err := range in.Batches(ctx, data.Arguments.Refs(columns...)) {
		if err != nil {
			return nil, err
		}
		texts := make([]*array.String, len(columns))
		for i := range columns {
			var ok bool
			if texts[i], ok = rec.Column(i).(*array.String); !ok {
				return nil, fmt.Errorf("%q has type %s, but must be strings", columns[i], rec.Column(i).DataType())
			}
		}
		for row := range int(rec.NumRows()) {
			if v.long() {
				if texts[0].IsValid(row) && texts[1].IsValid(row) {
					vote := stats.Vote{Item: items.of(texts[0].Value(row)), Annotator: annotators.of(texts[1].Value(row))}
					if texts[2].IsValid(row) {
						vote.Label = labels.of(texts[2].Value(row))
						b.votes = append(b.votes, vote)
					}
				}
				continue
			}
			for a, t := range texts {
				if t.IsValid(row) {
					b.votes = append(b.votes, stats.Vote{Item: b.rows + row, Annotator: a, Label: labels.of(t.Value(row))})
				}
			}
		}
		if !v.long() {
			b.rows += int(rec.NumRows())
		}
	}
	if v.long() {
		b.rows = len(items.list)
	}
	if order != nil && len(labels.list) > len(order) {
		return nil, plugin.ArgumentErrorf("order", "The order does not list the label %q\nList all labels, from the lowest to the highest.", labels.list[len(order)])
	}
	b.items, b.annotators, b.labels = items.list, annotators.list, labels.list
	if order == nil {
		b.sortLabels()
	}
	return b, nil
}

// sortLabels renumbers the labels in alphabetical order, so that results do not
// depend on which row came first.
func (b *ballot) sortLabels() {
	sorted, at := inOrder(b.labels)
	b.renumber(func(label int) int { return at[label] })
	b.labels = sorted
}

// sortAnnotators renumbers the annotators in alphabetical order.
func (b *ballot) sortAnnotators() {
	sorted, at := inOrder(b.annotators)
	for i := range b.votes {
		b.votes[i].Annotator = at[b.votes[i].Annotator]
	}
	b.annotators = sorted
}

// inOrder sorts names. at[i] is the new position of name i.
func inOrder(names []string) (sorted []string, at []int) {
	sorted = slices.Sorted(slices.Values(names))
	at = make([]int, len(names))
	for i, name := range names {
		at[i], _ = slices.BinarySearch(sorted, name)
	}
	return sorted, at
}

// renumber changes the number of each label.
func (b *ballot) renumber(number func(label int) int) {
	for i := range b.votes {
		b.votes[i].Label = number(b.votes[i].Label)
	}
}
