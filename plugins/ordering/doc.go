// Package ordering sorts rows that need not fit in memory.
//
// Rows are sorted by keys: bytes whose order is the order of the rows. Key
// encodes values as such bytes. A Sorter sorts what fits in memory, writes the
// rest to files as sorted runs, and merges them at the end. How much memory it
// may use does not affect the result.
//
// The order of values: false before true, numbers by value, NaN after all
// other numbers and equal to itself, -0 equal to 0, texts and binary values by
// their bytes, lists by their first different element, structs field by field.
package ordering
