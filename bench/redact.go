package main

import (
	"time"
)

// redactedRows redacts texts, half of which have something to find.
const redactedRows = readRows + `
transform "map" "mails" {
  input   = source.rows
  columns = {
    text = row.id % 2 == 0 ? row.text : "${row.text} mail p${row.id}@example.com or call +1 212-555-${format("%04d", row.id % 10000)}, key is ${row.id} ${row.text}"
  }
}
`

const redactStage = `
transform "redact" "private" {
  input   = transform.mails
  columns = ["text"]
}
`

const decontaminateStage = `
transform "sample" "items" {
  input = transform.mails
  rows  = 1000
}

transform "decontaminate" "seen" {
  input = transform.mails
  text  = row.text

  against "items" {
    dataset  = transform.items
    question = row.text
  }
}
`

// redactRows is the number of texts to redact, of about 7 MB together.
const redactRows = 23_000

// redact finds personal data in texts, and then items of an evaluation set.
func redact(b *bench) ([]result, error) {
	p, err := b.pipeline("redact", redactRows)
	if err != nil {
		return nil, err
	}
	var results []result
	added := redactedRows
	for _, s := range []struct {
		what, stage string
		limit       time.Duration
	}{
		{"", "", 0},
		{"processor time of finding personal data and secrets in 7 MB of text", redactStage, 2 * time.Second},
		{"processor time of comparing 7 MB of text with 1,000 items", decontaminateStage, 4 * time.Second},
	} {
		added += s.stage
		if err := writeFiles(p.dir, map[string]string{"main.quern.hcl": added}); err != nil {
			return nil, err
		}
		used, err := p.apply()
		if err != nil {
			return nil, err
		}
		if s.limit > 0 {
			results = append(results, atMost(s.what, used.cpu, s.limit, seconds), figure("… largest process", largest(used)))
		}
	}
	return results, nil
}
