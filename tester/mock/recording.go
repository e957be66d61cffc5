package mock

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/lang/testfile"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/disk"
)

// Recordings are files of recorded answers, which all test files share. They are safe for
// concurrent use.
type Recordings struct {
	update   bool
	redactor *secret.Redactor

	mu    sync.Mutex
	files map[string]*recordings
}

// NewRecordings returns recordings. With update, requests without an answer go to the real
// model. An answer that contains a secret of the redactor is an error.
func NewRecordings(update bool, redactor *secret.Redactor) *Recordings {
	return &Recordings{update: update, redactor: redactor, files: map[string]*recordings{}}
}

// Updates reports whether answers are recorded.
func (r *Recordings) Updates() bool { return r.update }

// recording is a line of a file of recorded answers: a request to a model and its answer,
// or a text and its embedding.
type recording struct {
	Request   json.RawMessage `json:"request,omitempty"`
	Response  json.RawMessage `json:"response,omitempty"`
	Text      *string         `json:"text,omitempty"`
	Embedding []float32       `json:"embedding,omitempty"`
}

func (r *recording) key() string {
	if r.Text != nil {
		return "embedding of " + *r.Text
	}
	return string(r.Request)
}

// recordings are the recordings of one file. Several answers to equal requests are given in
// their order.
type recordings struct {
	path   string
	update bool
	failed error // of reading the file

	mu      sync.Mutex
	answers map[string][]*recording
	used    map[string]int // by request, the number of answers that a run needed
	added   bool
}

var errNotRecorded = errors.New("no answer is recorded")

func (s *Set) recordingPath(m *testfile.Mock) string {
	name := filepath.FromSlash(s.File.Path(m.Record))
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.Module.Dir, name)
}

// file returns the recordings in a file, which need not exist.
func (r *Recordings) file(path string) *recordings {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.files[path]; f != nil {
		return f
	}
	f := &recordings{path: path, update: r.update, answers: map[string][]*recording{}, used: map[string]int{}}
	f.failed = f.read()
	r.files[path] = f
	return f
}

// safe refuses to record texts that contain a secret.
func (r *Recordings) safe(texts ...[]byte) error {
	for _, text := range texts {
		if r.redactor != nil && r.redactor.In(string(text)) {
			return errors.New("the request or the answer contains a sensitive value, so it is not recorded; mock the model with rules instead")
		}
	}
	return nil
}

func (f *recordings) read() error {
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		r := &recording{}
		if err := json.Unmarshal(lines.Bytes(), r); err != nil {
			return fmt.Errorf("%s, line %d: %w", f.path, n, err)
		}
		if err := r.normalize(); err != nil {
			return fmt.Errorf("%s, line %d: %w", f.path, n, err)
		}
		f.answers[r.key()] = append(f.answers[r.key()], r)
	}
	return lines.Err()
}

// normalize writes the request as models get it, whoever wrote the line.
func (r *recording) normalize() error {
	switch {
	case r.Text != nil && r.Embedding != nil:
		return nil
	case r.Request == nil || r.Response == nil:
		return errors.New("a line has a request and a response, or a text and an embedding")
	}
	request, err := llm.DecodeRequest(r.Request)
	if err != nil {
		return err
	}
	r.Request, err = request.Encode()
	return err
}

// answer returns an answer to a request, the first one for n = 0. If it is not recorded,
// answer asks and records what it gets, or returns errNotRecorded.
func (f *recordings) answer(key string, n int, ask func() (*recording, error)) (*recording, error) {
	if r, err := f.known(key, n); r != nil || err != nil {
		return r, err
	}
	r, err := ask()
	if err == nil && r.Response != nil {
		r.Response, err = tidy(r.Response)
	}
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[key], f.added = append(f.answers[key], r), true
	return r, nil
}

// known returns a recorded answer, or nil if it has to be asked for.
func (f *recordings) known(key string, n int) (*recording, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used[key] = max(f.used[key], n+1)
	switch {
	case f.failed != nil:
		return nil, f.failed
	case n < len(f.answers[key]):
		return f.answers[key][n], nil
	case !f.update:
		return nil, errNotRecorded
	}
	return nil, nil
}

// tidy drops from an answer what differs each time.
func tidy(response []byte) ([]byte, error) {
	var r llm.Response
	if err := json.Unmarshal(response, &r); err != nil {
		return nil, err
	}
	r.Latency, r.Cached, r.Cost = 0, false, nil
	return json.Marshal(&r)
}

// Save writes the files with new answers, and returns their paths. With prune, it removes
// answers that no run needed.
func (r *Recordings) Save(prune bool) ([]string, error) {
	var saved []string
	for _, path := range slices.Sorted(maps.Keys(r.files)) {
		f := r.files[path]
		if !r.update || f.failed != nil {
			continue
		}
		changed, err := f.save(prune)
		if err != nil {
			return saved, fmt.Errorf("write %s: %w", path, err)
		}
		if changed {
			saved = append(saved, path)
		}
	}
	return saved, nil
}

func (f *recordings) save(prune bool) (changed bool, err error) {
	var keys []string
	changed = f.added
	for key, answers := range f.answers {
		if prune && f.used[key] < len(answers) {
			f.answers[key], changed = answers[:f.used[key]], true
		}
		keys = append(keys, key)
	}
	if !changed {
		return false, nil
	}
	slices.Sort(keys)
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	for _, key := range keys {
		for _, r := range f.answers[key] {
			if err := out.Encode(r); err != nil {
				return false, err
			}
		}
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return false, err
	}
	return true, disk.Replace(f.path, &text, 0o644)
}
