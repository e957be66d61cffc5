// Package classification compares labels with the correct ones: it reports
// accuracy, F1, precision, and recall. Each headline figure has a confidence
// interval and the number of rows that it is based on.
//
// A subject is a row expression (a column of labels), a model that predicts, or
// a language model that is prompted to choose one of the classes. Each pair of
// subjects is compared on the same rows. If a subject gives no label for a row,
// because it abstains or failed, it is wrong on that row: this lowers accuracy
// and recall, and shows in coverage. Rows whose correct label is null are left
// out and counted.
//
// All figures are computed from numbered labels, at four bytes for each row and
// subject, and do not depend on the order of the rows.
package classification
