// Package evaluation compares everything that can answer for a row: models with
// prompts, trained models, and existing columns. It measures them on the same
// rows with the same metrics, and reports how certain the differences are.
//
// A failed answer is a wrong answer: its conditions are false and its graded
// scores are 0, so no subject gains by failing on difficult rows. If a metric
// could not be computed for an answer, a condition counts as false, and a
// number is left out. If a judge failed to grade an answer, the grade is left
// out. If a condition is null, or a judge has no criterion, the metric does not
// apply to the row.
//
// All calls to models go through the host. The seed determines all randomness,
// so equal answers give equal figures.
package evaluation
