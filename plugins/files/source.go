package files

import (
	"context"
	"time"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// arguments are those of a source of files of one format.
type arguments[A any] interface {
	*A
	// pattern is the path of the files.
	pattern() string
	// check finds what is wrong with the arguments by themselves.
	check() error
	// columns looks into the files, of which there is at least one.
	columns(ctx context.Context, files []file) (data.Schema, error)
	// read streams the rows of all files.
	read(ctx context.Context, p place, schema data.Schema, w rowWriter) error
}

// source implements a source of files.
type source[A any, F arguments[A]] struct {
	root func() string
	// choice is the argument that says which columns are taken.
	choice string
}

func (s source[A, F]) place(a *A) place { return place{s.root(), F(a).pattern()} }

// Prepare declares the columns, looking into the files.
func (s source[A, F]) Prepare(ctx context.Context, p *plugin.Prepare[A]) error {
	if !p.Known("path") || !p.Known(s.choice) {
		p.Errorf("path", "Where the files stand is not known before something else is applied\nGive the path and %s of a source as values that do not come from other stages.", s.choice)
		return nil
	}
	a := F(p.Args)
	if err := a.check(); err != nil {
		return err
	}
	files, err := s.place(p.Args).find()
	if err != nil {
		return &plugin.ArgumentError{Argument: "path", Err: err}
	}
	columns, err := a.columns(ctx, files)
	if err != nil {
		return err
	}
	p.AddDataset("", columns)
	return nil
}

// Fingerprint hashes what has changed.
func (s source[A, F]) Fingerprint(ctx context.Context, a *A, memo []byte) (plugin.Fingerprint, error) {
	return fingerprint(ctx, s.place(a), memo, time.Now())
}

// Read streams the rows of all files.
func (s source[A, F]) Read(ctx context.Context, a *A, w *plugin.RowWriter) error {
	return F(a).read(ctx, s.place(a), w.Schema(), w)
}
