// Package profile implements evaluate "profile": what the columns of a dataset
// contain, and how they differ from those of a baseline.
//
// One pass over the rows fills a sketch for each column. The sketches that can
// be exact are: sums, and the search for repeated rows. The others are exact up
// to some thousand distinct values, and lose precision only after that. All of
// them depend on the sequence of the rows alone, or not even on that; never on
// shards, batches, or threads. What is too expensive for every row, such as
// tokens and correlations, is measured on a sample of the rows, with intervals.
//
// Memory is limited by the number of columns, not by the number of rows.
package profile
