package gc_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/gc"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/memo"
	"github.com/quern-dev/quern/store/responses"
	"github.com/quern-dev/quern/store/state"
)

// grace is that of all histories.
const grace = 24 * time.Hour

// answerAge is how old cached answers are, which the store dates itself, by the time of the
// histories.
const answerAge = 2 * time.Hour

// model is a store with a random history, and what a collection has to know
// about it. It repeats the rules of package gc in their plainest form.
type model struct {
	t   *testing.T
	r   *rand.Rand
	s   *store.Store
	now time.Time

	blobs     map[string]time.Duration // age, by digest
	artifacts []*stored
	entries   map[string]*entry // by action key
	parts     map[string]*part  // by definition and ID
	states    map[string]*state.State
	committed int
	runs      []*history.Run           // the oldest first
	logs      map[string]time.Duration // age, by run
	staging   map[string]time.Duration
	answers   int
}

// stored is an artifact. One whose manifest is lost leads to no blobs.
type stored struct {
	ref   artifact.Ref
	files []string
	lost  bool
}

type entry struct {
	*action.Entry
	age     time.Duration
	outputs []*stored
	damaged bool
}

type part struct {
	*memo.Part
	age     time.Duration
	damaged bool
}

func newModel(t *testing.T, seed uint64) *model {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), ".quern"))
	if err != nil {
		t.Fatal(err)
	}
	return &model{
		t: t, r: rand.New(rand.NewPCG(seed, 0)), s: s, now: time.Now().Add(answerAge).Truncate(time.Microsecond),
		blobs: map[string]time.Duration{}, entries: map[string]*entry{}, parts: map[string]*part{},
		states: map[string]*state.State{}, logs: map[string]time.Duration{}, staging: map[string]time.Duration{},
	}
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// age is one at which a mistake would show. Only what is younger than grace
// is kept for its age.
func (m *model) age() time.Duration {
	return pick(m.r, 0, time.Hour, grace-time.Microsecond, grace, grace+time.Microsecond, 10*grace)
}

func young(age time.Duration) bool { return age < grace }

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// someDefinition is one of few, so that parts, entries, and states meet.
func (m *model) someDefinition() string { return blob.Sum([]byte{byte(m.r.IntN(6))}) }

// history makes n random changes.
func (m *model) history(n int) {
	changes := []func(){
		m.makeArtifact, m.makeArtifact, m.commitEntry, m.commitEntry, m.rememberPart, m.rememberPart,
		m.saveState, m.saveState, m.recordRun, m.recordRun, m.removeEntry, m.damageEntry, m.damagePart, m.loseManifest,
		m.startWork, m.cacheAnswer, m.deleteEnvironment,
	}
	for range n {
		pick(m.r, changes...)()
	}
}

// putBlob stores one of few contents, so that artifacts share blobs.
func (m *model) putBlob() string {
	ref, err := m.s.Blobs.Put(fmt.Appendf(nil, "content %d", m.r.IntN(30)))
	m.must(err)
	if _, known := m.blobs[ref.Digest]; !known {
		m.setBlobAge(ref.Digest, m.age())
	}
	return ref.Digest
}

func (m *model) setBlobAge(digest string, age time.Duration) {
	hex := strings.TrimPrefix(digest, "sha256:")
	m.touch(filepath.Join(m.s.Dir, "blobs", "sha256", hex[:1], hex), age)
	m.blobs[digest] = age
}

func (m *model) touch(path string, age time.Duration) {
	m.t.Helper()
	m.must(os.Chtimes(path, m.now.Add(-age), m.now.Add(-age)))
}

func (m *model) makeArtifact() {
	a := &artifact.Artifact{Kind: artifact.Model, ModelFormat: fmt.Sprint("v", m.r.IntN(3))}
	for i := range m.r.IntN(4) {
		a.Files = append(a.Files, artifact.File{Name: fmt.Sprint("file", i), Digest: m.putBlob()})
	}
	ref, err := artifact.Put(m.s.Blobs, a)
	m.must(err)
	if i := slices.IndexFunc(m.artifacts, func(a *stored) bool { return a.ref == ref }); i >= 0 {
		m.artifacts[i].lost = false // it was made again
	} else {
		m.artifacts = append(m.artifacts, &stored{ref: ref, files: a.Blobs()})
	}
	if _, known := m.blobs[ref.Manifest]; !known {
		m.setBlobAge(ref.Manifest, m.age())
	}
}

func (m *model) someOutputs() (list []*stored, refs map[string]artifact.Ref) {
	refs = map[string]artifact.Ref{}
	for i := range min(m.r.IntN(3), len(m.artifacts)) {
		a := pick(m.r, m.artifacts...)
		list, refs[fmt.Sprint("port", i)] = append(list, a), a.ref
	}
	return list, refs
}

func (m *model) commitEntry() {
	age := m.age()
	outputs, refs := m.someOutputs()
	m.committed++ // the first entry of a key wins
	e := &action.Entry{
		Key: blob.Sum(fmt.Appendf(nil, "key %d", m.committed)), Definition: m.someDefinition(), Address: "transform.a",
		Outputs: refs, Created: m.now.Add(-age),
	}
	if m.r.IntN(3) == 0 {
		e.RowsKey = m.someDefinition()
	}
	_, err := m.s.Actions.Put(e)
	m.must(err)
	m.entries[e.Key] = &entry{Entry: e, age: age, outputs: outputs}
}

func (m *model) rememberPart() {
	age := m.age()
	column := []dataset.Column{{Name: "label"}}
	p := &memo.Part{
		Definition: m.someDefinition(), Rows: 3, InputRows: 3,
		Inputs:  []memo.InputGroup{{Blob: m.putBlob()}},
		Results: memo.Results{Output: &dataset.Added{Group: dataset.Group{Blob: m.putBlob()}, Columns: column}},
	}
	if m.r.IntN(2) == 0 {
		p.ShardKey = blob.Sum(fmt.Appendf(nil, "shard %d", m.r.IntN(10)))
	}
	m.must(m.s.Memo.Put(p))
	made := &part{Part: p, age: age}
	m.touch(m.partFile(made), age)
	m.parts[p.Definition+" "+p.ID] = made
}

func (m *model) partFile(p *part) string {
	hex := strings.TrimPrefix(p.Definition, "sha256:")
	return filepath.Join(m.s.Dir, "memo", hex[:1], hex+"."+p.ID+".json")
}

func (m *model) entryFile(key string) string {
	return filepath.Join(m.s.Dir, "actions", strings.TrimPrefix(key, "sha256:")+".json")
}

func (m *model) someEntry() *entry {
	keys := slices.Sorted(maps.Keys(m.entries))
	if len(keys) == 0 {
		return nil
	}
	return m.entries[pick(m.r, keys...)]
}

// saveState puts an instance into an environment. It may be one whose entry has
// gone, and one whose outputs are not those of its entry.
func (m *model) saveState() {
	env := pick(m.r, "dev", "prod", "stage")
	st, err := m.s.States().Load(env)
	m.must(err)
	address := fmt.Sprint("transform.", m.r.IntN(3))
	inst := &state.Instance{Address: address, Definition: m.someDefinition()}
	if m.r.IntN(3) == 0 {
		inst.RowsKey = m.someDefinition()
	}
	if e := m.someEntry(); e != nil && m.r.IntN(4) > 0 {
		inst.ActionKey, inst.Outputs = e.Key, e.Outputs
	} else {
		_, inst.Outputs = m.someOutputs()
	}
	st.Instances[address] = inst
	if env != "dev" { // in which commands run
		age := m.age() - pick(m.r, 0, 100*grace)
		expired := m.now.Add(-age)
		st.Expires = pick(m.r, nil, &expired)
		inst.Deployment = pick(m.r, nil, nil, nil, &state.Deployment{})
	}
	m.must(m.s.States().Save(st))
	m.states[env] = st
}

func (m *model) deleteEnvironment() {
	for env, st := range m.states {
		m.must(m.s.States().Delete(st))
		delete(m.states, env)
		return
	}
}

func (m *model) recordRun() {
	run := &history.Run{ID: fmt.Sprintf("20260101-%06d-00000000", len(m.runs)), Status: history.Done}
	inst := history.Instance{Address: "transform.a"}
	if e := m.someEntry(); e != nil && m.r.IntN(2) == 0 {
		inst.ActionKey = e.Key
	}
	_, inst.Outputs = m.someOutputs()
	run.Instances = []history.Instance{inst}
	m.must(m.s.Runs().Put(run))
	m.runs = append(m.runs, run)
	if m.r.IntN(2) == 0 {
		path, err := m.s.Runs().LogFile(run.ID)
		m.must(err)
		m.must(os.WriteFile(path, []byte("log"), 0o600))
		m.logs[run.ID] = m.age()
		m.touch(path, m.logs[run.ID])
	}
}

func (m *model) removeEntry() {
	if e := m.someEntry(); e != nil {
		m.must(m.s.Actions.Remove(e.Key))
		delete(m.entries, e.Key)
	}
}

func (m *model) damageEntry() {
	if e := m.someEntry(); e != nil {
		m.damage(m.entryFile(e.Key))
		e.damaged = true
	}
}

func (m *model) damagePart() {
	ids := slices.Sorted(maps.Keys(m.parts))
	if len(ids) == 0 {
		return
	}
	p := m.parts[pick(m.r, ids...)]
	m.damage(m.partFile(p))
	m.touch(m.partFile(p), p.age)
	p.damaged = true
}

func (m *model) damage(path string) {
	m.t.Helper()
	m.must(os.Remove(path))
	m.must(os.WriteFile(path, []byte("{}"), 0o644))
}

// loseManifest damages or removes the manifest of an artifact.
func (m *model) loseManifest() {
	if len(m.artifacts) == 0 {
		return
	}
	a := pick(m.r, m.artifacts...)
	if a.lost {
		return
	}
	a.lost = true
	m.must(m.s.Blobs.Remove(a.ref.Manifest))
	delete(m.blobs, a.ref.Manifest)
}

func (m *model) startWork() {
	name := fmt.Sprint("work", len(m.staging))
	dir, err := m.s.Staging(name)
	m.must(err)
	m.must(os.WriteFile(filepath.Join(dir, "checkpoint"), []byte("1234"), 0o644))
	m.staging[name] = m.age()
	m.touch(filepath.Join(dir, "checkpoint"), m.staging[name])
	m.touch(dir, m.staging[name])
}

func (m *model) cacheAnswer() {
	m.answering(func(c *responses.Cache) {
		m.must(c.Put(responses.Key{byte(m.answers)}, []byte("answer")))
		m.answers++
	})
}

func (m *model) answering(f func(*responses.Cache)) {
	m.t.Helper()
	c, err := m.s.Responses(nil)
	m.must(err)
	f(c)
	m.must(c.Close())
}

// content is what a store holds.
type content struct {
	Entries, Parts, Blobs, Logs, Staging, Environments []string
	Answers                                            int
}

// reachable is what a collection has to keep, by the rules. Damaged files are set aside
// in any case.
func (m *model) reachable(opts gc.Options) *content {
	keys, definitions, blobs := map[string]bool{}, map[string]bool{}, map[string]bool{}
	keep := func(key string, outputs map[string]artifact.Ref) {
		keys[key] = true
		for _, ref := range outputs {
			a := m.artifacts[slices.IndexFunc(m.artifacts, func(a *stored) bool { return a.ref == ref })]
			if a.lost {
				continue
			}
			blobs[ref.Manifest] = true
			for _, digest := range a.files {
				blobs[digest] = true
			}
		}
	}
	left := &content{Answers: m.answers}
	for _, env := range slices.Sorted(maps.Keys(m.states)) {
		st := m.states[env]
		if st.Expires != nil && !m.now.Before(st.Expires.Add(max(0, opts.Grace))) && len(st.Deployments()) == 0 {
			continue
		}
		left.Environments = append(left.Environments, env)
		for _, inst := range st.Instances {
			keep(inst.ActionKey, inst.Outputs)
			definitions[inst.Definition], definitions[inst.RowsKey] = true, true
		}
	}
	recent := m.runs[max(0, len(m.runs)-opts.Runs):]
	for _, run := range recent {
		keep(run.Instances[0].ActionKey, run.Instances[0].Outputs)
	}
	for _, key := range slices.Sorted(maps.Keys(m.entries)) {
		e := m.entries[key]
		if !e.damaged && (keys[key] || young(e.age)) {
			left.Entries = append(left.Entries, key)
			keep(key, e.Outputs)
			definitions[e.Definition], definitions[e.RowsKey] = true, true
		}
	}
	for _, p := range m.parts {
		definitions[p.Definition] = definitions[p.Definition] || !p.damaged && young(p.age)
	}
	for _, id := range slices.Sorted(maps.Keys(m.parts)) {
		p := m.parts[id]
		if !p.damaged && definitions[p.Definition] {
			left.Parts = append(left.Parts, id)
			for _, digest := range p.Blobs() {
				blobs[digest] = true
			}
		}
	}
	for _, digest := range slices.Sorted(maps.Keys(m.blobs)) {
		if blobs[digest] || young(m.blobs[digest]) {
			left.Blobs = append(left.Blobs, digest)
		}
	}
	for id, age := range m.logs {
		if young(age) || slices.ContainsFunc(recent, func(r *history.Run) bool { return r.ID == id }) {
			left.Logs = append(left.Logs, id)
		}
	}
	for name, age := range m.staging {
		if young(age) {
			left.Staging = append(left.Staging, name)
		}
	}
	if opts.Answers > 0 && opts.Answers < answerAge {
		left.Answers = 0
	}
	slices.Sort(left.Logs)
	slices.Sort(left.Staging)
	return left
}

// found is what the store holds now.
func (m *model) found() *content {
	m.t.Helper()
	found := &content{}
	var err error
	found.Environments, err = m.s.States().List()
	m.must(err)
	if len(found.Environments) == 0 {
		found.Environments = nil
	}
	for e, err := range m.s.Actions.All() {
		m.must(err)
		found.Entries = append(found.Entries, e.Key)
	}
	definitions, err := m.s.Memo.Definitions()
	m.must(err)
	for _, d := range definitions {
		for p, err := range m.s.Memo.Parts(d) {
			m.must(err)
			found.Parts = append(found.Parts, p.Definition+" "+p.ID)
		}
	}
	for ref, err := range m.s.Blobs.All() {
		m.must(err)
		found.Blobs = append(found.Blobs, ref.Digest)
	}
	for _, pattern := range []string{"runs/*.log", "staging/*"} {
		paths, err := filepath.Glob(filepath.Join(m.s.Dir, pattern))
		m.must(err)
		for _, path := range paths {
			if name, isLog := strings.CutSuffix(filepath.Base(path), ".log"); isLog {
				found.Logs = append(found.Logs, name)
			} else {
				found.Staging = append(found.Staging, name)
			}
		}
	}
	m.answering(func(c *responses.Cache) {
		counts, err := c.Sweep(context.Background(), time.Time{}, true)
		m.must(err)
		found.Answers = counts.Kept
	})
	for _, list := range []*[]string{&found.Entries, &found.Parts, &found.Blobs, &found.Logs, &found.Staging} {
		slices.Sort(*list)
	}
	return found
}

// setDamagedAside reads everything once, so that what is damaged is counted by nobody.
func (m *model) setDamagedAside() {
	for range m.s.Actions.All() {
	}
	definitions, err := m.s.Memo.Definitions()
	m.must(err)
	for _, d := range definitions {
		for range m.s.Memo.Parts(d) {
		}
	}
}

// checkKept fails unless the store holds everything that has to be kept, whole.
func (m *model) checkKept(want *content) {
	m.t.Helper()
	found := m.found()
	for name, lists := range map[string][2][]string{
		"entries": {want.Entries, found.Entries}, "parts": {want.Parts, found.Parts}, "blobs": {want.Blobs, found.Blobs},
		"logs": {want.Logs, found.Logs}, "staging": {want.Staging, found.Staging},
	} {
		for _, kept := range lists[0] {
			if !slices.Contains(lists[1], kept) {
				m.t.Errorf("%s: %s is lost", name, kept)
			}
		}
	}
	if found.Answers < want.Answers {
		m.t.Errorf("%d of %d answers are left", found.Answers, want.Answers)
	}
	m.checkReadable(found)
	for _, env := range want.Environments {
		was := m.states[env]
		st, err := m.s.States().Load(env)
		m.must(err)
		text, err := state.Text(st)
		m.must(err)
		if want, err := state.Text(was); err != nil || !bytes.Equal(text, want) {
			m.t.Errorf("the state of %s changed: %v", env, err)
		}
	}
	if runs, err := m.s.Runs().List(); err != nil || len(runs) != len(m.runs) {
		m.t.Errorf("%d of %d runs are left: %v", len(runs), len(m.runs), err)
	}
}

// checkReadable fails if an entry or a part is there without its blobs, unless they
// were lost before.
func (m *model) checkReadable(found *content) {
	m.t.Helper()
	for _, key := range found.Entries {
		for _, a := range m.entries[key].outputs {
			if a.lost {
				continue
			}
			if errs := artifact.Verify(context.Background(), m.s.Blobs, a.ref); len(errs) > 0 {
				m.t.Errorf("the result of action %s cannot be read: %v", key, errs)
			}
		}
	}
	for _, id := range found.Parts {
		for _, digest := range m.parts[id].Blobs() {
			if _, err := m.s.Blobs.Get(digest); err != nil {
				m.t.Errorf("the part %s cannot be read: %v", id, err)
			}
		}
	}
}
