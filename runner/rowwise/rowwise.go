// Package rowwise computes row-wise stages and computes nothing twice.
//
// It works at two levels. If the columns that are read have the same values in
// a shard as in one that the same definition has been applied to before, the
// shard is not read at all: its results are a column group, which the output
// shares. In the other shards, each row has a key, computed from the values
// that the stage reads. The key finds rows that the definition has been applied
// to before, and equal rows near each other are computed once. So the plugin
// receives only new rows, and time and memory depend on what changed.
//
// Results are committed in parts as they arrive. If a stage fails or is
// stopped, the answers that the plugin has already returned are kept.
package rowwise

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/memo"
	"github.com/quern-dev/quern/store/pending"
)

// Stage describes what to compute.
type Stage struct {
	// Definition is the definition key.
	Definition string
	// Fresh is set if nothing is reused and everything is computed again
	// (-replace).
	Fresh bool
	Input *dataset.Manifest
	// Reads are the input columns that results depend on. Their order is part
	// of the keys.
	Reads []string
	// Expands is set if each row produces any number of rows, on which quern
	// repeats the columns that the plugin does not compute. Otherwise, it
	// produces exactly one.
	Expands bool
	// ShardReads are the columns that the stored results of a shard depend on:
	// Reads and, with Expands, the columns that are repeated. nil means Reads.
	ShardReads []string
	// Given are the columns that the plugin itself requested.
	Given []string
	// Arguments are the row expressions.
	Arguments []Argument
	// Output are the columns of the result.
	Output []Column
	// Start is the instance as the plugin receives it. The plugin is called
	// only if it computes a column.
	Start *pluginv1.Instance
	// BatchRows is the maximum number of rows in a request, or 0 for any
	// number.
	BatchRows int64
	// OpenRows is the maximum number of rows in flight if the plugin waits for
	// something for each row. 0 means as many as memory allows.
	OpenRows int64
	// MaxErrors is how many rows may fail.
	MaxErrors int64
	// Prior is the last result of the stage, whose rows are searched first, or
	// nil.
	Prior *dataset.Manifest
	// Owner is the stage itself, in whose name rows wait.
	Owner pending.Owner
}

// Argument is a row expression.
type Argument struct {
	Key  string
	Expr *expr.Compiled
	// Vars are the values that it still needs, which are secrets.
	Vars map[string]cty.Value
}

// Column is a column of the result. Input names the input column that it comes
// from, or Argument the key of an argument. If both are empty, the plugin
// computes it.
type Column struct {
	data.Column
	Input, Argument string
}

// Services are what Run depends on.
type Services struct {
	Blobs *blob.Store
	Memo  *memo.Store
	// Pending contains what rows wait for.
	Pending *pending.Store
	// Map starts the plugin if necessary and opens a Map call that ends with
	// ctx.
	Map func(ctx context.Context) (pluginv1.PluginService_MapClient, error)
	// Redact removes secrets from the error of a row. Guard removes secrets
	// from rows that the stage produced, or refuses the rows. GuardToken refuses
	// a token that contains a secret. nil means that there are no secrets.
	Redact     func(string) string
	GuardToken func(token []byte) error
	Guard      func(context.Context, arrow.RecordBatch) (arrow.RecordBatch, error)
	// Progress receives the progress of the job, at most a few times per
	// second.
	Progress func(Progress)
	// Stop, when closed, asks Run to finish and commit the work in flight and
	// to return ErrStopped.
	Stop <-chan struct{}
	// Halt stops the plugin from starting more calls of models. The channel is
	// closed when no call is outstanding. Halt is nil if the plugin calls no
	// models.
	Halt func() <-chan struct{}
}

// Progress counts rows.
type Progress struct{ Done, Total, New, Reused, Failed, Pending int64 }

// Failure is a row that failed.
type Failure struct {
	Row     int64 // in the dataset, from 0
	Message string
}

// Result is the result of a job.
type Result struct {
	Manifest            *dataset.Manifest // nil if rows are pending
	New, Reused, Failed int64
	Failures            []Failure // by row
	// Pending describes the rows that wait for something outside. It is nil if
	// there are none.
	Pending *pending.Summary
}

// ErrStopped is returned if Stop was closed before everything was done.
var ErrStopped = errors.New("stopped before all rows were done")

// TooManyErrors is returned if more rows failed than allowed.
type TooManyErrors struct {
	Failed, Allowed int64
	Failures        []Failure // the first ones
}

func (e *TooManyErrors) Error() string {
	return fmt.Sprintf("%d rows failed, but only %d may fail", e.Failed, e.Allowed)
}

// Run computes a stage. Work that was done before an error is committed and
// will not be repeated.
func Run(ctx context.Context, s Stage, svc Services) (*Result, error) {
	j, err := newJob(s, svc)
	if err != nil {
		return nil, err
	}
	if j.calls() || len(j.fresh) > 0 {
		if err := j.lookup(); err != nil {
			return nil, err
		}
		j.progress.start(j.count)
		if err := j.compute(ctx); err != nil {
			return nil, err
		}
	} else {
		j.count.Reused = s.Input.Rows
	}
	result := &Result{
		New: j.count.New, Reused: j.count.Reused, Failed: j.count.Failed,
		Failures: j.allFailures(), Pending: j.waiting.Summary(j.count.Total),
	}
	if result.Pending == nil {
		if result.Manifest, err = j.manifest(ctx); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// Makes reports whether the plugin computes columns or rows, so that it has to
// be called for new rows.
func (s *Stage) Makes() bool {
	return s.Expands || slices.ContainsFunc(s.Output, func(c Column) bool { return c.Input == "" && c.Argument == "" })
}

// job is one Run.
type job struct {
	Stage
	Services
	// made are the columns that the plugin computes. computed are those that
	// quern writes itself: arguments that are more than a column and, with
	// Expands, all arguments and the input columns. fresh are both.
	made, computed, fresh data.Schema
	// columns are the input columns that have to be read.
	columns []string
	args    []*argument // those that are needed
	kept    []*argument // those among them that computed columns come from

	shards []shard
	starts []int64 // the first row of each shard in the dataset
	known  *known
	log    *pending.Log // nil if the plugin is not called
	pace   *pace
	count  Progress
	// waiting are the rows that are pending.
	waiting pending.Tally

	progress *progress
}

// shard is the result of one shard of the input.
type shard struct {
	key      string
	results  *memo.Results // nil if not finished yet
	failures []Failure     // with row numbers within the shard
}

func newJob(s Stage, svc Services) (*job, error) {
	j := &job{Stage: s, Services: svc, pace: newPace(), progress: &progress{tell: svc.Progress}, shards: make([]shard, len(s.Input.Shards))}
	if j.ShardReads == nil {
		j.ShardReads = j.Reads
	}
	j.count.Total = s.Input.Rows
	row := int64(0)
	for _, sh := range s.Input.Shards {
		j.starts = append(j.starts, row)
		row += sh.Rows
	}
	return j, j.split()
}

// split sorts the output's columns by where they come from and determines what
// has to be read for them.
func (j *job) split() error {
	columns, computed := map[string]bool{}, map[string]bool{}
	for i := range j.Output {
		c := &j.Output[i]
		if err := j.trace(c); err != nil {
			return err
		}
		switch {
		case c.Input != "" && !j.Expands:
		case c.Input != "":
			columns[c.Input] = true
			j.computed = append(j.computed, c.Column)
		case c.Argument != "":
			computed[c.Argument] = true
			j.computed = append(j.computed, c.Column)
		default:
			j.made = append(j.made, c.Column)
		}
	}
	j.fresh = slices.Concat(j.made, j.computed)
	for _, name := range j.Reads {
		columns[name] = true
	}
	if j.calls() {
		for _, name := range j.Given {
			columns[name] = true
		}
	}
	for i := range j.Arguments {
		a := &j.Arguments[i]
		if !j.calls() && !computed[a.Key] {
			continue
		}
		needed := &argument{Argument: *a}
		j.args = append(j.args, needed)
		if computed[a.Key] {
			j.kept = append(j.kept, needed)
		}
		for _, name := range a.Expr.Columns {
			columns[name] = true
		}
	}
	for _, c := range j.Input.Schema {
		if columns[c.Name] {
			j.columns = append(j.columns, c.Name)
		}
	}
	return j.compile()
}

// trace determines whether a column of an argument is only a column of the
// input.
func (j *job) trace(c *Column) error {
	if c.Argument == "" {
		return nil
	}
	a := j.argument(c.Argument)
	if a == nil {
		return fmt.Errorf("column %q comes from argument %q, which is not a row expression", c.Name, c.Argument)
	}
	if column, ok := a.Expr.Column(); ok && j.hasType(column, c.Type) {
		c.Input = column
	}
	return nil
}

// calls reports whether the plugin is called.
func (j *job) calls() bool { return j.Expands || len(j.made) > 0 }

func (j *job) argument(key string) *Argument {
	for i := range j.Arguments {
		if j.Arguments[i].Key == key {
			return &j.Arguments[i]
		}
	}
	return nil
}

func (j *job) hasType(column, typ string) bool {
	c, _, ok := j.Input.Schema.Lookup(column)
	return ok && c.Type == typ
}

// inputSchema is the schema of the batches that are read.
func (j *job) inputSchema() data.Schema {
	out := make(data.Schema, len(j.columns))
	for i, name := range j.columns {
		out[i], _, _ = j.Input.Schema.Lookup(name)
	}
	return out
}

// manifest describes the result. If each row produces one row, the result
// shares the files of the input.
func (j *job) manifest(ctx context.Context) (*dataset.Manifest, error) {
	points, err := j.Memo.Checkpoints(j.Definition, "")
	if err != nil {
		return nil, err
	}
	m, err := j.join(ctx, points)
	if err != nil {
		return nil, err
	}
	return m, j.Memo.PutCheckpoints(j.Definition, "", points)
}

func (j *job) join(ctx context.Context, points *dataset.Checkpoints) (*dataset.Manifest, error) {
	d := dataset.Derivation{Input: j.Input, From: map[string]string{}}
	for _, c := range j.Output {
		d.Schema = append(d.Schema, c.Column)
		if c.Input != "" {
			d.From[c.Name] = c.Input
		}
	}
	if j.Expands {
		var shards []dataset.Shard
		for _, s := range j.shards {
			shards = append(shards, s.results.Expansion.Shards...)
		}
		return dataset.Join(ctx, j.Blobs, d.Schema, shards, points)
	}
	if len(j.fresh) > 0 {
		d.Added = make([][]dataset.Added, len(j.shards))
		for i, s := range j.shards {
			d.Added[i] = []dataset.Added{*s.results.Output}
		}
	}
	return dataset.Derive(ctx, j.Blobs, d, points)
}

func (j *job) allFailures() []Failure {
	var out []Failure
	for i, s := range j.shards {
		for _, f := range s.failures {
			out = append(out, Failure{Row: j.starts[i] + f.Row, Message: f.Message})
		}
	}
	return out
}
