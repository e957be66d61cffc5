package rowwise

import (
	"context"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// A row with a temporary failure is sent again after a pause, which doubles
// each time. Usually, a service has asked callers to slow down, and the pause
// slows the whole stage, as it should.
const (
	mostTries  = 4
	firstPause = 500 * time.Millisecond
)

// answer waits for a block's answers and assembles its columns.
func (p *pipeline) answer(ctx context.Context, b *block) error {
	var got []origin
	if b.question != nil {
		var err error
		if got, err = p.results(ctx, b); err != nil {
			return err
		}
	}
	if got == nil && b.cells == nil { // all rows were sent, and none failed
		return nil
	}
	return p.assemble(b, got)
}

// origin is the location of a row's result.
type origin struct {
	rec      arrow.RecordBatch
	start, n int64   // rows of rec
	more     *origin // further rows, in another file
	failure  string  // not empty if there is no result
	waiting  bool    // there is no result yet; failure is what the row waits for
}

// failed returns the origin of a row that failed: a row of nulls, or no rows if
// a row produces any number of them.
func (j *job) failed(message string) origin {
	if j.Expands {
		return origin{failure: message}
	}
	return origin{n: 1, failure: message}
}

// results returns the answers for the rows that were sent, in order. If the
// block consists of one batch that was answered without errors, results sets
// b.out and returns nothing.
func (p *pipeline) results(ctx context.Context, b *block) ([]origin, error) {
	a, err := p.stream.wait(ctx, b.question)
	if err != nil {
		return nil, err
	}
	if len(a.errors) == 0 && b.cells == nil {
		b.out, b.spans = a.rec, a.spans
		return nil, nil
	}
	got := make([]origin, b.question.rows)
	rows := make([]int, len(got)) // of the current question, as indexes of got
	for i := range rows {
		rows[i] = i
	}
	keys := b.askedKeys()
	pause := firstPause
	for try := 1; ; try++ {
		rows = p.take(got, keys, rows, a, try == mostTries)
		if len(rows) == 0 {
			return got, nil
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
		pause *= 2
		if a, err = p.askAgain(ctx, b, keys, rows); err != nil {
			return nil, err
		}
	}
}

// take records an answer and returns the rows to be sent again. keys are those
// of all rows that were sent.
func (j *job) take(got []origin, keys []rowKey, rows []int, a answer, last bool) (again []int) {
	for k, i := range rows {
		start, n := a.spans.of(k)
		got[i] = origin{rec: a.rec, start: start, n: n}
	}
	for _, e := range a.errors {
		i := rows[e.GetRow()]
		if got[i].failure != "" {
			continue
		}
		got[i] = j.failed(message(e.GetMessage()))
		switch got[i].waiting = e.GetPending() != nil; {
		case got[i].waiting:
		case e.GetTemporary() && !last:
			again = append(again, i)
		case !e.GetTemporary():
			j.log.Failed(keys[i])
		}
	}
	return again
}

func message(s string) string {
	if s == "" {
		return "the plugin gave no reason"
	}
	return s
}

func (p *pipeline) askAgain(ctx context.Context, b *block, keys []rowKey, rows []int) (answer, error) {
	var runs []run
	again := make([]rowKey, len(rows))
	for k, i := range rows {
		runs, again[k] = addRow(runs, b.request, int64(i)), keys[i]
	}
	rec, err := gather(b.request.Schema(), runs)
	if err != nil {
		return answer{}, err
	}
	q, err := p.stream.ask(rec, again)
	if err != nil {
		return answer{}, err
	}
	return p.stream.wait(ctx, q)
}

// assemble combines the plugin's columns from answers, earlier results, and
// equal rows.
func (p *pipeline) assemble(b *block, got []origin) error {
	places := make([]origin, b.rows)
	next := 0
	for i := range places {
		switch c := b.cell(i); c.kind {
		case asked:
			places[i] = got[next]
			next++
		case old:
			var err error
			if places[i], err = p.known.origin(c.part, int(c.row)); err != nil {
				return err
			}
		case same:
			places[i] = p.origin(c.block, int(c.row), b, places)
		case broken:
			places[i] = p.failed(b.failed[int32(i)])
		}
	}
	return p.gather(b, places)
}

// gather copies a block's columns together from their locations.
func (j *job) gather(b *block, places []origin) error {
	var runs []run
	if j.Expands {
		b.spans = make(spans, 0, len(places))
	}
	rows := int64(0)
	for i := range places {
		o := &places[i]
		if o.failure != "" {
			if b.failed == nil {
				b.failed = map[int32]string{}
			}
			b.failed[int32(i)] = o.failure
		}
		if o.waiting {
			if b.waiting == nil {
				b.waiting = map[int32]bool{}
			}
			b.waiting[int32(i)] = true
		}
		for ; o != nil; o = o.more {
			runs = addRows(runs, o.rec, o.start, o.n)
			rows += o.n
		}
		if j.Expands {
			b.spans = append(b.spans, rows)
		}
	}
	var err error
	b.out, err = gather(j.made.Arrow(), runs)
	return err
}

// origin returns the location of the result for one of b's rows. It is used for
// a row of the block current, in which places are known up to that row.
func (j *job) origin(b *block, row int, current *block, places []origin) origin {
	if b == current {
		return places[row]
	}
	if failure, ok := b.failed[int32(row)]; ok {
		o := j.failed(failure)
		o.waiting = b.waiting[int32(row)]
		return o
	}
	start, n := b.spans.of(row)
	return origin{rec: b.out, start: start, n: n}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
