package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const profileColumns = 20

// profileTable is a query that generates a table with columns of all kinds.
const profileTable = `
select i as id, md5(i::varchar) as hash,
  random() as f0, random() * 1000 as f1, ln(random() + 1e-9) as f2, sqrt(random()) as f3, 1e9 + random() as f4,
  (random() * 5)::bigint as rating, (random() * 1000)::bigint as amount, (random() * 1e12)::bigint as large, (pow(random(), 4) * 1e6)::bigint as skewed,
  'class ' || (random() * 3)::int as few, 'class ' || (random() * 100)::int as some, 'class ' || (random() * 5000)::int as many,
  random() < 0.1 as flag, date '2020-01-01' + (random() * 2000)::int as day, timestamptz '2020-01-01 00:00:00+00' + to_seconds((random() * 1e8)::bigint) as at,
  case when random() < 0.5 then (random() * 100)::bigint end as holes,
  repeat('word ' || (random() * 100)::int || ' ', 1 + (random() * 10)::int) as short,
  repeat('a sentence of text number ' || (random() * 1e6)::int || '. ', 1 + (random() * 10)::int) as text
from range(%d) t(i)`

const profilePipeline = `
source "parquet" "rows" {
  path = "rows/*.parquet"
}

evaluate "profile" "rows" {
  dataset = source.rows
}
`

// profiling profiles a table, also after rows were appended, and has DuckDB summarize
// it.
func profiling(b *bench) ([]result, error) {
	dir := filepath.Join(b.dir, "profile")
	if err := writeFiles(dir, map[string]string{"main.quern.hcl": profilePipeline}); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "rows"), 0o755); err != nil {
		return nil, err
	}
	profile, err := profiled(b, dir, b.rows, "rows/1.parquet")
	if err != nil {
		return nil, err
	}
	appended, err := profiled(b, dir, b.rows/100, "rows/2.parquet")
	if err != nil {
		return nil, err
	}
	peer, err := run(dir, nil, referencePython(b), "-c", "import duckdb; print(duckdb.sql(\"summarize select * from 'rows/1.parquet'\"))")
	if err != nil {
		return nil, err
	}
	return []result{
		atMost(fmt.Sprintf("%d rows × %d columns: profile", b.rows, profileColumns), profile.wall, 5*time.Second, seconds),
		figure("… processor time", seconds(profile.cpu)),
		figure("… largest process", megabytes(profile.peak())),
		figure("… after 1% more rows: processor time", seconds(appended.cpu)),
		figure("DuckDB: summarize the same table, without histograms, lengths, tokens, duplicates, and associations", seconds(peer.wall)),
		figure("… processor time", seconds(peer.cpu)),
	}, nil
}

func referencePython(b *bench) string {
	return filepath.Join(b.source, ".cache", "references", "bin", "python")
}

// profiled adds a file with rows, and profiles the table when they are in the store.
func profiled(b *bench, dir string, rows int, file string) (usage, error) {
	query := strings.ReplaceAll(fmt.Sprintf(profileTable, rows), "\n", " ")
	script := fmt.Sprintf("import duckdb; duckdb.sql(\"set TimeZone = 'UTC'\"); duckdb.sql(\"\"\"copy (%s) to '%s' (format parquet)\"\"\")", query, file)
	if _, err := run(dir, nil, referencePython(b), "-c", script); err != nil {
		return usage{}, fmt.Errorf("generate the table (make references installs what it takes): %w", err)
	}
	if _, err := b.command(dir, "apply", "-auto-approve", "-target=source.rows"); err != nil {
		return usage{}, err
	}
	return b.command(dir, "apply", "-auto-approve")
}
