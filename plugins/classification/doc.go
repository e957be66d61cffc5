// Package classification scores labels against those that are held to be
// right: accuracy, F1, precision and recall, each headline figure with a
// confidence interval and the number of rows behind it.
//
// Subjects are row expressions (a column of labels) or models that predict.
// A subject that gives no label for a row, because it abstains or failed, is
// wrong on that row: it lowers accuracy and recall, and shows in coverage.
// Rows whose right label is null are left out and counted.
//
// All figures come from the confusion counts (Tally), so memory grows with
// the number of different label pairs, not of rows. Nothing is random but
// the bootstrap, which a seed decides.
package classification
