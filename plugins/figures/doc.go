// Package figures computes the figures that evaluators report about subjects:
// means and shares with their intervals, the cost, tokens, and latency of
// answers, and the differences between pairs of subjects on the same rows, with
// corrected p-values. The values that expressions see, the metrics.json of a
// report, and the report's page for people all consist of these figures.
//
// An unknown figure is null, never zero. In the slices that figures are
// computed from, missing values are NaN.
package figures
