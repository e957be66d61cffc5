package files

import (
	"context"
	"errors"
	"time"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Objects finds the objects of a source. A implements it together with Format,
// which it embeds.
type Objects[A any] interface {
	// Prepare checks the arguments, and may pin what they refer to. If it reports
	// an error to p, it returns false.
	Prepare(ctx context.Context, p *plugin.Prepare[A]) (ok bool, err error)
	// List returns the current objects. Finding no objects is an error. memo is that of the last listing, or empty.
	List(ctx context.Context, args *A, memo []byte) (*Listing, error)
}

// formatted are arguments that embed Format.
type formatted[A any] interface {
	*A
	rows() *Format
}

// NewSource returns a source that reads the rows of objects. argument is the name
// of the argument that says which objects these are. Each object is a part, which
// is read again only if its version changes.
func NewSource[A any, F formatted[A]](info plugin.Info, argument string, objects Objects[A]) plugin.Type {
	return plugin.NewSource(info, objectSource[A, F]{argument, objects})
}

// objectSource implements a source of objects.
type objectSource[A any, F formatted[A]] struct {
	argument string
	objects  Objects[A]
}

// Prepare reads the columns of the objects and declares them.
func (s objectSource[A, F]) Prepare(ctx context.Context, p *plugin.Prepare[A]) error {
	for _, argument := range append([]string{s.argument}, formatArguments...) {
		if !p.Known(argument) {
			p.Errorf(argument, "The %s of a source must be known when planning\nIt depends on a stage that has not been applied yet. Use a value that does not come from another stage.", argument)
			return nil
		}
	}
	if ok, err := s.objects.Prepare(ctx, p); err != nil || !ok {
		return err
	}
	list, err := s.objects.List(ctx, p.Args, nil)
	if err != nil {
		return err
	}
	f := F(p.Args).rows()
	f.objects = list.files()
	columns, warnings, err := s.schema(ctx, f)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		p.Warnf(s.argument, "%s", w)
	}
	p.AddDataset("", columns)
	return nil
}

// schema returns the columns of the objects, and warnings about them.
func (s objectSource[A, F]) schema(ctx context.Context, f *Format) (columns data.Schema, warnings []string, err error) {
	if f.parsed, err = f.reading(f.objects); err != nil {
		return nil, nil, err
	}
	if err = f.parsed.check(); err == nil {
		err = f.parsed.selection().check()
	}
	if err != nil {
		return nil, nil, err
	}
	columns, warnings, err = columnsOf(ctx, f.parsed, f.objects)
	return columns, warnings, s.at(err)
}

// at moves an error about the path of files to the argument that says which
// objects are read.
func (s objectSource[A, F]) at(err error) error {
	if about := (*plugin.ArgumentError)(nil); errors.As(err, &about) && about.Argument == "path" {
		return &plugin.ArgumentError{Argument: s.argument, Err: about.Err}
	}
	return err
}

// Fingerprint lists the objects and reads none of them.
func (s objectSource[A, F]) Fingerprint(ctx context.Context, args *A, memo []byte) (plugin.Fingerprint, error) {
	list, err := s.objects.List(ctx, args, memo)
	if err != nil {
		return plugin.Fingerprint{}, err
	}
	files := list.files()
	a, err := F(args).rows().reading(files)
	if err != nil {
		return plugin.Fingerprint{}, err
	}
	f, err := fingerprintOf(ctx, files, a, nil, time.Now())
	f.Memo = list.Memo
	return f, err
}

// Read streams the rows of the objects that Prepare listed, each as a part.
func (s objectSource[A, F]) Read(ctx context.Context, args *A, w *plugin.RowWriter) error {
	f := F(args).rows()
	return s.at(readFiles(ctx, f.parsed, f.objects, w.Schema(), nil, w))
}

// Preview writes the first rows of some of these objects.
func (s objectSource[A, F]) Preview(ctx context.Context, args *A, bytes int64, w *plugin.RowWriter) (plugin.RowCount, error) {
	f := F(args).rows()
	count, err := previewOf(ctx, f.parsed, f.objects, w.Schema(), bytes, w)
	return count, s.at(err)
}
