package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// result is what a call has answered: for a call with one response, the
// response; for a stream, what its messages say together, in which form and
// however many they came. It checks what the protocol says about each message.
type result struct {
	// flat, batches, and answer are about Map and Predict: batches holds the
	// numbers of rows of the batches that are not answered.
	flat    bool
	batches chan int64
	answer  *wire.Gathering

	tree    map[string]any
	rows    map[string][]arrow.RecordBatch
	ended   bool
	of      int64 // rows of the parts before
	haveRow int64
}

func newResult() *result {
	return &result{batches: make(chan int64, 1024), tree: map[string]any{}, rows: map[string][]arrow.RecordBatch{}}
}

func (r *result) release() {
	for _, recs := range r.rows {
		for _, rec := range recs {
			rec.Release()
		}
	}
	if r.answer != nil {
		r.answer.Release()
	}
}

// add appends to a list of the result.
func (r *result) add(list string, v any) {
	all, _ := r.tree[list].([]any)
	r.tree[list] = append(all, v)
}

func (r *result) addMessage(list string, m proto.Message) error {
	t, err := tree(m)
	if err == nil {
		r.add(list, t)
	}
	return err
}

func (r *result) take(m proto.Message) error {
	switch m := m.(type) {
	case *pluginv1.ReadResponse:
		return r.takeRead(m)
	case *pluginv1.RunResponse:
		return r.takeRun(m)
	case *pluginv1.MapResponse:
		return r.takeMap(m)
	case *pluginv1.PredictResponse:
		return r.takeAnswer(&pluginv1.MapResponse{Rows: m.GetRows(), Errors: m.GetErrors(), More: m.GetMore()})
	case *pluginv1.ChatResponse:
		return r.addMessage("answers", m)
	case *pluginv1.ReadBatchResponse:
		return r.takeBatch(m)
	}
	t, err := tree(m)
	r.tree = t
	return err
}

func (r *result) takeRows(output string, rows []byte) error {
	rec, err := data.DecodeBatch(rows)
	if err != nil {
		return err
	}
	if have := r.rows[output]; len(have) > 0 {
		if rec, err = data.Conform(rec, have[0].Schema()); err != nil {
			return fmt.Errorf("its messages have different columns: %w", err)
		}
	}
	r.rows[output] = append(r.rows[output], rec)
	r.haveRow += rec.NumRows()
	return nil
}

// takeSelected takes in rows of a stage, and which of them it drops, counted from the
// first row of the output.
func (r *result) takeSelected(rows *pluginv1.Rows) error {
	first := int64(0)
	for _, rec := range r.rows[rows.GetOutput()] {
		first += rec.NumRows()
	}
	for _, i := range rows.GetDropped() {
		r.add("dropped", json.Number(strconv.FormatInt(first+i, 10)))
	}
	return r.takeRows(rows.GetOutput(), rows.GetRows())
}

func (r *result) takeBatch(m *pluginv1.ReadBatchResponse) error {
	if r.ended {
		return fmt.Errorf("a message came after an error: %v", m)
	}
	_, begun := r.tree["status"]
	if begun == (m.GetStatus() != nil) && m.GetError() == nil {
		return fmt.Errorf("the status of the batch is not the first message: %v", m)
	}
	r.ended = m.GetError() != nil
	if m.GetAnswer() != nil {
		return r.addMessage("answers", m.GetAnswer())
	}
	t, err := tree(m)
	for name, of := range t {
		r.tree[name] = of
	}
	return err
}

func (r *result) takeRead(m *pluginv1.ReadResponse) error {
	if r.ended {
		return fmt.Errorf("a message came after the last one: %v", m)
	}
	switch e := m.GetEvent().(type) {
	case *pluginv1.ReadResponse_Rows:
		return r.takeRows("", e.Rows)
	case *pluginv1.ReadResponse_Quarantined:
		return r.addMessage("quarantined", e.Quarantined)
	case *pluginv1.ReadResponse_Diagnostic:
		return r.addMessage("diagnostics", e.Diagnostic)
	case *pluginv1.ReadResponse_Part:
		r.of += e.Part.GetRows()
		if e.Part.GetKnown() && r.haveRow != r.of {
			return fmt.Errorf("the known part %q came after %d rows, but the parts before have %d", e.Part.GetFingerprint(), r.haveRow, r.of)
		}
		return r.addMessage("parts", e.Part)
	case *pluginv1.ReadResponse_Count:
		r.ended = true
		t, err := tree(e.Count)
		r.tree["count"] = t
		return err
	case *pluginv1.ReadResponse_Progress:
		r.tree["progress"] = true
		return nil
	}
	return fmt.Errorf("it sent an empty message")
}

func (r *result) takeRun(m *pluginv1.RunResponse) error {
	if r.ended {
		return fmt.Errorf("a message came after the last one: %v", m)
	}
	switch e := m.GetEvent().(type) {
	case *pluginv1.RunResponse_Rows:
		return r.takeSelected(e.Rows)
	case *pluginv1.RunResponse_Failure:
		return r.addMessage("failures", e.Failure)
	case *pluginv1.RunResponse_Diagnostic:
		return r.addMessage("diagnostics", e.Diagnostic)
	case *pluginv1.RunResponse_Progress:
		r.tree["progress"] = true
		return nil
	case *pluginv1.RunResponse_Paid:
		r.add("paid", json.Number(strconv.FormatFloat(e.Paid, 'f', -1, 64)))
		return nil
	case *pluginv1.RunResponse_Done:
		r.ended = true
		t, err := tree(e.Done)
		r.tree["done"] = t
		return err
	case *pluginv1.RunResponse_Pending:
		r.ended = true
		t, err := tree(e.Pending)
		r.tree["pending"] = t
		return err
	}
	return fmt.Errorf("it sent an empty message")
}

func (r *result) takeMap(m *pluginv1.MapResponse) error {
	if m.GetFinished() > 0 {
		r.tree["progress"] = true
		if len(m.GetRows()) > 0 || len(m.GetErrors()) > 0 || len(m.GetCounts()) > 0 || m.GetMore() {
			return fmt.Errorf("a message about progress answers rows, too")
		}
		return nil
	}
	for _, d := range m.GetDiagnostics() {
		if err := r.addMessage("diagnostics", d); err != nil {
			return err
		}
	}
	if len(m.GetDiagnostics()) > 0 && len(m.GetRows()) == 0 {
		return nil
	}
	return r.takeAnswer(m)
}

// takeAnswer takes in a message that answers a batch, or some of its rows.
func (r *result) takeAnswer(m *pluginv1.MapResponse) error {
	if r.answer == nil {
		select {
		case n := <-r.batches:
			r.answer = &wire.Gathering{Rows: n, Flat: r.flat}
		default:
			return fmt.Errorf("it answered a batch that was not sent")
		}
	}
	whole, err := r.answer.Add(m)
	if err != nil || !whole {
		return err
	}
	defer func() {
		r.answer.Release()
		r.answer = nil
	}()
	rec, err := r.answer.Record()
	if err != nil {
		return err
	}
	defer rec.Release()
	columns, err := columnsOfRecord(rec)
	if err != nil {
		return err
	}
	slices.SortStableFunc(r.answer.Errors, func(a, b *pluginv1.RowError) int { return int(a.GetRow() - b.GetRow()) })
	rest, err := tree(&pluginv1.MapResponse{Errors: r.answer.Errors, Counts: r.answer.Counts})
	if err != nil {
		return err
	}
	rest["rows"] = columns
	r.add("answers", rest)
	return nil
}

// end completes the result of a call that ended with the status OK.
func (r *result) end() error {
	if r.answer != nil {
		return fmt.Errorf("it ended the call within an answer")
	}
	outputs := map[string]any{}
	for name, recs := range r.rows {
		rec, err := data.Concat(recs[0].Schema(), recs)
		if err != nil {
			return err
		}
		outputs[name], err = columnsOfRecord(rec)
		rec.Release()
		if err != nil {
			return err
		}
	}
	if len(outputs) > 0 {
		r.tree["outputs"] = outputs
	}
	if rows, ok := outputs[""]; ok {
		r.tree["rows"] = rows
	}
	return nil
}

// sendingRows notes the number of rows of a batch. Rows that cannot be decoded
// are not answered.
func (r *result) sendingRows(rows []byte) {
	if rec, err := data.DecodeBatch(rows); err == nil {
		r.batches <- rec.NumRows()
		rec.Release()
	}
}
