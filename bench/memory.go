package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// rowsLimit is the default memory_limit of stages that keep rows in memory. Using memory up to
// this limit does not count as growth.
const rowsLimit = 256e6

// growing are stages over the source rows, by what they do, with the memory that they may
// use for rows, in bytes.
var growing = []struct {
	name, block string
	limit       float64
}{
	{"read", "", 0},
	{"sort", "transform \"sort\" \"it\" {\n  input = source.rows\n  by    = [row.text]\n}\n", rowsLimit},
	{"shuffle", "transform \"shuffle\" \"it\" {\n  input = source.rows\n}\n", rowsLimit},
	{"group", "transform \"group\" \"it\" {\n  input = source.rows\n  by    = { key = row.key }\n  max   = { text = row.text }\n}\n", 0},
	{"exact duplicates", "transform \"dedup\" \"it\" {\n  input  = source.rows\n  method = \"exact\"\n  by     = row.text\n}\n", 0},
	{"profile", "evaluate \"profile\" \"it\" {\n  dataset = source.rows\n}\n", 0},
}

// smallProcess is the memory in bytes that any stage may use: a process that ends before its
// first garbage collection says nothing about growth.
const smallProcess = 128e6

// shortTexts is a query that generates rows of about 60 bytes.
const shortTexts = "copy (select i as id, hash(i) %% 1000 as key, md5(hash(i)::varchar) as text from range(%d) t(i)) to 'rows.parquet' (format parquet)"

// grownMemory compares the memory for many rows with that for fewer.
func grownMemory(b *bench) ([]result, error) {
	if b.manyRows == 0 {
		return nil, nil
	}
	few, err := b.peaksOf(b.rows)
	if err != nil {
		return nil, err
	}
	many, err := b.peaksOf(b.manyRows)
	if err != nil {
		return nil, err
	}
	var results []result
	for i, stage := range growing {
		results = append(results,
			figure(fmt.Sprintf("%s, %d rows: largest process", stage.name, b.manyRows), megabytes(many[i])),
			atMost(fmt.Sprintf("… as a multiple of that for %d", b.rows), float64(many[i])/max(float64(few[i]), smallProcess+stage.limit), 1.5, multiple))
	}
	return results, nil
}

// peaksOf returns the largest process of each of the growing stages, in bytes.
func (b *bench) peaksOf(rows int) ([]int64, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("memory-%d", rows))
	defer os.RemoveAll(dir)
	const source = "source \"parquet\" \"rows\" {\n  path = \"rows.parquet\"\n}\n"
	if err := writeFiles(dir, map[string]string{"main.quern.hcl": source}); err != nil {
		return nil, err
	}
	if _, err := b.duckdb(dir, fmt.Sprintf(shortTexts, rows)); err != nil {
		return nil, fmt.Errorf("generate the rows (make references installs what it takes): %w", err)
	}
	var peaks []int64
	for _, stage := range growing {
		if err := writeFiles(dir, map[string]string{"main.quern.hcl": source + stage.block}); err != nil {
			return nil, err
		}
		apply, err := b.command(dir, "apply", "-auto-approve")
		if err != nil {
			return nil, err
		}
		peaks = append(peaks, apply.peak())
	}
	return peaks, nil
}
