// Package linear trains text classifiers that are small, quick and hard to
// beat on short texts: multinomial logistic regression over hashed word and
// character n-grams.
//
// It promises that the same rows, arguments and seed give the same model, bit
// for bit, on any number of cores of one kind of processor, and that memory
// does not grow with the number of rows: they are read again in each epoch.
// It does not look at anything but one text and one label of each row.
//
// The way through the package: a text becomes a sparse vector (Features), a
// first pass over the rows counts what occurs (survey), the following ones
// fit weights (fit), and the Model that comes out predicts. Model.Save and
// Open define the files of the format quern.linear/v2.
package linear
