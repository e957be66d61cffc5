//go:build !unix

// Package openfiles does nothing here: the system has no limit on open files.
package openfiles
