// Package prompting contains what stages that call language models have in
// common: it reads the request that a prompt produces for a row, draws its
// examples, and requests answers of a certain form, once more if they are
// invalid.
//
// It calls models only through the host, so quern handles limits, retries,
// budgets, and cached answers. The examples that a row gets depend only on the
// prompt, the dataset of examples, and the row.
package prompting
