// Package figures is what evaluators say of subjects, in one form: means and
// shares with their intervals, what the answers took, and the differences of
// each two subjects on the same rows with their corrected p-values. Values that
// expressions see, the metrics.json of a report, and its page for people are
// made of the same figures.
//
// What is not known is null, and never zero. Missing values are NaN in the
// slices that figures are made of.
package figures
