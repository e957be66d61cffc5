// Package evaluation compares what answers for a row: models with prompts,
// trained models, and columns that are there already, on the same rows and by
// the same metrics, and says how sure the differences are.
//
// An answer that failed is a wrong answer: it makes conditions false and graded
// scores 0, so that nobody wins by failing where it is hard. What a metric
// could not be computed of counts likewise where the metric is a condition, and
// is left out where it is a number. What a judge failed to grade is left out.
// A condition that is null, and a judge without a criterion, are not about the
// row and have no part in it.
//
// All calls to models go through the host. Nothing is random but what the seed
// decides, so that equal answers make equal figures.
package evaluation
