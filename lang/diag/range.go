package diag

import "github.com/hashicorp/hcl/v2"

// Range is a place in a configuration file, in its JSON form. The file is
// relative to the root module.
type Range struct {
	File  string `json:"file"`
	Start Pos    `json:"start"`
	End   Pos    `json:"end"`
}

// Pos is a position in a file: line and column count from 1, columns in
// grapheme clusters, bytes from 0.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// NewRange converts an HCL range.
func NewRange(r hcl.Range) Range {
	return Range{File: r.Filename, Start: Pos(r.Start), End: Pos(r.End)}
}

// HCL converts back.
func (r Range) HCL() hcl.Range {
	return hcl.Range{Filename: r.File, Start: hcl.Pos(r.Start), End: hcl.Pos(r.End)}
}

// Ptr is HCL as a pointer; nil for the zero range.
func (r Range) Ptr() *hcl.Range {
	if r == (Range{}) {
		return nil
	}
	h := r.HCL()
	return &h
}
