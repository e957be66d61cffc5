// Package classification scores labels against those that are held to be
// right: accuracy, F1, precision and recall, each headline figure with a
// confidence interval and the number of rows behind it.
//
// Subjects are row expressions (a column of labels), models that predict, or
// models that a prompt asks to choose one of the classes; each two are compared
// on the same rows.
// A subject that gives no label for a row, because it abstains or failed, is
// wrong on that row: it lowers accuracy and recall, and shows in coverage.
// Rows whose right label is null are left out and counted.
//
// All figures are made of the numbered labels, four bytes for a row and subject,
// and do not depend on the order of the rows.
package classification
