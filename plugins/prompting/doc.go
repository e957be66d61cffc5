// Package prompting is what stages that ask language models have in common:
// it reads what a prompt gives for a row, draws its examples, and asks for
// answers of a certain form, once more where they are not.
//
// It asks through the host alone, so that limits, retries, budgets and kept
// answers are quern's. Which examples a row gets depends on the prompt, the
// examples and that row, and on nothing else.
package prompting
