package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const ingestPipeline = `
source "jsonl" "rows" {
  path = "rows.jsonl"
}

transform "sql" "distinct" {
  inputs = { rows = source.rows }
  query  = "select distinct text, lang from rows where score > 0.1"
}
`

// jsonLines is a query that generates rows of about 210 bytes, of which one in
// twenty occurs before.
const jsonLines = `
copy (select i as id, ['en', 'de', 'fr'][1 + i %% 3] as lang, round((hash(i) %% 10000) / 10000, 4) as score,
  case when i %% 20 = 0 then 'the same text' else concat_ws(' ', md5(i::varchar), md5((i + 1)::varchar), 'of a message, and more of it', md5((i + 2)::varchar), 'until it ends') end as text
from range(%d) t(i)) to 'rows.jsonl' (format json)`

const smallFiles = 10_000

// settled is a little more than the time for which a file must be unchanged before quern
// trusts its size and time, and no longer hashes it each time.
const settled = 2500 * time.Millisecond

// ingest reads JSON lines, filters them, and removes repetitions, as DuckDB does, and
// reads many small files.
func ingest(b *bench) ([]result, error) {
	dir := filepath.Join(b.dir, "ingest")
	if err := writeFiles(dir, map[string]string{"main.quern.hcl": ingestPipeline}); err != nil {
		return nil, err
	}
	if _, err := b.duckdb(dir, fmt.Sprintf(jsonLines, b.rows)); err != nil {
		return nil, fmt.Errorf("generate the rows (make references installs what it takes): %w", err)
	}
	time.Sleep(settled)
	apply, err := b.command(dir, "apply", "-auto-approve")
	if err != nil {
		return nil, err
	}
	peer, err := b.duckdb(dir, "copy (select distinct text, lang from read_json('rows.jsonl') where score > 0.1) to 'out.parquet'")
	if err != nil {
		return nil, err
	}
	results := []result{
		figure(fmt.Sprintf("DuckDB: %d JSON lines, filter, distinct", b.rows), seconds(peer.wall)),
		atMost("quern, with digests and shards, as a multiple", ratio(apply.wall, peer.wall), 1.5, times),
		figure("… processor time", seconds(apply.cpu)),
		figure("… largest process", megabytes(apply.peak())),
	}
	small, err := b.smallFiles()
	return append(results, small...), err
}

// smallFiles reads many files of ten rows, and reads them again after one of them
// has changed.
func (b *bench) smallFiles() ([]result, error) {
	dir := filepath.Join(b.dir, "small-files")
	files := map[string]string{"main.quern.hcl": "source \"jsonl\" \"rows\" {\n  path = \"files/*.jsonl\"\n}\n"}
	for i := range smallFiles {
		text := ""
		for k := range 10 {
			text += fmt.Sprintf("{\"id\": %d, \"text\": \"row %d of file %d\"}\n", 10*i+k, k, i)
		}
		files[fmt.Sprintf("files/%05d.jsonl", i)] = text
	}
	if err := writeFiles(dir, files); err != nil {
		return nil, err
	}
	time.Sleep(settled)
	first, err := b.command(dir, "apply", "-auto-approve")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "files", "00500.jsonl"), []byte("{\"id\": 5, \"text\": \"another\"}\n"), 0o666); err != nil {
		return nil, err
	}
	again, err := b.command(dir, "apply", "-auto-approve")
	if err != nil {
		return nil, err
	}
	return []result{
		atMost(fmt.Sprintf("%d files of 10 rows: first read", smallFiles), first.wall, 3*time.Second, seconds),
		atMost("… largest process", first.peak(), 200e6, megabytes),
		atMost("… after one has changed", again.wall, 300*time.Millisecond, seconds),
	}, nil
}

// duckdb runs a statement with DuckDB, in two threads.
func (b *bench) duckdb(dir, statement string) (usage, error) {
	python := filepath.Join(b.source, ".cache", "references", "bin", "python")
	return run(dir, nil, python, "-c", "import duckdb, sys; duckdb.sql('set threads = 2'); duckdb.sql(sys.argv[1])", statement)
}
