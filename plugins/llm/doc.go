// Package llm provides the labeler "llm": a language model gives each row a
// label, several labels, the fields of a schema, a score, a preference between
// two texts, or free text. The transform "augment" has it write new rows.
//
// Answers are parsed strictly. If an answer has the wrong form, the model is
// told what is wrong and asked once more. If the second answer is wrong, too,
// the row fails and has no label. A label is never guessed from an answer.
//
// All calls go through the host. Rows are independent of each other, so any
// number of them can be in flight at the same time.
package llm
