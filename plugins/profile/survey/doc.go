// Package survey reads the rows of a dataset once and says what its columns
// contain.
//
// A sketch is filled for each column. The sketches that can be exact are: sums,
// and the search for repeated rows. The others are exact up to some thousand
// distinct values, and lose precision only after that. All of them depend on the
// sequence of the rows alone, or not even on that; never on shards, batches, or
// threads. What is too expensive for every row, such as tokens and correlations,
// is measured on a sample of the rows, with intervals.
//
// Values are sorted in blocks, so that what is known about them are sorted lists,
// which are merged. That is several times as fast as a hash table for each value.
//
// Memory is limited by the number of columns, not by the number of rows. A survey
// can be saved, and continued with the rows that follow.
package survey
