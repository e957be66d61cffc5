package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const dedupPipeline = `
source "parquet" "texts" {
  path = "texts*.parquet"
}

transform "dedup" "near" {
  input     = source.texts
  method    = "near"
  text      = row.text
  threshold = 0.8
}
`

// similarTexts is a query that generates texts of 150 words and about 1 kB. One in ten is
// another one with a few words replaced.
const similarTexts = `
copy (select i as id, array_to_string(list_transform(range(150), lambda k:
    'w' || substr(md5((hash(case when i %% 10 = 9 and hash(i, k) %% 40 > 0 then i - 9 else i end * 1000 + k) %% 20000)::varchar), 1, 3 + (k * 31) %% 7)), ' ') as text
from range(%d, %d) t(i)) to '%s' (format parquet)`

const exactPipeline = `
source "parquet" "texts" {
  path = "texts.parquet"
}

transform "dedup" "exact" {
  input  = source.texts
  method = "exact"
  by     = row.text
}
`

// equalTexts is a query that generates texts of about 100 bytes, of which one in ten
// occurs before.
const equalTexts = `
copy (select i as id, concat_ws(' ', md5(k::varchar), md5((k + 1)::varchar), 'and', md5((k + 2)::varchar)) as text
from (select i, case when i %% 10 = 9 then hash(i) %% i else i end as k from range(%d) t(i))) to 'texts.parquet' (format parquet)`

// dedup finds near duplicates, and again after one row in a hundred was added, and equal
// texts.
func dedup(b *bench) ([]result, error) {
	near, err := nearDuplicates(b)
	if err != nil {
		return nil, err
	}
	exact, err := exactDuplicates(b)
	return append(near, exact...), err
}

// exactDuplicates drops rows with equal texts, as DuckDB does.
func exactDuplicates(b *bench) ([]result, error) {
	dir := filepath.Join(b.dir, "exact")
	if err := writeFiles(dir, map[string]string{"main.quern.hcl": exactPipeline}); err != nil {
		return nil, err
	}
	if _, err := b.duckdb(dir, fmt.Sprintf(equalTexts, b.rows)); err != nil {
		return nil, err
	}
	time.Sleep(settled)
	if _, err := b.command(dir, "apply", "-auto-approve", "-target=source.texts"); err != nil {
		return nil, err
	}
	apply, err := b.command(dir, "apply", "-auto-approve")
	if err != nil {
		return nil, err
	}
	peer, err := b.duckdb(dir, "copy (select distinct on (text) * from 'texts.parquet') to 'out.parquet' (compression zstd)")
	if err != nil {
		return nil, err
	}
	return []result{
		figure(fmt.Sprintf("DuckDB: %d texts of 100 B, distinct", b.rows), seconds(peer.wall)),
		atMost("quern, with digests and shards, as a multiple", ratio(apply.wall, peer.wall), 1.3, times),
		figure("… processor time of both", seconds(apply.cpu)+", "+seconds(peer.cpu)),
		figure("… largest process", megabytes(apply.peak())),
	}, nil
}

// nearDuplicates finds similar texts, and again after one row in a hundred was added.
func nearDuplicates(b *bench) ([]result, error) {
	dir := filepath.Join(b.dir, "dedup")
	if err := writeFiles(dir, map[string]string{"main.quern.hcl": dedupPipeline}); err != nil {
		return nil, err
	}
	if _, err := b.duckdb(dir, fmt.Sprintf(similarTexts, 0, b.rows, "texts1.parquet")); err != nil {
		return nil, fmt.Errorf("generate the texts (make references installs what it takes): %w", err)
	}
	if _, err := b.duckdb(dir, fmt.Sprintf(similarTexts, b.rows, b.rows+b.rows/100, "more.parquet")); err != nil {
		return nil, err
	}
	if _, err := b.command(dir, "apply", "-auto-approve", "-target=source.texts"); err != nil {
		return nil, err
	}
	first, err := b.command(dir, "apply", "-auto-approve")
	if err != nil {
		return nil, err
	}
	if err := os.Rename(filepath.Join(dir, "more.parquet"), filepath.Join(dir, "texts2.parquet")); err != nil {
		return nil, err
	}
	if _, err := b.command(dir, "apply", "-auto-approve", "-target=source.texts"); err != nil {
		return nil, err
	}
	again, err := b.command(dir, "apply", "-auto-approve")
	if err != nil {
		return nil, err
	}
	return []result{
		atMost(fmt.Sprintf("%d texts of 1 kB: near duplicates", b.rows), first.wall, time.Minute, seconds),
		atMost("… largest process", first.peak(), 3e9, megabytes),
		figure("… processor time", seconds(first.cpu)),
		atMost("… with 1 % more rows, compared with that", ratio(again.wall, first.wall), 0.05, percent),
	}, nil
}
