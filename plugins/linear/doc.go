// Package linear trains text classifiers that are small, fast, and hard to beat
// on short texts: multinomial logistic regression over hashed word and
// character n-grams.
//
// The same rows, arguments, and seed give the same model, bit for bit, on any
// number of cores of one kind of processor. Memory does not grow with the
// number of rows, because they are read again in each epoch. Only one text and
// one label of each row are used.
//
// The package works as follows: a text becomes a sparse vector (Features), a
// first pass over the rows counts what occurs (survey), further passes fit
// weights (fit), and the resulting Model predicts. Model.Save and Open define
// the files of the format quern.linear/v2.
package linear
