// Package profile implements evaluate "profile": what the columns of a dataset
// contain, and how they differ from those of a baseline.
//
// Package survey reads the rows, and package drift compares distributions.
package profile
