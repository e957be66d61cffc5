package main

import (
	"fmt"
	"path/filepath"
	"strconv"
)

const judgeRows = readRows + `
transform "quality" "quality" {
  input = source.rows
  text  = row.text

  gopher_repetition {}
  gopher_quality {}
  c4 {}
  fineweb {}
}
`

const identifyRows = readRows + `
label "language" "language" {
  input = source.rows
  text  = row.text
}
`

// prepareRows is what datatrove's users do in one pipeline.
const prepareRows = judgeRows + `
label "language" "language" {
  input = transform.quality
  text  = row.text
}

transform "redact" "private" {
  input   = label.language
  columns = ["text"]
}
`

// quality applies all rules of quality and identifies languages. The limits are
// for one processor and include reading and storing the rows.
func quality(b *bench) ([]result, error) {
	const bytesPerRow = 200
	rows := max(1, b.rows/10)
	p, err := b.pipeline("quality", rows)
	if err != nil {
		return nil, err
	}
	if _, err := p.apply(); err != nil {
		return nil, err
	}
	var results []result
	for _, c := range []struct {
		what, config string
		limit        int
	}{
		{"all rules of quality, per CPU second", judgeRows, 10_000_000 / bytesPerRow},
		{"language of 60 characters of each, per CPU second", identifyRows, 50_000},
	} {
		if err := writeFiles(p.dir, map[string]string{"main.quern.hcl": c.config}); err != nil {
			return results, err
		}
		u, err := p.apply()
		if err != nil {
			return results, err
		}
		results = append(results,
			atLeast(fmt.Sprintf("%d texts of %d B: %s", rows, bytesPerRow, c.what), perSecond(rows, u.cpu), c.limit, rate),
			figure("… largest process", megabytes(u.peak())))
	}
	compared, err := p.datatrove(rows)
	return append(results, compared...), err
}

// datatroveRows is the number of texts for datatrove, which takes about a second
// of processor time for 1,000.
const datatroveRows = 20_000

// datatrove compares the rows per second of processor time of quality, language,
// and redact together with those of datatrove.
func (p pipeline) datatrove(rows int) ([]result, error) {
	python, err := p.installed("python")
	if err != nil || python == nil {
		return []result{figure("datatrove", "is not installed")}, err
	}
	if _, err := p.command(p.dir, "artifact", "export", "source.rows", "-o", "rows.jsonl"); err != nil {
		return nil, err
	}
	few := min(rows, datatroveRows)
	model := filepath.Join(p.source, "internal", "fasttext", "lid176", "lid.176.ftz")
	other, err := python.run(p.dir, filepath.Join(p.source, "bench", "python", "filters.py"), "rows.jsonl", strconv.Itoa(few), model)
	if err != nil {
		return nil, err
	}
	if err := writeFiles(p.dir, map[string]string{"main.quern.hcl": prepareRows}); err != nil {
		return nil, err
	}
	ours, err := p.apply("-replace=transform.quality", "-replace=label.language", "-replace=transform.private")
	if err != nil {
		return nil, err
	}
	speed, peer := perSecond(rows, ours.cpu), perSecond(few, other.cpu)
	return []result{
		figure("datatrove: quality, language, and PII, per CPU second", rate(peer)),
		atLeast("quern: the same, as a multiple", float64(speed)/float64(peer), 5, times),
	}, nil
}
