// Package stats says how sure a measured figure is: intervals for means,
// shares and any other statistic, comparisons of two subjects on the same
// rows, agreement between annotators, and one label made of several.
//
// All are plain functions over slices. A value that is not finite is an error
// and never a silent part of a figure: who calls leaves out rows without a
// value, of both subjects where two are compared.
//
// Observations that are not independent are named by Options.Clusters: the
// rows of one document, or the repeated draws of one row. Intervals and tests
// then treat a cluster as one unit. Where rows that are drawn repeatedly also
// lie in clusters, give the larger ones.
//
// What is random is decided by Options.Seed and by the observations, whatever
// their order; only Bootstrap and BootstrapCounts, which know nothing of them,
// depend on how they are numbered. Results are the same, bit for bit, however many
// processors work on them. Memory grows with the rows and the resamples, not with
// their product.
//
// With fewer than two independent units nothing is known about accuracy, and
// an interval reaches from minus to plus infinity, so that no condition holds
// by it. With few units, or units that are all alike, an interval reaches as far
// as values that were not seen could move the figure.
//
// Every statistic is held to published values or to those of scipy,
// statsmodels, scikit-learn, krippendorff and crowd-kit in the tests;
// testdata/reference.py computes the latter anew.
package stats
