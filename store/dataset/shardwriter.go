package dataset

import (
	"errors"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/blob"
)

// queued is the number of pieces of batches that wait to be written.
const queued = 4

// shardWriter writes rows to a sequence of Parquet files, in its own goroutine,
// so that compression and hashing run in parallel.
type shardWriter struct {
	jobs chan writeJob
	done chan struct{}

	mu     sync.Mutex
	err    error
	groups []Group
}

// writeJob is rows to write, or the end of a file.
type writeJob struct {
	rows arrow.RecordBatch // nil at the end of a file
}

var errAborted = errors.New("writing was aborted")

func startShardWriter(blobs *blob.Store, schema data.Schema) *shardWriter {
	s := &shardWriter{jobs: make(chan writeJob, queued), done: make(chan struct{})}
	go s.run(blobs, schema)
	return s
}

func failedShardWriter(err error) *shardWriter {
	s := &shardWriter{jobs: make(chan writeJob), done: make(chan struct{}), err: err}
	close(s.done)
	return s
}

// write passes on the rows [from, to) of a batch.
func (s *shardWriter) write(rec arrow.RecordBatch, from, to int) {
	if from < to && rec.NumCols() > 0 {
		s.jobs <- writeJob{rows: rec.NewSlice(int64(from), int64(to))}
	}
}

func (s *shardWriter) end() { s.jobs <- writeJob{} }

func (s *shardWriter) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *shardWriter) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// close waits until everything is written and returns one group for each file.
func (s *shardWriter) close() ([]Group, error) {
	select {
	case <-s.done:
	default:
		close(s.jobs)
		<-s.done
	}
	return s.groups, s.failure()
}

func (s *shardWriter) abort() {
	s.fail(errAborted)
	_, _ = s.close() // it was aborted, which this reports
}

func (s *shardWriter) run(blobs *blob.Store, schema data.Schema) {
	defer close(s.done)
	var file *groupFile
	defer func() {
		if file != nil {
			file.abort()
		}
	}()
	for job := range s.jobs {
		if err := s.carryOut(job, blobs, schema, &file); err != nil {
			s.fail(fmt.Errorf("write shard %d: %w", len(s.groups)+1, err))
		}
	}
}

func (s *shardWriter) carryOut(job writeJob, blobs *blob.Store, schema data.Schema, file **groupFile) error {
	if job.rows != nil {
		defer job.rows.Release()
	}
	if s.failure() != nil || len(schema) == 0 {
		return nil
	}
	if *file == nil {
		f, err := createGroup(blobs, schema)
		if err != nil {
			return err
		}
		*file = f
	}
	if job.rows != nil {
		return (*file).write(job.rows)
	}
	group, err := (*file).commit()
	*file = nil
	s.groups = append(s.groups, group)
	return err
}

// groupFile is a column group that is being written.
type groupFile struct {
	blob    *blob.Writer
	parquet *data.FileWriter
	columns []string
}

func createGroup(blobs *blob.Store, schema data.Schema) (*groupFile, error) {
	b, err := blobs.Create()
	if err != nil {
		return nil, err
	}
	p, err := data.NewFileWriter(b, schema)
	if err != nil {
		b.Abort()
		return nil, err
	}
	return &groupFile{blob: b, parquet: p, columns: schema.Names()}, nil
}

func (g *groupFile) write(rec arrow.RecordBatch) error { return g.parquet.Write(rec) }

// commit closes the file, even if committing fails.
func (g *groupFile) commit() (Group, error) {
	defer g.blob.Abort()
	if err := g.parquet.Close(); err != nil {
		return Group{}, err
	}
	ref, err := g.blob.Commit()
	if err != nil {
		return Group{}, err
	}
	return Group{Blob: ref.Digest, Bytes: ref.Size, Columns: g.columns}, nil
}

func (g *groupFile) abort() { g.blob.Abort() }
