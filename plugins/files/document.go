package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
)

const (
	// maxDocument is the highest limit for the size of a document, in MiB.
	maxDocument = 4096
	// maxText is the maximum size of a row of a document, in bytes.
	maxText = 64 << 20
	// maxAbandoned is the number of documents that may take too long. What parses
	// them cannot be stopped, so each of them keeps a CPU busy.
	maxAbandoned = 8
)

// Document is a document that is being read. Reading it returns its
// decompressed bytes.
type Document struct {
	// Name is the name of its file as users see it.
	Name string

	ctx    context.Context
	in     *opened
	reader *documentReader
	read   *progress

	// mu protects what follows, and the reader's sink until Parse has returned or
	// was abandoned.
	mu        sync.Mutex
	abandoned bool
	// fatal is the error that ends the read, such as that of a full disk.
	fatal error
	// turn is when the current row was begun.
	turn time.Time
	// before is the number of bytes of files that had been read when the document
	// was opened.
	before int64
}

// Read reads the content. It ends with the context.
func (d *Document) Read(b []byte) (int, error) {
	if err := d.ctx.Err(); err != nil {
		return 0, err
	}
	return d.in.Read(b)
}

// All returns the whole content, up to max_size.
func (d *Document) All() ([]byte, error) { return d.Limited(d) }

// Limited reads a part of the document, up to max_size.
func (d *Document) Limited(part io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(part, d.reader.max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > d.reader.max {
		return nil, d.TooLarge()
	}
	return content, nil
}

// Max returns max_size in bytes.
func (d *Document) Max() int64 { return d.reader.max }

// TooLarge returns the error for a document that is larger than max_size.
func (d *Document) TooLarge() error {
	return fmt.Errorf("it is larger than %d MiB\nRaise max_size to read it.", d.reader.max>>20)
}

// Columns returns the columns of the values that Row takes. For an Inferrer, they
// are those of all documents that were selected.
func (d *Document) Columns() data.Schema { return d.reader.columns[1:] }

// Row adds a row: a value for each of Columns in order, which is a
// string, []byte, bool, int64, float64, time.Time, nil, or a []any of these for
// a list or struct. Strings must be valid UTF-8.
func (d *Document) Row(values ...any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.stopped(); err != nil {
		return err
	}
	row, size, err := d.reader.row(d.Name, values)
	if err != nil {
		return err
	}
	d.turn = time.Now()
	if err = d.reader.add(row, size); err == nil {
		err = d.read.another(d.ctx, d.Name, d.reader.rows)
	}
	d.fatal = err
	return err
}

// Refuse sets aside a part of the document, such as one message of many, or
// returns the error that ends the read. where continues the name of the file
// in the origin of the row, as in ", page 3".
func (d *Document) Refuse(where, content string, problem error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.stopped(); err != nil {
		return err
	}
	d.turn = time.Now()
	d.fatal = d.reader.refuse(d.Name+where, content, problem)
	return d.fatal
}

func (d *Document) stopped() error {
	if d.abandoned {
		return errors.New("the document was abandoned")
	}
	return d.fatal
}

// documentReader reads documents. It hides the sink's method refuse, which is
// for lines.
type documentReader struct {
	*sink
	start     func() error // starts the parser; it can be nil
	parse     func(context.Context, *Document) error
	recognize func(head []byte) error
	// columns are those of the format, of which places selects the ones in the
	// schema, with their types.
	columns data.Schema
	places  []int
	types   []arrow.Field
	max     int64
	timeout time.Duration
	// abandoned is the number of documents that took too long.
	abandoned int
}

func (r *documentReader) file(ctx context.Context, f file, read *progress) error {
	if r.start != nil {
		if err := r.start(); err != nil {
			return err
		}
	}
	err := r.open(ctx, f, read, r.parse)
	if err == nil {
		read.tell(f.name)
	}
	return err
}

// open opens a document and passes it to work. A document that cannot be read
// is refused.
func (r *documentReader) open(ctx context.Context, f file, read *progress, work func(context.Context, *Document) error) error {
	before := read.read.Load()
	in, err := f.unpack(&read.read)
	if err != nil {
		return r.refuse(f.name, "", fmt.Errorf("it %w", err))
	}
	d := &Document{Name: f.name, ctx: ctx, in: in, reader: r, read: read, before: before, turn: time.Now()}
	err = r.watch(ctx, d, work)
	read.passed += float64(read.read.Load() - before)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case d.fatal != nil:
		return d.fatal
	case err == nil:
		return nil
	case r.abandoned > maxAbandoned:
		return fmt.Errorf("%s: %w\nIt is the last of %d documents that took too long. Raise document_timeout, or remove them.", f.name, summaryOf(err), r.abandoned)
	}
	return r.refuse(f.name, "", err)
}

// watch runs work and waits for it until the context ends or a row takes too
// long. It then returns, while work continues until its next call of Row.
func (r *documentReader) watch(ctx context.Context, d *Document, work func(context.Context, *Document) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := protected(ctx, d, work)
		if closeErr := d.in.Close(); err == nil {
			err = closeErr
		}
		done <- err
	}()
	timer := time.NewTimer(r.timeout)
	defer timer.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return d.abandon(ctx.Err())
		case <-timer.C:
			d.mu.Lock()
			left := r.timeout - time.Since(d.turn)
			d.mu.Unlock()
			if left <= 0 {
				r.abandoned++
				return d.abandon(fmt.Errorf("it takes longer than %s\nRaise document_timeout to read it.", r.timeout))
			}
			timer.Reset(left)
		}
	}
}

// abandon keeps the document from adding rows.
func (d *Document) abandon(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.abandoned = true
	return err
}

// protected runs work. A panic of a parser is an error of the document.
func protected(ctx context.Context, d *Document, work func(context.Context, *Document) error) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			fmt.Printf("%s: panic: %v\n%s", d.Name, problem, debug.Stack())
			err = fmt.Errorf("it is damaged, or of a kind that is not supported: %v", problem)
		}
	}()
	head, err := d.in.Peek(headLength)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if bytes.HasPrefix(head, []byte(LFSPointer)) {
		return errors.New("it is a Git LFS pointer; run git lfs pull\nThe file itself has not been downloaded.")
	}
	if len(head) == 0 {
		return errors.New("it is empty")
	}
	if err := d.reader.recognize(head); err != nil {
		return err
	}
	return work(ctx, d)
}

// refuse sets a document or a part of it aside, or returns the error that ends
// the read.
func (r *documentReader) refuse(origin, content string, problem error) error {
	if r.quarantine {
		return r.out.Quarantine(origin, content[:min(len(content), maxContent)], problem)
	}
	if !strings.Contains(problem.Error(), "\n") {
		problem = fmt.Errorf("%w\nCorrect it, or set on_error = \"quarantine\", which sets such documents aside and continues.", problem)
	}
	return fmt.Errorf("%s: %w", origin, problem)
}

// summaryOf returns an error without the advice in its further lines.
func summaryOf(err error) error {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(first)
}

// row converts the values of a row, and returns its size.
func (r *documentReader) row(name string, values []any) (row []parsed, size int, err error) {
	row = make([]parsed, len(r.places))
	for i, place := range r.places {
		var v any
		switch {
		case place == 0:
			v = name
		case place > 0 && place <= len(values):
			v = values[place-1]
		}
		if row[i], err = parsedOf(r.types[i].Type, v, &size); err != nil {
			return nil, 0, fmt.Errorf("%s: %w", r.types[i].Name, err)
		}
	}
	if size > maxText {
		return nil, 0, fmt.Errorf("its text is longer than %d MiB", maxText>>20)
	}
	return row, size, nil
}

// parsedOf converts a value for a column of a type, and adds its size.
func parsedOf(t arrow.DataType, v any, size *int) (parsed, error) {
	switch v := v.(type) {
	case nil:
		return parsed{null: true}, nil
	case string:
		*size += len(v)
		if !utf8.ValidString(v) {
			return parsed{}, checkText([]byte(v))
		}
		return parsed{text: []byte(v)}, nil
	case []byte:
		*size += len(v)
		return parsed{text: v}, nil
	case bool:
		return parsed{b: v}, nil
	case int64:
		return parsed{i: v}, nil
	case float64:
		return parsed{f: v}, nil
	case time.Time:
		if t.ID() == arrow.DATE32 {
			return parsed{i: int64(arrow.Date32FromTime(v))}, nil
		}
		return parsed{i: v.UnixMicro()}, nil
	case []any:
		return parsedList(t, v, size)
	}
	return parsed{}, fmt.Errorf("a value has the type %T, which no column can contain", v)
}

// parsedList converts the elements of a list, or the fields of a struct.
func parsedList(t arrow.DataType, values []any, size *int) (parsed, error) {
	deep := make([]parsed, len(values))
	for i, v := range values {
		var inner arrow.DataType
		switch t := t.(type) {
		case *arrow.ListType:
			inner = t.Elem()
		case *arrow.StructType:
			inner = t.Field(i).Type
		}
		var err error
		if deep[i], err = parsedOf(inner, v, size); err != nil {
			return parsed{}, err
		}
	}
	return parsed{deep: deep}, nil
}
