package main

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const inserted = 100

const readRows = `
source "parquet" "rows" {
  path = "rows.parquet"
}
`

const labelRows = `
quern {
  required_plugins {
    bench = { source = "quern-dev/bench" }
  }
}
` + readRows + `
label "bench_topic" "topic" {
  input = source.rows
  text  = row.text
  tally = "%s"
}
`

// pipeline is a folder in which rows are read and labeled.
type pipeline struct {
	*bench
	dir string
}

// tally returns the path of the file in which the plugin counts the rows it
// gets.
func (p pipeline) tally() string { return filepath.Join(p.dir, "tally") }

func (b *bench) pipeline(name string, rows int) (pipeline, error) {
	p := pipeline{b, filepath.Join(b.dir, name)}
	if err := writeFiles(p.dir, map[string]string{"main.quern.hcl": readRows}); err != nil {
		return p, err
	}
	return p, generate(p.data(), rows, 0)
}

func (p pipeline) data() string { return filepath.Join(p.dir, "rows.parquet") }

// label adds the labeling stage to the pipeline.
func (p pipeline) label() error {
	err := writeFiles(p.dir, map[string]string{"main.quern.hcl": fmt.Sprintf(labelRows, p.tally())})
	if err == nil {
		_, err = p.command(p.dir, "init")
	}
	return err
}

func (p pipeline) apply(args ...string) (usage, error) {
	return p.command(p.dir, append([]string{"apply", "-auto-approve"}, args...)...)
}

// rowwise labels rows with a plugin that does almost nothing: first with an
// empty store, and then with some more rows inserted in the middle.
func rowwise(b *bench) ([]result, error) {
	p, err := b.pipeline("rows", b.rows)
	if err != nil {
		return nil, err
	}
	read, err := p.apply()
	if err != nil {
		return nil, err
	}
	input, err := p.stored()
	if err != nil {
		return nil, err
	}
	results := []result{figure(fmt.Sprintf("%d rows of 200 B: read Parquet into the store", b.rows), rate(perSecond(b.rows, read.wall)))}
	if err := p.label(); err != nil {
		return results, err
	}
	label, err := p.apply()
	if err != nil {
		return results, err
	}
	both, err := p.stored()
	if err != nil {
		return results, err
	}
	results = append(results,
		atLeast("… through a trivial row-wise plugin, nothing cached", perSecond(b.rows, label.wall), 250_000, rate),
		atMost("… largest process", label.peak(), 600e6, megabytes),
		atMost("… bytes added to the store, as a share of the input's "+megabytes(input), float64(both-input)/float64(input), 0.05, percent),
	)
	more, err := p.insert()
	return append(results, more...), err
}

// insert inserts rows in the middle of the file. They are read first, so that
// only the labeling is timed.
func (p pipeline) insert() ([]result, error) {
	if err := generate(p.data(), p.rows, inserted); err != nil {
		return nil, err
	}
	read, err := p.apply("-target=source.rows")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(p.tally()); err != nil {
		return nil, err
	}
	label, err := p.apply()
	if err != nil {
		return nil, err
	}
	rows, err := p.counted()
	if err != nil {
		return nil, err
	}
	return []result{
		figure(fmt.Sprintf("%d rows inserted in the middle: read", inserted), seconds(read.wall)),
		atMost(fmt.Sprintf("%d rows inserted in the middle: label", inserted), label.wall, 2*time.Second, seconds),
		atMost("… rows that reach the plugin", rows, inserted, count),
	}, nil
}

// flatMemory does the same with more rows, to measure the memory.
func flatMemory(b *bench) ([]result, error) {
	if b.manyRows == 0 {
		return nil, nil
	}
	p, err := b.pipeline("many-rows", b.manyRows)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(p.dir)
	read, err := p.apply()
	if err != nil {
		return nil, err
	}
	file, err := os.Stat(p.data())
	if err != nil {
		return nil, err
	}
	nothing, err := median(timesShort, func(int) (usage, error) { return p.command(p.dir, "plan") })
	if err != nil {
		return nil, err
	}
	if err := p.label(); err != nil {
		return nil, err
	}
	label, err := p.apply()
	if err != nil {
		return nil, err
	}
	return []result{
		figure(fmt.Sprintf("%d rows: read, largest process", b.manyRows), megabytes(read.peak())),
		atMost("… plan with that file of "+megabytes(file.Size())+" unchanged", nothing.wall, 300*time.Millisecond, seconds),
		atLeast(fmt.Sprintf("%d rows: trivial row-wise plugin", b.manyRows), perSecond(b.manyRows, label.wall), 250_000, rate),
		atMost(fmt.Sprintf("%d rows: largest process", b.manyRows), label.peak(), 600e6, megabytes),
		figure("… peak memory by program", largest(label)),
	}, nil
}

func perSecond(rows int, wall time.Duration) int { return int(float64(rows) / wall.Seconds()) }

// counted returns the number of rows that the plugin got since the tally was
// removed.
func (p pipeline) counted() (int, error) {
	f, err := os.Open(p.tally())
	if os.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	total := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, lines.Err()
}

// stored returns the total size of all files in the store.
func (p pipeline) stored() (int64, error) {
	var total int64
	err := filepath.WalkDir(filepath.Join(p.dir, ".quern"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
