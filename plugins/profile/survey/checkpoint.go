package survey

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// checkpointVersion identifies the form of a Checkpoint. It changes when the same
// rows give another one.
const checkpointVersion = "quern.profile-checkpoint/v2"

// Checkpoint says what a survey has read, so that another one of the same columns
// and options can continue with the rows that follow. It is followed by the parts
// of each column.
type Checkpoint struct {
	Version string
	// Shards identify the shards that were read, by their rows and digests.
	Shards []string
	Rows   int64
	Sample []uint64
	// Hashes lists the files of the hashes that are counted exactly: those of rows,
	// then those of each column, if there are any.
	Hashes []hashFiles
}

// hashFiles are files with a number of hashes, of which some equal an earlier one.
type hashFiles struct {
	N, Repeated int64
	Names       []string
}

// mostFiles is the number of files with hashes of the same column above which they
// become one.
const mostFiles = 32

// Files returns the names of the files that belong to a checkpoint.
func (c *Checkpoint) Files() []string {
	var all []string
	for _, h := range c.Hashes {
		all = append(all, h.Names...)
	}
	return all
}

// Save writes a checkpoint after some shards into a folder: a file with the name
// prefix, and files whose names begin with it. It returns the names of files of the
// checkpoint that the survey continued, which remain part of the new one.
func (s *Survey) Save(folder, prefix string, shards []string) (earlier []string, err error) {
	c := &Checkpoint{Version: checkpointVersion, Shards: shards, Rows: s.rows, Sample: s.sample}
	hashed := s.allHashed()
	if err := settle(hashed); err != nil {
		return nil, err
	}
	for i, r := range hashed {
		var files hashFiles
		if r != nil {
			if files, err = r.files(folder, fmt.Sprintf("%s-hashes-%d-%d", prefix, i, s.rows)); err != nil {
				return nil, err
			}
			earlier = append(earlier, files.Names[:len(files.Names)-1]...)
		}
		c.Hashes = append(c.Hashes, files)
	}
	return earlier, s.write(c, filepath.Join(folder, prefix))
}

// allHashed returns what counts hashes exactly: of the rows, then of each column.
func (s *Survey) allHashed() []*repeats {
	all := []*repeats{s.repeated}
	for _, c := range s.columns {
		all = append(all, *c.hashed())
	}
	return all
}

func settle(hashed []*repeats) error {
	errs := make([]error, len(hashed))
	parallel.For(len(hashed), runtime.GOMAXPROCS(0), func(i int) {
		if hashed[i] != nil {
			errs[i] = hashed[i].settle()
		}
	})
	return errors.Join(errs...)
}

func (s *Survey) write(c *Checkpoint, path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write a checkpoint: %w", err)
		}
	}()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := bufio.NewWriterSize(f, 1<<16)
	e := gob.NewEncoder(out)
	if err := e.Encode(c); err != nil {
		return err
	}
	for _, column := range s.columns {
		for _, part := range column.parts() {
			if err := e.Encode(part); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

// Resume continues a survey to which no rows were added with a checkpoint, if the
// shards that it has read are the first ones; otherwise it returns nil. path returns
// where a file is. After an error, the survey is of no use.
func (s *Survey) Resume(prefix string, path func(name string) string, shards []string) (*Checkpoint, error) {
	f, err := os.Open(path(prefix))
	if err != nil {
		return nil, fmt.Errorf("read a checkpoint: %w", err)
	}
	defer f.Close()
	c := &Checkpoint{}
	d := gob.NewDecoder(bufio.NewReaderSize(f, 1<<16))
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("read a checkpoint: %w", err)
	}
	if c.Version != checkpointVersion || len(c.Shards) > len(shards) || !slices.Equal(c.Shards, shards[:len(c.Shards)]) || len(c.Hashes) != len(s.columns)+1 {
		return nil, nil
	}
	return c, s.read(d, c, path)
}

// read takes over what is in a checkpoint.
func (s *Survey) read(d *gob.Decoder, c *Checkpoint, path func(name string) string) error {
	for _, column := range s.columns {
		for _, part := range column.parts() {
			if err := d.Decode(part); err != nil {
				return fmt.Errorf("read a checkpoint: %w", err)
			}
		}
	}
	for i, files := range c.Hashes {
		if len(files.Names) == 0 {
			continue
		}
		r := newRepeats(s.options.Dir)
		if err := r.open(files, path); err != nil {
			return err
		}
		if i == 0 {
			s.repeated = r
			continue
		}
		*s.columns[i-1].hashed() = r
	}
	s.rows, s.sample = c.Rows, c.Sample
	s.forget()
	return nil
}

// forget removes the rows from the sample that are not among those of the whole
// dataset.
func (s *Survey) forget() {
	keep := make([]bool, len(s.sample))
	for i, key := range s.sample {
		keep[i] = s.chooser.has(key)
	}
	s.sample = kept(s.sample, keep)
	for _, c := range s.columns {
		c.forget(keep)
	}
}
