// Package audit checks the rows of a dataset against the rules of a contract.
//
// The columns that the rules read are read once, shard by shard, several shards
// at a time. Memory is bounded: a rule that rows violate takes one bit for each
// row of the shards that contain them, and the keys of unique columns and
// references that do not fit in memory go to a file. All counts are exact.
package audit

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/planner/contract"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
)

// Audit is a check of a contract.
type Audit struct {
	Blobs    *blob.Store
	Contract *plan.Contract
	Dataset  *dataset.Manifest
	// Referenced returns the dataset that a rule refers to.
	Referenced func(*plan.Input) (*dataset.Manifest, error)
	// Temp is the folder for temporary files.
	Temp string
}

// Result is what a check found.
type Result struct {
	Figures []contract.Figure
	// Violations has one row for each rule that a row violates, in the order of
	// the rows and then of the rules: the name of the rule, the position of the
	// row, and the row.
	Violations *dataset.Manifest
}

// Run checks the rules. If a file of the dataset is missing or damaged, the error
// is *blob.Missing or *blob.Damaged.
func (a *Audit) Run(ctx context.Context) (*Result, error) {
	c := &check{Audit: a, starts: starts(a.Dataset)}
	defer c.close()
	if err := c.prepare(); err != nil {
		return nil, err
	}
	if err := c.readRows(ctx); err != nil {
		return nil, err
	}
	for _, r := range c.rules {
		if err := c.compareKeys(ctx, r); err != nil {
			return nil, fmt.Errorf("rule %q: %w", r.Name, err)
		}
	}
	violations, err := c.write(ctx)
	if err != nil {
		return nil, err
	}
	res := &Result{Violations: violations}
	for _, r := range c.rules {
		res.Figures = append(res.Figures, r.figure)
	}
	return res, nil
}

// check is a Run in progress.
type check struct {
	*Audit
	rules  []*rule
	starts []int64 // position of the first row of each shard
}

// starts returns the position of the first row of each shard, and after them the
// number of rows.
func starts(m *dataset.Manifest) []int64 {
	at := make([]int64, len(m.Shards)+1)
	for i, s := range m.Shards {
		at[i+1] = at[i] + s.Rows
	}
	return at
}

// rule is a rule and what was found about it so far.
type rule struct {
	*plan.Rule
	// tester tests batches. It is nil if no row has to be read.
	tester tester
	keys   *keys // of a rule that compares rows with others

	mu     sync.Mutex
	figure contract.Figure
	marks  []marked // the rows that violate it, by shard
}

// tester tests the rows of batches. It is used by several goroutines.
type tester interface {
	// test calls violated for the rows, by their index in the batch, that violate the
	// rule, and returns the number of rows that it applies to.
	test(ctx context.Context, b *batch, violated func(i int)) (applies int, err error)
}

// batch is a batch of rows of the dataset.
type batch struct {
	arrow.RecordBatch
	first int64 // position of its first row in the dataset
}

func (b *batch) column(name string) arrow.Array { return data.Columns.Find(b, name) }

func (c *check) close() {
	for _, r := range c.rules {
		if r.keys != nil {
			r.keys.close()
		}
	}
}

func (c *check) prepare() error {
	for i := range c.Contract.Rules {
		if c.Contract.Rules[i].Kind == plan.RuleRows {
			continue
		}
		r := &rule{Rule: &c.Contract.Rules[i], marks: make([]marked, len(c.Dataset.Shards))}
		r.figure.Rule = r.Name
		c.rules = append(c.rules, r)
		if err := c.prepareRule(r); err != nil {
			return fmt.Errorf("rule %q: %w", r.Name, err)
		}
	}
	return nil
}

func (c *check) prepareRule(r *rule) (err error) {
	if r.Kind == plan.RuleNotNull && c.nulls(r.Columns[0]) == 0 {
		r.figure.Rows = c.Dataset.Rows // the manifest says so
		return nil
	}
	if r.Kind == plan.RuleUnique || r.Kind == plan.RuleReferences {
		r.keys = newKeys(c.Temp)
	}
	r.tester, err = newTester(r, c.Dataset.Schema)
	return err
}

func (c *check) nulls(column string) int64 {
	for _, s := range c.Dataset.Columns {
		if s.Name == column {
			return s.Nulls
		}
	}
	return 0
}

// readRows reads the columns that the rules need, and tests all rows.
func (c *check) readRows(ctx context.Context) error {
	var columns []string
	for _, r := range c.rules {
		if r.tester != nil {
			columns = append(columns, r.Columns...)
		}
	}
	slices.Sort(columns)
	if columns = slices.Compact(columns); len(columns) == 0 {
		return nil
	}
	group := parallel.New(runtime.GOMAXPROCS(0))
	for i := range c.Dataset.Shards {
		group.Go(func() error { return c.readShard(ctx, i, columns) })
	}
	return group.Wait()
}

func (c *check) readShard(ctx context.Context, shard int, columns []string) error {
	return c.eachBatch(ctx, shard, columns, func(b *batch) error {
		for _, r := range c.rules {
			if r.tester == nil {
				continue
			}
			if err := r.add(ctx, b, shard, c.starts[shard], c.Dataset.Shards[shard].Rows); err != nil {
				return fmt.Errorf("rule %q: %w", r.Name, err)
			}
		}
		return nil
	})
}

// eachBatch calls f for the batches of a shard, which are valid until it returns.
func (c *check) eachBatch(ctx context.Context, shard int, columns []string, f func(*batch) error) error {
	return readBatches(ctx, c.Blobs, c.Dataset, shard, columns, func(rec arrow.RecordBatch, row int64) error {
		return f(&batch{rec, c.starts[shard] + row})
	})
}

func readBatches(ctx context.Context, blobs *blob.Store, m *dataset.Manifest, shard int, columns []string, f func(rec arrow.RecordBatch, row int64) error) error {
	files, err := m.Shards[shard].Files(blobs, columns)
	if err != nil {
		return fmt.Errorf("shard %d of %d: %w", shard+1, len(m.Shards), err)
	}
	want := picked(m.Schema, columns).Arrow()
	row := int64(0)
	for rec, err := range data.Read(ctx, []data.Shard{files}, columns, 0) {
		if err != nil {
			return err
		}
		if rec, err = data.Conform(rec, want); err != nil {
			return err
		}
		err = f(rec, row)
		row += rec.NumRows()
		rec.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func picked(all data.Schema, names []string) data.Schema {
	out := make(data.Schema, 0, len(names))
	for _, name := range names {
		if c, _, ok := all.Lookup(name); ok {
			out = append(out, c)
		}
	}
	return out
}

// add tests a batch. No other goroutine adds rows of the same shard.
func (r *rule) add(ctx context.Context, b *batch, shard int, start, rows int64) error {
	violations := int64(0)
	applies, err := r.tester.test(ctx, b, func(i int) {
		violations++
		r.marks[shard] = r.marks[shard].set(b.first-start+int64(i), rows)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.figure.Rows += int64(applies)
	r.figure.Violations += violations
	if l, ok := r.tester.(*latest); ok {
		r.figure.Latest = l.text()
	}
	return err
}

// compareKeys finds the rows that violate a rule that compares them with others.
func (c *check) compareKeys(ctx context.Context, r *rule) error {
	if r.keys == nil {
		return nil
	}
	violated := func(row int64) {
		shard, found := slices.BinarySearch(c.starts, row)
		if !found {
			shard--
		}
		r.figure.Violations++
		r.marks[shard] = r.marks[shard].set(row-c.starts[shard], c.Dataset.Shards[shard].Rows)
	}
	if r.Kind == plan.RuleUnique {
		return r.keys.repeated(violated)
	}
	if err := c.readReferenced(ctx, r); err != nil {
		return err
	}
	return r.keys.unknown(violated)
}

// readReferenced adds the keys of the column that a rule refers to.
func (c *check) readReferenced(ctx context.Context, r *rule) error {
	of, err := c.Referenced(r.Of)
	if err != nil {
		return err
	}
	column := []string{r.OfColumn}
	for shard := range of.Shards {
		err := readBatches(ctx, c.Blobs, of, shard, column, func(rec arrow.RecordBatch, _ int64) error {
			keys, err := dataset.RowKeys(renamed(rec, r.Columns[0]), r.Columns, "")
			if err != nil {
				return err
			}
			return r.keys.add(keys, func(int) int64 { return known })
		})
		if err != nil {
			return fmt.Errorf("read %s: %w", r.Of, err)
		}
	}
	return nil
}

// samples is the number of rows in the figure of a rule.
const samples = 5

// describe returns the values of some columns of a row for a message.
func describe(rec arrow.RecordBatch, columns []string, i int) string {
	parts := make([]string, len(columns))
	for k, name := range columns {
		parts[k] = name + " = " + cell(data.Columns.Find(rec, name), i)
	}
	return strings.Join(parts, ", ")
}

// longestCell is the length of a value in a message, in bytes.
const longestCell = 80

func cell(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "null"
	}
	text := a.ValueStr(i)
	if t := a.DataType().ID(); t == arrow.STRING {
		text = strconv.Quote(text)
	}
	if len(text) > longestCell {
		text = strings.ToValidUTF8(text[:longestCell], "") + "…"
	}
	return text
}
