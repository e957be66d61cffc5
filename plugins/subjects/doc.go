// Package subjects defines what evaluators compare: models with prompts,
// trained models, and existing columns. It describes the subjects of an
// evaluation, and gets the answers of all of them for some rows.
//
// If a row has no answer, it has an error instead, and the run continues. All
// calls to models go through the host.
package subjects
