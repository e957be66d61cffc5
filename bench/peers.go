package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// peer is a program that "make bench" installs to compare quern with it. A nil
// peer has no results.
type peer struct {
	*bench
	program, version string
	env              []string
}

// installed returns a peer, or nil if it is not installed.
func (b *bench) installed(name string, env ...string) (*peer, error) {
	p := &peer{bench: b, program: filepath.Join(b.source, ".cache", "peers", "bin", name), env: env}
	cmd := exec.Command(p.program, "--version")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for its version: %w", name, err)
	}
	p.version = strings.TrimSpace(string(out))
	return p, nil
}

func (p *peer) run(dir string, args ...string) (usage, error) {
	return run(dir, p.env, p.program, args...)
}

// compared returns the result of quern, that of a peer at the same work, and the
// share of the peer's processor time that quern needs. Processor times can be
// compared even if other programs run at the same time.
func compared(what string, quern usage, limit time.Duration, peer string, other usage) []result {
	return []result{
		atMost("quern, "+what, quern.wall, limit, seconds),
		figure("… "+peer, seconds(other.wall)),
		atMost("… quern's processor time as a share of that", ratio(quern.cpu, other.cpu), 1, percent),
	}
}

const peerStages = 1_000

// dvc compares quern with DVC on stages and on a source of many files when there
// is nothing to do.
func dvc(b *bench) ([]result, error) {
	p, err := b.installed("dvc", "DVC_NO_ANALYTICS=1")
	if err != nil {
		return nil, err
	}
	if p == nil {
		return []result{figure("DVC", "is not installed")}, nil
	}
	ours, err := b.appliedStages(peerStages)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "dvc-stages")
	if err := writeFiles(dir, dvcStages(peerStages)); err != nil {
		return nil, err
	}
	// The outputs are there, so DVC only has to record them.
	if err := p.each(dir, "init --no-scm --quiet", "commit --force --quiet"); err != nil {
		return nil, err
	}
	status, err := p.run(dir, "status")
	if err != nil {
		return nil, err
	}
	dry, err := p.run(dir, "repro", "--dry")
	if err != nil {
		return nil, err
	}
	results := compared("1,000 stages: plan, nothing to do", ours.plan, 150*time.Millisecond, "DVC "+p.version+": status", status)
	results = append(results,
		figure("… DVC "+p.version+": repro --dry", seconds(dry.wall)),
		atMost("… quern's processor time as a share of that", ratio(ours.plan.cpu, dry.cpu), 1, percent))
	more, err := p.files()
	return append(results, more...), err
}

// each runs commands that prepare a measurement.
func (p *peer) each(dir string, commands ...string) error {
	for _, c := range commands {
		if _, err := p.run(dir, strings.Fields(c)...); err != nil {
			return err
		}
	}
	return nil
}

// dvcStages returns a pipeline of the same shape as that of writeStages, and its
// outputs.
func dvcStages(n int) map[string]string {
	var yaml strings.Builder
	yaml.WriteString("stages:\n")
	files := map[string]string{"rows.csv": tenRows()}
	for i := range n {
		input, output := "rows.csv", fmt.Sprintf("out/s%d.csv", i)
		if i%chain > 0 {
			input = fmt.Sprintf("out/s%d.csv", i-1)
		}
		fmt.Fprintf(&yaml, "  s%d:\n    cmd: cp %s %s\n    deps:\n      - %s\n    outs:\n      - %s\n", i, input, output, input, output)
		files[output] = tenRows()
	}
	files["dvc.yaml"] = yaml.String()
	return files
}

// files compares quern with DVC on a source of 10,000 files that have not changed.
func (p *peer) files() ([]result, error) {
	const n = 10_000
	dir := filepath.Join(p.dir, "files")
	files := map[string]string{"main.quern.hcl": "source \"csv\" \"rows\" {\n  path = \"data/*.csv\"\n}\n"}
	for i := range n {
		files[fmt.Sprintf("data/%d.csv", i)] = fmt.Sprintf("id,text\n%d,row number %d\n", i, i)
	}
	if err := writeFiles(dir, files); err != nil {
		return nil, err
	}
	if _, err := p.command(dir, "apply", "-auto-approve"); err != nil {
		return nil, err
	}
	ours, err := median(timesShort, func(int) (usage, error) { return p.command(dir, "plan") })
	if err != nil {
		return nil, err
	}
	if err := p.each(dir, "init --no-scm --quiet", "add --quiet data"); err != nil {
		return nil, err
	}
	theirs, err := median(timesLong, func(int) (usage, error) { return p.run(dir, "status") })
	if err != nil {
		return nil, err
	}
	return compared("source of 10,000 files: plan, nothing to do", ours, 300*time.Millisecond, "DVC "+p.version+": status", theirs), nil
}

// sqlmesh compares quern with SQLMesh when there is nothing to do, and when an
// environment takes over the results of another one.
func sqlmesh(b *bench) ([]result, error) {
	p, err := b.installed("sqlmesh")
	if err != nil {
		return nil, err
	}
	if p == nil {
		return []result{figure("SQLMesh", "is not installed")}, nil
	}
	ours, err := b.appliedStages(peerStages)
	if err != nil {
		return nil, err
	}
	promote, err := b.command(ours.dir, "promote", "default", "prod", "-auto-approve")
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "sqlmesh")
	if err := writeFiles(dir, sqlmeshModels(peerStages)); err != nil {
		return nil, err
	}
	plan := func(env string) (usage, error) { return p.run(dir, "plan", env, "--auto-apply", "--no-prompts") }
	if _, err := plan("dev"); err != nil {
		return nil, err
	}
	nothing, err := plan("dev")
	if err != nil {
		return nil, err
	}
	promoted, err := plan("prod")
	if err != nil {
		return nil, err
	}
	results := compared("1,000 stages: plan, nothing to do", ours.plan, 150*time.Millisecond, "SQLMesh "+p.version+", views: plan dev", nothing)
	return append(results, compared("1,000 stages: promote", promote, 2*time.Second, "SQLMesh "+p.version+", views: plan prod after dev", promoted)...), nil
}

const sqlmeshConfig = `gateways:
  local:
    connection: {type: duckdb, database: db.duckdb}
default_gateway: local
model_defaults: {dialect: duckdb, start: 2026-01-01}
disable_anonymized_analytics: true
`

// sqlmeshModels returns models of the same shape as the stages of writeStages.
func sqlmeshModels(n int) map[string]string {
	files := map[string]string{"config.yaml": sqlmeshConfig}
	for i := range n {
		query := "SELECT 1 AS id, 'row' AS text"
		if i%chain > 0 {
			query = fmt.Sprintf("SELECT id, text || ' %d' AS text FROM bench.s%d", i, i-1)
		}
		files[fmt.Sprintf("models/s%d.sql", i)] = fmt.Sprintf("MODEL (name bench.s%d, kind VIEW, columns (id INT, text TEXT));\n%s\n", i, query)
	}
	return files
}
