// Package llm offers the labeler "llm": a language model gives each row a
// label, several, the fields of a schema, a score, a preference between two
// texts, or free text.
//
// What the model answers is read strictly. An answer of the wrong form is asked
// for once more, with what is wrong about it; if that does not help, the row
// failed and has no label. A label is never guessed from an answer.
//
// All calls go through the host. Rows are independent of each other, so that
// any number of them is asked for at the same time.
package llm
