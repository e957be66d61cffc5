// Package subjects is what evaluators compare: models that a prompt asks,
// trained models, and columns that are there already. It says what a subject
// is, and gets the answers of all of them to some rows.
//
// A row that has no answer has an error in its place, and the run goes on. All
// calls to models go through the host.
package subjects
