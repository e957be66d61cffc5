package files

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Located contains the arguments for the location of files.
type Located struct {
	Path       string `quern:"path,required,operational" doc:"The file, or a pattern for several files: '*' matches any part of a name, '**' any folders. A relative path is relative to the folder of the configuration. Rows are in the order of the files' names. Files may have different columns: columns are matched by name, and are null for files that lack them."`
	Partitions string `quern:"partitions" default:"\"auto\"" oneof:"auto,none" doc:"How to treat folders named KEY=VALUE, as Hive, Spark, and DuckDB write them. 'auto' makes each key a column, whose type is inferred from the values unless 'schema' gives it. 'none' ignores them."`

	found []file // by Prepare
}

func (l *Located) located() *Located { return l }

// arguments are the arguments of a source of files in one format.
type arguments[A any] interface {
	*A
	format
}

// format reads files in one format as its arguments say.
type format interface {
	located() *Located
	// selection returns what the arguments say about columns.
	selection() selection
	// check checks the arguments on their own.
	check() error
	// columns reads the columns of the files, of which there is at least one.
	// If selection says that a column is typed, its type does not matter.
	columns(ctx context.Context, files []file) (*union, error)
	// count returns the number of rows of the files if the files state it, or
	// -1 if only reading shows it.
	count(files []file) (int64, error)
	// inferred returns what is known about the values of columns in addition to
	// their types, after columns was called. It returns "" if there is nothing.
	inferred() string
	// probed returns the number of rows that are read when planning to check
	// them, or 0 if there are none.
	probed() int64
	// reader returns a reader for files with these columns, which writes their
	// rows to w. The rows of a file depend only on the file, the arguments, the
	// columns, and what was inferred, not on other files.
	reader(schema data.Schema, w rowWriter) reader
}

// reader reads files one after the other. Only one goroutine may use it.
type reader interface {
	// file reads the rows of a file. It may buffer some of them.
	file(ctx context.Context, f file, read *progress) error
	// flush writes the buffered rows.
	flush() error
	release()
}

// progress is the progress of reading several files.
type progress struct {
	read  atomic.Int64 // bytes of the files themselves
	total int64
	out   rowWriter
	// limit is the number of rows that are still needed; 0 means all.
	limit int64
	// passed is the number of bytes that the rows read so far take in the
	// files. It is read without what was read ahead.
	passed float64
}

// pass updates passed when reading a file ends. before is the number of bytes
// of the files that had been read when it began.
func (p *progress) pass(before int64, w *window, f *opened) {
	packed, plain := f.ahead()
	read := p.read.Load() - before - int64(packed)
	if all := w.taken + int64(len(w.data)+plain); all > 0 {
		p.passed += float64(read) * float64(w.taken) / float64(all)
	}
}

// another counts a row that was read from a file. After each batch, when no rows
// are buffered, it reports the progress and ends if the context has.
func (p *progress) another(ctx context.Context, name string, buffered int) error {
	if p.limit > 0 {
		if p.limit--; p.limit == 0 {
			return errEnough
		}
	}
	if buffered > 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p.tell(name)
	return nil
}

// tell reports the progress. name is the current file.
func (p *progress) tell(name string) { p.out.Progress(p.read.Load(), p.total, "bytes", name) }

// source implements a source of files.
type source[A any, F arguments[A]] struct {
	root func() string
	// answers can be nil.
	answers *answers[A]
}

func newSource[A any, F arguments[A]](root func() string) source[A, F] {
	return source[A, F]{root, &answers[A]{}}
}

func (s source[A, F]) place(a *A) place {
	l := F(a).located()
	return place{s.root(), l.Path}
}

// Prepare reads the columns of the files and declares them.
func (s source[A, F]) Prepare(ctx context.Context, p *plugin.Prepare[A]) error {
	for _, argument := range []string{"path", "schema", "columns", "partitions"} {
		if !p.Known(argument) {
			p.Errorf(argument, "The %s of a source must be known when planning\nIt depends on a stage that has not been applied yet. Use a value that does not come from another stage.", argument)
			return nil
		}
	}
	columns, warnings, err := s.schema(ctx, p.Args)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		p.Warnf("path", "%s", w)
	}
	p.AddDataset("", columns)
	return nil
}

// schema returns the columns of the dataset, and warnings about them.
func (s source[A, F]) schema(ctx context.Context, args *A) (columns data.Schema, warnings []string, err error) {
	a := F(args)
	if err := a.check(); err != nil {
		return nil, nil, err
	}
	if err := a.selection().check(); err != nil {
		return nil, nil, err
	}
	listed, where := time.Now(), s.place(args)
	files, err := where.find()
	if err != nil {
		return nil, nil, &plugin.ArgumentError{Argument: "path", Err: err}
	}
	if before := s.answers.lookup(where, args, files); before != nil {
		*args = before.prepared
		return slices.Clone(before.columns), before.warnings, nil
	}
	given := *args
	a.located().found = files
	if columns, warnings, err = columnsOf(ctx, a, files); err != nil {
		return nil, nil, err
	}
	s.answers.put(where, &answer[A]{given, files, *args, columns, warnings}, listed)
	return columns, warnings, nil
}

// columnsOf returns the columns of the rows of files, and warnings about them.
func columnsOf(ctx context.Context, a format, files []file) (columns data.Schema, warnings []string, err error) {
	found, err := a.columns(ctx, files)
	if err != nil {
		return nil, nil, err
	}
	if a.located().Partitions != "none" {
		if err := addPartitions(found, files); err != nil {
			return nil, nil, err
		}
	}
	columns, err = a.selection().choose(found)
	if err != nil {
		return nil, nil, err
	}
	return columns, found.warnings, probe(ctx, a, files, columns)
}

// probe reads the first rows as they will be read later, so that errors in them
// are reported when planning.
func probe(ctx context.Context, a format, files []file, schema data.Schema) error {
	rows := a.probed()
	if rows == 0 {
		return nil
	}
	sampled := files[:min(len(files), sampledFiles)]
	outer, out := withPartitions(a, files, schema, nowhere{})
	r := a.reader(outer.inner(), out)
	defer r.release()
	for _, f := range sampled {
		if err := outer.enter(f); err != nil {
			return err
		}
		p := &progress{out: nowhere{}, limit: max(1, rows/int64(len(sampled)))}
		if err := r.file(ctx, f, p); err != nil && !errors.Is(err, errEnough) {
			return err
		}
		if err := r.flush(); err != nil {
			return err
		}
	}
	return nil
}

// nowhere is a rowWriter that drops rows.
type nowhere struct{}

func (nowhere) Write(arrow.RecordBatch) error                  { return nil }
func (nowhere) Quarantine(string, string, error) error         { return nil }
func (nowhere) NamedPart(_, _ string, rows func() error) error { return rows() }
func (nowhere) Progress(_, _ int64, _ string, _ string)        {}

// Fingerprint hashes the files that changed.
func (s source[A, F]) Fingerprint(ctx context.Context, a *A, memo []byte) (plugin.Fingerprint, error) {
	list, err := s.place(a).find()
	if err != nil {
		return plugin.Fingerprint{}, err
	}
	return fingerprintOf(ctx, list, F(a), memo, time.Now())
}

// Read streams the rows of the files that Prepare found.
func (s source[A, F]) Read(ctx context.Context, a *A, w *plugin.RowWriter) error {
	return readFiles(ctx, F(a), F(a).located().found, w.Schema(), w.Memo(), w)
}

// withPartitions returns a writer that adds the columns of partitions, and the
// writer for the rows of files, which is w itself if there are no partitions.
func withPartitions(a format, files []file, schema data.Schema, w rowWriter) (*partitioned, rowWriter) {
	outer := &partitioned{rowWriter: w, schema: schema}
	if a.located().Partitions != "none" {
		outer.keys = partitionKeys(files)
	}
	if len(outer.keys) > 0 {
		return outer, outer
	}
	return outer, w
}

// readFiles reads files and writes their rows with these columns. Each file is a
// part, so that unchanged files are not read again.
func readFiles(ctx context.Context, a format, files []file, schema data.Schema, memo []byte, w rowWriter) error {
	if isNamed(a) {
		w = naming{w}
	}
	p := &progress{out: w}
	for _, f := range files {
		p.total += f.size
	}
	partitions := a.located().Partitions != "none"
	outer, rows := withPartitions(a, files, schema, w)
	r := a.reader(outer.inner(), rows)
	defer r.release()
	known, inferred := decodeMemo(memo), a.inferred()
	for _, f := range files {
		read := func() error {
			if err := outer.enter(f); err != nil {
				return err
			}
			if err := f.here(ctx, w); err != nil {
				return err
			}
			if err := r.file(ctx, f, p); err != nil {
				return err
			}
			return r.flush()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		digest, err := known.digest(ctx, f)
		if err != nil {
			return err
		}
		if err := w.NamedPart(f.name, partFingerprint(f, digest, partitions)+inferred, read); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
