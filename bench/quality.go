package main

import "fmt"

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
	return results, nil
}
