// Package pending keeps what rows and stages wait for: results that come from
// outside, such as from a person, a batch API, or a hosted job.
//
// A row-wise stage has a Log while it runs. The log gives each row the token
// that its plugin returned for it earlier, and keeps new tokens, durably, as
// soon as they arrive. Rows are named by their keys, as in the memo: a row that
// changes is another row.
package pending

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/document"
)

// Format is the version of the documents.
const Format = "quern.pending/v1"

// Key identifies a row of a definition; see dataset.RowKeys.
type Key = [keyBytes]byte

const keyBytes = 16

// Owner is the stage whose run asked for a row. Any stage with the same
// definition finds the row's token.
type Owner struct {
	Environment string `json:"environment"`
	Address     string `json:"address"`
}

// Row is what is known about a row that waits.
type Row struct {
	Reason string
	Token  []byte // nil if there is none
	Since  time.Time
	// CheckAfter is when it is worth asking again, or the zero time if that is
	// not known.
	CheckAfter time.Time
}

// Answer is a plugin's answer that a row is pending.
type Answer struct {
	Key        Key
	Reason     string
	Token      []byte
	CheckAfter time.Duration // from now on; 0 if unknown
}

// Store contains the logs in a backend. It is safe for concurrent use and, if
// the backend is, for use by several processes.
type Store struct {
	ctx     context.Context
	backend backend.Backend
}

// New returns a store that keeps logs in b. ctx applies to all its calls.
func New(ctx context.Context, b backend.Backend) *Store { return &Store{ctx: ctx, backend: b} }

// file is a document: some rows of one owner. A run adds one whenever tokens
// arrive, and replaces them by one when it ends.
type file struct {
	Format     string `json:"format"`
	Definition string `json:"definition"`
	Owner
	// Complete is when the owner's last run began that went over all of its
	// rows. Rows that were asked for before that no longer exist.
	Complete time.Time `json:"complete,omitzero"`
	Waits    []wait    `json:"waits"`
}

// wait is what some rows have in common.
type wait struct {
	Reason     string    `json:"reason"`
	Token      []byte    `json:"token,omitempty"`
	Since      time.Time `json:"since"`
	CheckAfter time.Time `json:"check_after,omitzero"`
	// Asked is when the run began in which the rows were last asked for.
	Asked time.Time `json:"asked"`
	// Rows are the keys of the rows, one after the other.
	Rows []byte `json:"rows"`
}

const prefix, suffix = "pending/", ".json"

// logsOf returns the prefix of the objects of a definition.
func logsOf(definition string) (string, error) {
	h, err := blob.Hex(definition)
	if err != nil {
		return "", fmt.Errorf("definition: %w", err)
	}
	return prefix + h[:1] + "/" + h + ".", nil
}

// name returns a new name of an object. Names of one owner sort by age.
func (o Owner) name(now time.Time) (string, error) {
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s.%016x-%s", o.digest(), now.UnixNano(), hex.EncodeToString(random[:])), nil
}

// digest identifies the owner in names of objects.
func (o Owner) digest() string {
	sum := sha256.Sum256([]byte(o.Environment + "\x00" + o.Address))
	return hex.EncodeToString(sum[:8])
}

// Open returns the log of a run of a stage. With fresh, it does not use the
// tokens of earlier runs. A damaged document is an error once: it is set aside,
// and the next run submits its rows again.
func (s *Store) Open(definition string, by Owner, fresh bool) (*Log, error) {
	begin, err := logsOf(definition)
	if err != nil {
		return nil, err
	}
	l := &Log{store: s, definition: definition, begin: begin, owner: by, fresh: fresh, opened: time.Now().UTC().Round(0), rows: map[Key]*entry{}, failed: map[Key]*entry{}}
	for f, err := range s.files(begin) {
		if err != nil {
			return nil, fmt.Errorf("read what rows wait for: %w", err)
		}
		l.add(f)
	}
	return l, nil
}

// stored is a file and the key of its object.
type stored struct {
	file
	at string
}

// files yields the files with a prefix, in an order in which the later of two
// files of an owner comes later. For a damaged one, which it sets aside, it
// yields *document.Damaged and continues.
func (s *Store) files(begin string) func(func(*stored, error) bool) {
	return func(yield func(*stored, error) bool) {
		for o, err := range s.backend.List(s.ctx, begin) {
			if err != nil {
				yield(nil, err)
				return
			}
			f, err := s.read(o.Key)
			if f == nil && err == nil {
				continue // removed in the meantime
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

func (s *Store) read(at string) (*stored, error) {
	f := &stored{at: at}
	err := document.Read(s.ctx, s.backend, at, Format, &f.file)
	if notFound := (*backend.NotFound)(nil); errors.As(err, &notFound) {
		return nil, nil
	}
	if err == nil {
		err = f.check(s.backend.Place(at))
	}
	if err != nil {
		return nil, document.SetAside(s.ctx, s.backend, at, err)
	}
	return f, nil
}

func (f *stored) check(place string) error {
	begin, err := logsOf(f.Definition)
	if err != nil || !strings.HasPrefix(f.at, begin+f.digest()+".") {
		return &document.Damaged{Path: place, Reason: "it belongs to another stage: " + f.Address + " in environment " + f.Environment}
	}
	for _, w := range f.Waits {
		if len(w.Rows)%keyBytes != 0 {
			return &document.Damaged{Path: place, Reason: "the keys of its rows are incomplete"}
		}
	}
	return nil
}

func (s *Store) write(at string, f *file) error {
	text, err := document.Encode(f)
	if err == nil {
		err = s.backend.Put(s.ctx, at, backend.Bytes(text))
	}
	if err == nil {
		err = s.backend.Flush(s.ctx)
	}
	if err != nil {
		return fmt.Errorf("remember what rows wait for: %w", err)
	}
	return nil
}

func (s *Store) remove(at string) error {
	if err := s.backend.Delete(s.ctx, at, backend.Any); err != nil {
		return fmt.Errorf("forget what rows waited for: %w", err)
	}
	return nil
}

func isDamaged(err error) bool {
	var damaged *document.Damaged
	return errors.As(err, &damaged)
}

// Log is what the rows of a stage wait for, while the stage runs. It is safe
// for concurrent use.
type Log struct {
	store      *Store
	definition string
	begin      string
	owner      Owner
	fresh      bool
	opened     time.Time

	mu       sync.Mutex
	rows     map[Key]*entry
	failed   map[Key]*entry // rows that failed in this run
	complete time.Time
	files    []string // objects of the owner
	changed  bool
}

type entry struct {
	Row
	asked time.Time
	own   bool // the owner's run asked for the row
	now   bool // this run asked for the row
}

// add adds the rows of a file. What was asked for later wins.
func (l *Log) add(f *stored) {
	own := f.Owner == l.owner
	if own {
		l.files = append(l.files, f.at)
		l.complete = later(l.complete, f.Complete)
	}
	for _, w := range f.Waits {
		for keys := w.Rows; len(keys) > 0; keys = keys[keyBytes:] {
			key := Key(keys[:keyBytes])
			if e := l.rows[key]; e == nil || !e.asked.After(w.Asked) {
				l.rows[key] = &entry{Row: Row{w.Reason, w.Token, w.Since, w.CheckAfter}, asked: w.Asked, own: own || e != nil && e.own}
			} else if own {
				e.own = true
			}
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Empty reports whether no row waits.
func (l *Log) Empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.rows) == 0
}

// Get returns a row that waits.
func (l *Log) Get(key Key) (Row, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.get(key)
	if e == nil {
		return Row{}, false
	}
	return e.Row, true
}

func (l *Log) get(key Key) *entry {
	if e := l.rows[key]; e != nil && (e.now || !l.fresh) {
		return e
	}
	return nil
}

// Wait records that rows are pending. When it returns, their tokens are
// durable.
func (l *Log) Wait(answers []Answer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now().UTC().Truncate(time.Second)
	news := map[Key]*entry{} // rows with a new token
	for _, a := range answers {
		e := &entry{Row: Row{Reason: a.Reason, Token: a.Token, Since: now}, asked: l.opened, own: true, now: true}
		if a.CheckAfter > 0 {
			e.CheckAfter = now.Add(a.CheckAfter)
		}
		was := l.get(a.Key)
		if was != nil && !was.Since.IsZero() {
			e.Since = was.Since
		}
		if len(a.Token) > 0 && (was == nil || !was.own || !bytes.Equal(was.Token, a.Token)) {
			news[a.Key] = e
		}
		l.rows[a.Key], l.changed = e, true
	}
	if len(news) == 0 {
		return nil
	}
	return l.save(news)
}

// save writes some rows to a new object.
func (l *Log) save(rows map[Key]*entry) error {
	name, err := l.owner.name(time.Now())
	if err != nil {
		return err
	}
	at := l.begin + name + suffix
	f := &file{Format: Format, Definition: l.definition, Owner: l.owner, Complete: l.complete, Waits: waits(rows)}
	if err := l.store.write(at, f); err != nil {
		return err
	}
	l.files = append(l.files, at)
	return nil
}

// Done forgets a row that no longer waits because it has a result.
func (l *Log) Done(key Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rows[key] != nil {
		delete(l.rows, key)
		l.changed = true
	}
}

// Failed forgets the token of a row that failed, so that the next attempt
// submits the row again. A token that another stage has for the row no longer
// counts, either.
func (l *Log) Failed(key Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.rows[key]; e != nil && len(e.Token) > 0 {
		e = &entry{asked: l.opened, own: true, now: true}
		l.rows[key], l.failed[key], l.changed = e, e, true
	}
}

// Abandon ends the log of a run whose results may be lost. It forgets the tokens
// of rows that failed, and keeps all others.
func (l *Log) Abandon() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failed) == 0 {
		return nil
	}
	return l.save(l.failed)
}

// Close saves the state of the rows at the end of a run whose results are in
// the memo. all is set if the run went over all rows: then, a row that it did
// not ask for and that has no result does not exist any more, and Sweep may
// forget it.
func (l *Log) Close(all bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.changed && len(l.files) == 0 {
		return nil
	}
	if all {
		l.complete = l.opened
	}
	old, own := l.files, map[Key]*entry{}
	for key, e := range l.rows {
		if e.own {
			own[key] = e
		}
	}
	if len(own) > 0 {
		if err := l.save(own); err != nil {
			return err
		}
	}
	for _, at := range old {
		if err := l.store.remove(at); err != nil {
			return err
		}
	}
	l.files = l.files[len(old):]
	return nil
}

// waits groups rows that wait for the same.
func waits(rows map[Key]*entry) []wait {
	type common struct {
		reason, token            string
		since, checkAfter, asked int64
	}
	at := map[common]int{}
	var out []wait
	for _, key := range slices.SortedFunc(maps.Keys(rows), func(a, b Key) int { return bytes.Compare(a[:], b[:]) }) {
		e := rows[key]
		c := common{e.Reason, string(e.Token), e.Since.UnixNano(), e.CheckAfter.UnixNano(), e.asked.UnixNano()}
		i, ok := at[c]
		if !ok {
			i = len(out)
			at[c] = i
			out = append(out, wait{Reason: e.Reason, Token: e.Token, Since: e.Since, CheckAfter: e.CheckAfter, Asked: e.asked})
		}
		out[i].Rows = append(out[i].Rows, key[:]...)
	}
	return out
}

// Sweep forgets rows that nobody asks for any more, except those that were
// asked for after a time, and returns their number. waits reports whether a
// stage waits for rows of a definition. With dryRun, Sweep only counts.
func (s *Store) Sweep(after time.Time, waits func(Owner, string) bool, dryRun bool) (rows int, err error) {
	files, complete, err := s.all()
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		stays := waits(f.Owner, f.Definition)
		var kept []wait
		for _, w := range f.Waits {
			if w.Asked.After(after) || stays && !w.Asked.Before(complete[ownership{f.Owner, f.Definition}]) {
				kept = append(kept, w)
			} else {
				rows += len(w.Rows) / keyBytes
			}
		}
		switch {
		case dryRun || len(kept) == len(f.Waits) && len(kept) > 0:
		case len(kept) == 0:
			err = s.remove(f.at)
		default:
			f.Waits = kept
			err = s.write(f.at, &f.file)
		}
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

type ownership struct {
	Owner
	definition string
}

// all returns all files, and when the last complete run of each owner began.
func (s *Store) all() ([]*stored, map[ownership]time.Time, error) {
	var files []*stored
	complete := map[ownership]time.Time{}
	for f, err := range s.files(prefix) {
		if isDamaged(err) {
			continue // it was set aside
		}
		if err != nil {
			return nil, nil, fmt.Errorf("list what rows wait for: %w", err)
		}
		files = append(files, f)
		of := ownership{f.Owner, f.Definition}
		complete[of] = later(complete[of], f.Complete)
	}
	slices.SortFunc(files, func(a, b *stored) int { return cmp.Compare(path.Base(a.at), path.Base(b.at)) })
	return files, complete, nil
}
