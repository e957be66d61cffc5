// Package history keeps a record of every run: what it was asked to do, what
// it did, how long that took and with what.
package history

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/process"
)

// Format is the version of a run's record.
const Format = "quern.run/v1"

// The states that a run can be in.
const (
	Running     = "running"
	Done        = "done"
	Failed      = "failed"
	Interrupted = "interrupted"
)

// Run is the record of one run.
type Run struct {
	Format      string     `json:"format"`
	ID          string     `json:"id"`
	Environment string     `json:"environment"`
	Command     string     `json:"command"`
	Started     time.Time  `json:"started"`
	Ended       *time.Time `json:"ended,omitempty"`
	Status      string     `json:"status"`
	// Commit is the Git commit of the configuration; Dirty: with changes.
	Commit       string                      `json:"commit,omitempty"`
	Dirty        bool                        `json:"dirty,omitempty"`
	QuernVersion string                      `json:"quern_version"`
	Plugins      map[string]action.PluginRef `json:"plugins,omitempty"`
	Instances    []Instance                  `json:"instances,omitempty"`
	// Outputs are the values of the pipeline's outputs; nil for one that is
	// sensitive.
	Outputs map[string]*value.Value `json:"outputs,omitempty"`
	// Estimate is what the plan expected.
	Estimate *Estimate `json:"estimate,omitempty"`
	// Error is why the run as a whole failed, where no instance did.
	Error string `json:"error,omitempty"`
	// Process is the one that carries the run out, while it runs.
	Process *process.Identity `json:"process,omitempty"`
}

// Instance is what a run did about one instance.
type Instance struct {
	Address string  `json:"address"`
	Action  string  `json:"action"`
	Status  string  `json:"status"`
	Seconds float64 `json:"seconds"`
	Rows    int64   `json:"rows,omitempty"`
	// RowsIn are those that went in, of a stage whose rows each give any number of
	// rows: NewRows are of these.
	RowsIn    int64                   `json:"rows_in,omitempty"`
	NewRows   int64                   `json:"new_rows,omitempty"`
	ActionKey string                  `json:"action_key,omitempty"`
	Outputs   map[string]artifact.Ref `json:"outputs,omitempty"`
	Value     *value.Stored           `json:"value,omitempty"`
	Error     string                  `json:"error,omitempty"`
	// Spend is what its calls of language models came to; nil: none.
	Spend *llm.Spend `json:"spend,omitempty"`
}

// Spend is what all calls of language models came to.
func (r *Run) Spend() *llm.Spend {
	var all llm.Spend
	for _, i := range r.Instances {
		if i.Spend != nil {
			all.Add(*i.Spend)
		}
	}
	return &all
}

// Estimate is what was expected; nil: unknown.
type Estimate struct {
	Rows         *int64   `json:"rows,omitempty"`
	NewRows      *int64   `json:"new_rows,omitempty"`
	Seconds      *float64 `json:"seconds,omitempty"`
	InputTokens  *int64   `json:"input_tokens,omitempty"`
	OutputTokens *int64   `json:"output_tokens,omitempty"`
	Money        *float64 `json:"money,omitempty"`
}

// NewID makes the ID of a run that starts now. IDs sort by time, those of the
// same second too: they end in the second's 65,536th and 16 random bits.
func NewID(now time.Time) (string, error) {
	var b [4]byte
	binary.BigEndian.PutUint16(b[:], uint16(int64(now.Nanosecond())<<16/int64(time.Second)))
	if _, err := rand.Read(b[2:]); err != nil {
		return "", err
	}
	return now.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b[:]), nil
}

// Store is the runs of a backend.
type Store struct {
	ctx     context.Context
	backend backend.Backend
	logs    string
}

// New keeps runs in b; the context ends all calls to it. Their logs are in the folder logs
// of the machine that they ran on.
func New(ctx context.Context, b backend.Backend, logs string) *Store {
	return &Store{ctx: ctx, backend: b, logs: logs}
}

const prefix, suffix = "runs/", ".json"

var runID = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z-]{0,63}$`)

// object is the key of the object that has a run's record.
func object(id string) (string, error) {
	if !runID.MatchString(id) {
		return "", fmt.Errorf("%q is not the ID of a run", id)
	}
	return prefix + id + suffix, nil
}

// LogFile is where the log of a run is, or will be.
func (s *Store) LogFile(id string) (string, error) {
	_, err := object(id)
	return filepath.Join(s.logs, id+".log"), err
}

// Put writes a run's record in place of the former one. Of a run that is
// running it notes this process, so that its end can be noticed.
func (s *Store) Put(r *Run) error {
	at, err := object(r.ID)
	if err != nil {
		return err
	}
	if r.Format == "" {
		r.Format = Format
	}
	r.Process = nil
	if r.Status == Running {
		self := process.Self()
		r.Process = &self
	}
	text, err := document.Encode(r)
	if err != nil {
		return fmt.Errorf("record run %s: %w", r.ID, err)
	}
	if err := s.backend.Put(s.ctx, at, backend.Bytes(text)); err != nil {
		return fmt.Errorf("record run %s: %w", r.ID, err)
	}
	return s.backend.Flush(s.ctx)
}

// Get reads a run's record; one that is not there is an error that is
// fs.ErrNotExist. A run that was running when its process ended reads as
// interrupted.
func (s *Store) Get(id string) (*Run, error) {
	at, err := object(id)
	if err != nil {
		return nil, err
	}
	r := &Run{}
	err = document.Read(s.ctx, s.backend, at, Format, r)
	if err == nil && r.ID != id {
		err = &document.Damaged{Path: s.backend.Place(at), Reason: "it is the record of another run, " + r.ID}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("run %q does not exist: %w", id, fs.ErrNotExist)
	}
	if err != nil {
		return nil, document.SetAside(s.ctx, s.backend, at, err)
	}
	if r.Status == Running && r.Process != nil && r.Process.Gone() {
		r.Status = Interrupted
	}
	return r, nil
}

// List returns all runs, the newest first. Records that cannot be read are
// left out, and in the error.
func (s *Store) List() ([]*Run, error) {
	var ids []string
	for o, err := range s.backend.List(s.ctx, prefix) {
		if err != nil {
			return nil, err
		}
		id, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, prefix), suffix)
		if ok && runID.MatchString(id) {
			ids = append(ids, id)
		}
	}
	var runs []*Run
	var errs []error
	for _, id := range slices.Backward(ids) {
		r, err := s.Get(id)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		runs = append(runs, r)
	}
	return runs, errors.Join(errs...)
}
