package main

import (
	"fmt"
	"time"
)

const contractedRows = `
source "parquet" "rows" {
  path = "rows.parquet"
  contract {
    columns  = { id = int64, text = string }
    not_null = ["id", "text"]
    unique   = ["id"]
    rows     = { min = 1 }
    column "id" {
      min = 0
    }
    column "text" {
      pattern = "^[a-z ]"
    }
    rule "no_urls" {
      condition = !strcontains(row.text, "http")
    }
  }
}
`

// contracts checks rows that are in the store by a typical contract, and compares
// that with writing them.
func contracts(b *bench) ([]result, error) {
	p, err := b.pipeline("contracts", b.rows)
	if err != nil {
		return nil, err
	}
	write, err := p.apply()
	if err != nil {
		return nil, err
	}
	if err := writeFiles(p.dir, map[string]string{"main.quern.hcl": contractedRows}); err != nil {
		return nil, err
	}
	check, err := p.apply()
	if err != nil {
		return nil, err
	}
	again, err := p.command(p.dir, "plan")
	if err != nil {
		return nil, err
	}
	return []result{
		figure(fmt.Sprintf("%d rows of 200 B: read Parquet into the store", b.rows), seconds(write.wall)),
		atMost("… processor time of checking them by a contract, as a share of that", float64(check.cpu)/float64(write.cpu), 0.5, percent),
		atMost("… largest process", check.peak(), 600e6, megabytes),
		atMost("… plan with the contract unchanged", again.wall, time.Second, seconds),
	}, nil
}
