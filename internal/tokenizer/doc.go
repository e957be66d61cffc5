// Package tokenizer reads tokenizer.json, the format of Hugging Face's
// tokenizers, and turns texts into the IDs of tokens. IDs and offsets are those
// that the library tokenizers computes.
//
// A text passes through the stages that the file describes: added tokens, such
// as <s>, are cut out; the normalizer changes what is left; the pre-tokenizer
// splits it into words; the model turns each word into tokens; and the
// post-processor adds special tokens. Truncation and padding, which depend on
// how a model is used, are ignored. A file with a part that is unknown or
// random, such as dropout, is refused: its tokens would not be those of the
// model.
package tokenizer
