// Package stats shows how certain a measured figure is: it computes intervals
// for means, shares, and any other statistic, compares two subjects on the same
// rows, measures agreement between annotators, and combines their labels into
// one.
//
// All are plain functions over slices. A value that is not finite is an error,
// never a silent part of a figure: the caller leaves out rows without a value,
// for both subjects if two are compared.
//
// Options.Clusters says which observations are not independent: the rows of one
// document, or the repeated draws for one row. Intervals and tests treat a
// cluster as one unit. If rows that are drawn repeatedly also belong to
// clusters, pass the larger ones.
//
// Randomness depends only on Options.Seed and on the observations, whatever
// their order. The exceptions are Bootstrap and BootstrapCounts, which do not
// know the observations and depend on their numbering. Results are the same,
// bit for bit, for any number of processors. Memory grows with the rows and the
// resamples, not with their product.
//
// With fewer than two independent units, nothing is known about accuracy, and
// an interval extends from minus to plus infinity, so no condition on it is
// true. With few units, or units that are all alike, an interval extends as far
// as unseen values could move the figure.
//
// The tests compare every statistic with published values or with those of
// scipy, statsmodels, scikit-learn, krippendorff, and crowd-kit.
// testdata/reference.py computes the latter again.
package stats
