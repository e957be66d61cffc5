// Package history records every run: what it was asked to do, what it did, how
// long that took, and which programs and models it used.
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

	"github.com/quern-dev/quern/internal/amount"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/pending"
	"github.com/quern-dev/quern/store/process"
)

// Format is the version of a run's record.
const Format = "quern.run/v1"

// The states that a run and its instances can be in.
const (
	Running     = "running"
	Done        = "done"
	Pending     = "pending"
	Failed      = "failed"
	Interrupted = "interrupted"
	// Skipped is an instance that was not reached, because something that it needs
	// was not done.
	Skipped = "skipped"
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
	// Commit is the Git commit of the configuration. Dirty is set if there were
	// uncommitted changes.
	Commit       string                      `json:"commit,omitempty"`
	Dirty        bool                        `json:"dirty,omitempty"`
	QuernVersion string                      `json:"quern_version"`
	Plugins      map[string]action.PluginRef `json:"plugins,omitempty"`
	Instances    []Instance                  `json:"instances,omitempty"`
	// Outputs are the values of the pipeline's outputs. The value of a
	// sensitive one is nil.
	Outputs map[string]*value.Value `json:"outputs,omitempty"`
	// Plans is the number of plans that were applied, if it is more than one:
	// some stages were planned during the run.
	Plans int `json:"plans,omitempty"`
	// Estimate is what the plan expected.
	Estimate *Estimate `json:"estimate,omitempty"`
	// Spent is the total of its calls of language models so far, while it is
	// running under a budget that other runs share.
	Spent *llm.Spend `json:"spent,omitempty"`
	// Error says why the run as a whole failed, if no instance did.
	Error string `json:"error,omitempty"`
	// Process is the process that executes the run, while it is running.
	Process *process.Identity `json:"process,omitempty"`
}

// Instance records what a run did with one instance.
type Instance struct {
	Address string  `json:"address"`
	Action  string  `json:"action"`
	Status  string  `json:"status"`
	Seconds float64 `json:"seconds"`
	Rows    int64   `json:"rows,omitempty"`
	// RowsIn is the number of input rows of a stage whose rows each produce any
	// number of rows. NewRows counts input rows, too.
	RowsIn    int64                   `json:"rows_in,omitempty"`
	NewRows   int64                   `json:"new_rows,omitempty"`
	ActionKey string                  `json:"action_key,omitempty"`
	Outputs   map[string]artifact.Ref `json:"outputs,omitempty"`
	Value     *value.Stored           `json:"value,omitempty"`
	// Pending is what a pending instance waits for.
	Pending *pending.Summary `json:"pending,omitempty"`
	Error   string           `json:"error,omitempty"`
	// Spend is the total of its calls of language models, or nil if there were
	// none.
	Spend *llm.Spend `json:"spend,omitempty"`
	// Estimate is what the plan expected, if it expected the instance to be computed.
	Estimate *amount.Amounts `json:"estimate,omitempty"`
}

// Spend returns the total of all calls of language models.
func (r *Run) Spend() *llm.Spend {
	var all llm.Spend
	if r.Spent != nil {
		all = *r.Spent
	}
	for _, i := range r.Instances {
		if i.Spend != nil {
			all.Add(*i.Spend)
		}
	}
	return &all
}

// Estimate is what was expected. nil means unknown.
type Estimate struct {
	Rows         *int64   `json:"rows,omitempty"`
	NewRows      *int64   `json:"new_rows,omitempty"`
	Seconds      *float64 `json:"seconds,omitempty"`
	InputTokens  *int64   `json:"input_tokens,omitempty"`
	OutputTokens *int64   `json:"output_tokens,omitempty"`
	Money        *float64 `json:"money,omitempty"`
	// Range contains the ranges of all figures that were known in part.
	Range *amount.Amounts `json:"range,omitempty"`
}

// Spent returns what the runs of an environment that started since a time have
// spent. A record that cannot be read is an error, because its cost is unknown.
func (s *Store) Spent(environment string, since time.Time) (llm.Spend, error) {
	var all llm.Spend
	ids, err := s.ids()
	if err != nil {
		return all, err
	}
	from := since.UTC().Format(idTime)
	for _, id := range slices.Backward(ids) {
		if id < from {
			break // runs start at the time of their IDs or before
		}
		r, err := s.Get(id)
		if err != nil {
			return all, err
		}
		if r.Environment == environment && !r.Started.Before(since) {
			all.Add(*r.Spend())
		}
	}
	return all, nil
}

// idTime is the form of the time that an ID begins with.
const idTime = "20060102-150405"

// NewID returns the ID of a run that starts now. IDs begin with the time, with a
// resolution of 1/65,536 s, and end in 16 random bits. They sort by the order in which
// runs started: if the clock was set back, the ID comes right after that of the last run.
func (s *Store) NewID(now time.Time) (string, error) {
	ids, err := s.ids()
	if err != nil {
		return "", err
	}
	for _, id := range slices.Backward(ids) {
		if last, ok := timeOf(id); ok {
			if next := last.Add(idUnit); now.Before(next) {
				now = next
			}
			break
		}
	}
	var b [4]byte
	binary.BigEndian.PutUint16(b[:], uint16(int64(now.Nanosecond())<<16/int64(time.Second)))
	if _, err := rand.Read(b[2:]); err != nil {
		return "", err
	}
	return now.UTC().Format(idTime) + "-" + hex.EncodeToString(b[:]), nil
}

// idUnit is the resolution of IDs, rounded up.
const idUnit = time.Second>>16 + 2

// timeOf returns the time that an ID begins with. Other programs may have written IDs
// without one.
func timeOf(id string) (time.Time, bool) {
	if len(id) != len(idTime)+len("-01234567") {
		return time.Time{}, false
	}
	at, err := time.Parse(idTime, id[:len(idTime)])
	if err != nil {
		return time.Time{}, false
	}
	b, err := hex.DecodeString(id[len(idTime)+1:])
	if err != nil {
		return time.Time{}, false
	}
	return at.Add(time.Duration(binary.BigEndian.Uint16(b)) * time.Second >> 16), true
}

// Store contains the runs in a backend.
type Store struct {
	ctx     context.Context
	backend backend.Backend
	logs    string
}

// New returns a store that keeps runs in b. ctx applies to all its calls. The
// logs of runs are in the folder logs on the machine that they ran on.
func New(ctx context.Context, b backend.Backend, logs string) *Store {
	return &Store{ctx: ctx, backend: b, logs: logs}
}

const prefix, suffix = "runs/", ".json"

const longestID = 64

var idPattern = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z-]*$`)

func isID(s string) bool { return len(s) <= longestID && idPattern.MatchString(s) }

// object returns the key of the object that contains a run's record.
func object(id string) (string, error) {
	if !isID(id) {
		return "", fmt.Errorf("%q is not the ID of a run", id)
	}
	return prefix + id + suffix, nil
}

// LogFile returns the path of a run's log, which may not exist yet.
func (s *Store) LogFile(id string) (string, error) {
	_, err := object(id)
	return filepath.Join(s.logs, id+".log"), err
}

// Put writes a run's record and replaces the previous one. In the record of a
// running run, it notes this process, so that its death can be detected.
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

// Get reads a run's record. If it does not exist, the error is fs.ErrNotExist.
// A run whose process died while it was running is returned as interrupted.
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

// List returns all runs, the newest first. The error describes the records that
// cannot be read, which are left out.
func (s *Store) List() ([]*Run, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
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

// ids returns the IDs of all runs, sorted.
func (s *Store) ids() ([]string, error) {
	var ids []string
	for o, err := range s.backend.List(s.ctx, prefix) {
		if err != nil {
			return nil, err
		}
		id, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, prefix), suffix)
		if ok && isID(id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
