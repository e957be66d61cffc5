package plugintest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// MapResult is the output of a Mapper.
type MapResult struct {
	// Table has all columns of the output, including kept and computed ones. The
	// columns that the plugin fills are nil in failed and pending rows.
	*Table
	Failures Failures
	Pending  Pending
}

// Map runs a Mapper on the case's rows. It fails the test if the result of a
// row depends on its batch. Rows that are pending the first time get their
// tokens the second time.
func Map(t testing.TB, p plugin.Plugin, c Case) (*MapResult, error) {
	t.Helper()
	m, results, err := mapTwice(t, p, c, pluginv1.Mode_MODE_MAP)
	if err != nil {
		return nil, err
	}
	out := &MapResult{Table: m.assemble(results)}
	out.Failures, out.Pending = unresolved(results)
	return out, nil
}

// FlatMapResult is the output of a FlatMapper.
type FlatMapResult struct {
	// Table has all columns of the output, including kept and computed ones.
	*Table
	// Counts is the number of output rows for each input row, in order.
	Counts []int
	// Failures are the rows that failed, and Pending those that wait. They have no
	// output rows.
	Failures Failures
	Pending  Pending
}

// FlatMap runs a FlatMapper on the case's rows. It fails the test if the output
// of a row depends on its batch.
func FlatMap(t testing.TB, p plugin.Plugin, c Case) (*FlatMapResult, error) {
	t.Helper()
	m, results, err := mapTwice(t, p, c, pluginv1.Mode_MODE_FLAT_MAP)
	if err != nil {
		return nil, err
	}
	out := &FlatMapResult{Table: m.assemble(results), Counts: make([]int, len(results))}
	out.Failures, out.Pending = unresolved(results)
	for i, r := range results {
		out.Counts[i] = len(r.rows)
	}
	return out, nil
}

// mapTwice maps the case's rows twice, in different batches and another order,
// and compares the results for each row.
func mapTwice(t testing.TB, p plugin.Plugin, c Case, mode pluginv1.Mode) (*mapRun, []result, error) {
	t.Helper()
	s := start(t, p, c)
	b := s.bind(c)
	prepared, err := s.ready(b)
	if err != nil {
		return nil, nil, err
	}
	if b.typ.Mode != mode || len(prepared.Outputs) != 1 || prepared.Outputs[0].RowsOf == "" {
		t.Fatalf("%s %q has %s and %d outputs, so this function cannot test it", b.typ.Kind, b.typ.Name, b.typ.Mode, len(prepared.Outputs))
	}
	m := &mapRun{s: s, b: b, output: prepared.Outputs[0]}
	m.made = madeColumns(m.output)
	m.rows = m.input(prepared.Reads[m.output.RowsOf])
	defer m.rows.Release()
	n := int(m.rows.NumRows())
	first, err := m.run(forward(n), c.Pending)
	if err != nil {
		return nil, nil, err
	}
	tokens := maps.Clone(c.Pending)
	if _, pending := unresolved(first); tokens == nil {
		tokens = pending
	} else {
		maps.Copy(tokens, pending)
	}
	second, err := m.run(backward(n), tokens)
	if err != nil {
		return nil, nil, fmt.Errorf("second pass: %w", err)
	}
	for i := range n {
		if diff := difference(first[i], second[i]); first[i].pending == nil && diff != "" {
			t.Errorf("the result of row %d depends on its batch (-first +second):\n%s", i, diff)
		}
	}
	return m, first, nil
}

// result is the output for one row: the columns that the plugin fills.
type result struct {
	rows    []map[string]any
	failure string
	failed  bool
	pending *PendingRow
}

// unresolved returns the rows without a result.
func unresolved(results []result) (Failures, Pending) {
	failures, pending := Failures{}, Pending{}
	for i, r := range results {
		switch {
		case r.pending != nil:
			pending[i] = *r.pending
		case r.failed:
			failures[i] = r.failure
		}
	}
	return failures, pending
}

// mapRun is a Map call's input and what it declared.
type mapRun struct {
	s      *session
	b      *bound
	output *pluginv1.Output
	made   data.Schema
	rows   arrow.RecordBatch
}

func madeColumns(out *pluginv1.Output) data.Schema {
	var made []*pluginv1.Column
	for _, c := range out.Columns {
		if c.Origin == pluginv1.ColumnOrigin_COLUMN_ORIGIN_UNSPECIFIED {
			made = append(made, c)
		}
	}
	return data.FromProto(made)
}

func (m *mapRun) input(reads *pluginv1.Reads) arrow.RecordBatch {
	return m.b.rowColumns(m.output.RowsOf, reads)
}

// forward splits n rows into two batches in order.
func forward(n int) [][2]int {
	half := (n + 1) / 2
	return [][2]int{{0, half}, {half, n}}
}

// backward splits n rows into batches of up to three, in reverse order.
func backward(n int) [][2]int {
	var out [][2]int
	for to := n; to > 0; to -= 3 {
		out = append(out, [2]int{max(0, to-3), to})
	}
	return out
}

// run maps the rows in batches over a new stream. pending are rows that were
// pending before.
func (m *mapRun) run(batches [][2]int, pending Pending) ([]result, error) {
	start := &pluginv1.MapRequest{Event: &pluginv1.MapRequest_Start{Start: m.b.instance}, Inputs: m.b.modelArtifacts(m.s)}
	for key := range m.b.datasets {
		if key != m.output.RowsOf {
			start.Inputs[key] = m.s.datasetArtifact(m.b, key, nil)
		}
	}
	if m.b.needsHost() {
		address, stop, err := m.s.client.Host(&host{session: m.s, models: m.b.modelArtifacts(m.s), bound: m.b})
		if err != nil {
			return nil, err
		}
		defer stop()
		start.HostSocket, start.Host = address.Socket, address.Broker
	}
	open := m.s.client.MapHosted
	if m.flat() {
		open = m.s.client.FlatMap
	}
	stream, err := open(m.s.t.Context(), start, m.made)
	if err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() {
		for _, b := range batches {
			part := m.rows.NewSlice(int64(b[0]), int64(b[1]))
			err := stream.SendAgain(part, pending.tokens(b[0], b[1]))
			part.Release()
			if err != nil && !errors.Is(err, io.EOF) {
				sent <- err
				return
			}
		}
		sent <- stream.CloseSend()
	}()
	out := make([]result, m.rows.NumRows())
	for _, b := range batches {
		a, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		made := toTable(m.made, []arrow.RecordBatch{a.Rows}).Rows
		for i := range b[1] - b[0] {
			n := int64(1)
			if m.flat() {
				n = a.Counts[i]
			}
			out[b[0]+i].rows, made = made[:n:n], made[n:]
		}
		for _, e := range a.Errors {
			out[b[0]+int(e.Row)] = m.without(e)
		}
		a.Rows.Release()
	}
	if err := <-sent; err != nil {
		return nil, err
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the plugin continued after the last batch: %w", err)
	}
	return out, nil
}

func (m *mapRun) flat() bool { return m.b.typ.Mode == pluginv1.Mode_MODE_FLAT_MAP }

// tokens returns the tokens of the rows from from to to-1.
func (p Pending) tokens(from, to int) []*pluginv1.RowToken {
	var out []*pluginv1.RowToken
	for row := from; row < to; row++ {
		if token := p[row].Token; token != "" {
			out = append(out, &pluginv1.RowToken{Row: int64(row - from), Token: []byte(token)})
		}
	}
	return out
}

// without is the result of a row that failed or is pending: a row without
// values, or none.
func (m *mapRun) without(e *pluginv1.RowError) result {
	r := result{failure: e.Message, failed: e.Pending == nil}
	if p := e.Pending; p != nil {
		r.pending = &PendingRow{plugin.Pending{Reason: e.Message, CheckAfter: seconds(p.CheckAfterSeconds)}, string(p.Token)}
	}
	if !m.flat() {
		r.rows = []map[string]any{{}}
	}
	return r
}

func seconds(s *float64) time.Duration {
	if s == nil {
		return 0
	}
	return time.Duration(*s * float64(time.Second))
}

// assemble combines the output as quern does.
func (m *mapRun) assemble(results []result) *Table {
	out := &Table{Columns: data.FromProto(m.output.Columns)}
	for i, r := range results {
		for _, made := range r.rows {
			out.Rows = append(out.Rows, m.row(i, made))
		}
	}
	return out
}

// row returns an output row of row i, with the columns that the plugin filled.
func (m *mapRun) row(i int, made map[string]any) map[string]any {
	input, row := m.b.datasets[m.output.RowsOf], map[string]any{}
	for _, c := range m.output.Columns {
		switch c.Origin {
		case pluginv1.ColumnOrigin_COLUMN_ORIGIN_INPUT:
			_, at, _ := input.schema.Lookup(c.From)
			row[c.Name] = goValue(input.rec.Column(at), i)
		case pluginv1.ColumnOrigin_COLUMN_ORIGIN_ARGUMENT:
			row[c.Name] = goValue(input.values(m.b.rows[c.From]), i)
		default:
			row[c.Name] = made[c.Name]
		}
	}
	return row
}
