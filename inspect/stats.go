package inspect

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/gc"
	"github.com/quern-dev/quern/store/state"
)

// Stats say what a store contains and what that is for. Sizes are in bytes.
type Stats struct {
	// Kinds are the folders of the store, the largest first.
	Kinds []KindStats `json:"kinds"`
	// Environments are what the states refer to, by name.
	Environments []EnvironmentStats `json:"environments"`
	// Types and Addresses are what the stages in states have produced, the largest
	// first. What several share counts for each.
	Types     []GroupStats `json:"types"`
	Addresses []GroupStats `json:"addresses"`
	// Largest are the largest artifacts in states, the largest first.
	Largest []ArtifactStats `json:"largest"`
	// Kept is what gc would keep, by reason, the largest first, and Collect what it
	// would remove.
	Kept    []GroupStats `json:"kept"`
	Collect *gc.Result   `json:"gc"`
}

// KindStats count one kind of objects, such as blobs or runs.
type KindStats struct {
	Kind  string `json:"kind"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// GroupStats count the blobs of something.
type GroupStats struct {
	Name  string `json:"name"`
	Blobs int    `json:"blobs"`
	Bytes int64  `json:"bytes"`
}

// EnvironmentStats count what an environment refers to. Shared is the part that
// another environment refers to, too.
type EnvironmentStats struct {
	Name        string `json:"name"`
	Instances   int    `json:"instances"`
	Blobs       int    `json:"blobs"`
	Bytes       int64  `json:"bytes"`
	SharedBlobs int    `json:"shared_blobs"`
	SharedBytes int64  `json:"shared_bytes"`
}

// ArtifactStats are the size of an artifact.
type ArtifactStats struct {
	Artifact     string   `json:"artifact"`
	Digest       string   `json:"digest"`
	Environments []string `json:"environments"`
	Blobs        int      `json:"blobs"`
	Bytes        int64    `json:"bytes"`
}

// Measured computes the statistics of a store. opts say what gc would keep; its
// DryRun, Kept, and Gone are ignored. most limits Addresses and Largest.
func Measured(ctx context.Context, s *store.Store, opts gc.Options, most int) (*Stats, error) {
	r := &references{instances: map[string]int{}, blobs: map[[32]byte]uint32{}, next: map[useSet]uint32{}, sets: make([]useSet, 1), sizes: make([]GroupStats, 1)}
	if err := r.read(s); err != nil {
		return nil, err
	}
	kept := map[string]*GroupStats{}
	opts.DryRun = true
	opts.Kept = func(why string, b blob.Stored) {
		r.found(b)
		group(kept, why, 1, b.Size)
	}
	opts.Gone = r.found
	collected, err := gc.Collect(ctx, s, opts)
	if err != nil {
		return nil, err
	}
	out := &Stats{Environments: r.environments(), Kept: largest(kept), Collect: collected}
	r.groups(out, most)
	blobs := KindStats{Kind: "blobs", Files: collected.Blobs + collected.KeptBlobs, Bytes: collected.Bytes + collected.KeptBytes}
	if out.Kinds, err = kinds(s.Dir, blobs); err != nil {
		return nil, err
	}
	return out, nil
}

// reference is what refers to an artifact: an instance of a state.
type reference struct {
	environment, address, kind string
	artifact, digest           string
}

// references are the blobs that states refer to. Many blobs have the same few sets
// of uses, so each blob has only the number of its set.
type references struct {
	instances map[string]int // by environment
	blobs     map[[32]byte]uint32
	uses      []reference
	sets      []useSet          // by number; the first is empty
	next      map[useSet]uint32 // their numbers
	sizes     []GroupStats      // by number of the set
}

// useSet is another set, by its number, and one use more.
type useSet struct{ rest, use uint32 }

// of returns the uses in a set.
func (r *references) of(set uint32) (all []reference) {
	for ; set != 0; set = r.sets[set].rest {
		all = append(all, r.uses[r.sets[set].use])
	}
	return all
}

func (r *references) read(s *store.Store) error {
	names, err := s.States().List()
	if err != nil {
		return fmt.Errorf("list environments: %w", err)
	}
	for _, name := range names {
		st, err := s.States().Load(name)
		if err != nil {
			return fmt.Errorf("read the state of environment %q: %w", name, err)
		}
		r.instances[name] = len(st.Instances)
		for _, address := range slices.Sorted(maps.Keys(st.Instances)) {
			if err := r.instance(s, name, st.Instances[address]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *references) instance(s *store.Store, environment string, inst *state.Instance) error {
	for _, a := range artifactsOf(inst) {
		found, err := artifact.Get(s.Blobs, a.Ref)
		if blob.Unavailable(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s in environment %q: %w", inst.Address, environment, err)
		}
		kind := inst.Kind
		if inst.Type != "" {
			kind += "." + inst.Type
		}
		r.uses = append(r.uses, reference{environment, inst.Address, kind, a.Name(), a.Ref.Digest})
		r.add(a.Ref.Manifest)
		for _, b := range found.Blobs() {
			r.add(b)
		}
	}
	return nil
}

// add adds the last use to those of a blob.
func (r *references) add(digest string) {
	key, ok := binary(digest)
	if !ok {
		return
	}
	more := useSet{r.blobs[key], uint32(len(r.uses) - 1)}
	if more.rest != 0 && r.sets[more.rest].use == more.use {
		return // the artifact contains it twice
	}
	next, ok := r.next[more]
	if !ok {
		next = uint32(len(r.sets))
		r.next[more] = next
		r.sets, r.sizes = append(r.sets, more), append(r.sizes, GroupStats{})
	}
	r.blobs[key] = next
}

// binary returns the bytes of a digest.
func binary(digest string) (key [32]byte, ok bool) {
	text, err := blob.Hex(digest)
	if err != nil {
		return key, false
	}
	_, err = hex.Decode(key[:], []byte(text))
	return key, err == nil
}

// found counts a blob for everything that refers to it.
func (r *references) found(b blob.Stored) {
	key, _ := binary(b.Digest)
	if set := r.blobs[key]; set != 0 {
		r.sizes[set].Blobs++
		r.sizes[set].Bytes += b.Size
	}
}

func (r *references) environments() []EnvironmentStats {
	by := map[string]*EnvironmentStats{}
	for name, n := range r.instances {
		by[name] = &EnvironmentStats{Name: name, Instances: n}
	}
	for set, size := range r.sizes {
		in := map[string]bool{}
		if size.Blobs > 0 {
			for _, u := range r.of(uint32(set)) {
				in[u.environment] = true
			}
		}
		for name := range in {
			e := by[name]
			e.Blobs, e.Bytes = e.Blobs+size.Blobs, e.Bytes+size.Bytes
			if len(in) > 1 {
				e.SharedBlobs, e.SharedBytes = e.SharedBlobs+size.Blobs, e.SharedBytes+size.Bytes
			}
		}
	}
	out := []EnvironmentStats{}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		out = append(out, *by[name])
	}
	return out
}

// groups adds the statistics by type, address, and artifact.
func (r *references) groups(out *Stats, most int) {
	types, addresses := map[string]*GroupStats{}, map[string]*GroupStats{}
	artifacts := map[[2]string]*ArtifactStats{}
	for set, size := range r.sizes {
		if size.Blobs == 0 {
			continue
		}
		counted := map[any]bool{}
		once := func(what any, count func()) {
			if !counted[what] {
				counted[what] = true
				count()
			}
		}
		for _, u := range r.of(uint32(set)) {
			once("type "+u.kind, func() { group(types, u.kind, size.Blobs, size.Bytes) })
			once("address "+u.address, func() { group(addresses, u.address, size.Blobs, size.Bytes) })
			key := [2]string{u.artifact, u.digest}
			if artifacts[key] == nil {
				artifacts[key] = &ArtifactStats{Artifact: u.artifact, Digest: u.digest}
			}
			a := artifacts[key]
			once(key, func() { a.Blobs, a.Bytes = a.Blobs+size.Blobs, a.Bytes+size.Bytes })
			if !slices.Contains(a.Environments, u.environment) {
				a.Environments = append(a.Environments, u.environment)
			}
		}
	}
	out.Types, out.Addresses = largest(types), first(largest(addresses), most)
	out.Largest = []ArtifactStats{}
	for _, a := range artifacts {
		slices.Sort(a.Environments)
		out.Largest = append(out.Largest, *a)
	}
	slices.SortFunc(out.Largest, func(a, b ArtifactStats) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Artifact, b.Artifact), cmp.Compare(a.Digest, b.Digest))
	})
	out.Largest = first(out.Largest, most)
}

func first[T any](all []T, n int) []T { return all[:min(n, len(all))] }

func group(all map[string]*GroupStats, name string, blobs int, bytes int64) {
	if all[name] == nil {
		all[name] = &GroupStats{Name: name}
	}
	all[name].Blobs += blobs
	all[name].Bytes += bytes
}

func largest(all map[string]*GroupStats) []GroupStats {
	out := []GroupStats{}
	for _, g := range all {
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b GroupStats) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name)) })
	return out
}

// kindNames are the kinds of objects by the folder of the store that contains them.
var kindNames = map[string]string{
	"actions": "actions", "memo": "results of rows", "envs": "environments", "runs": "runs", "responses": "answers of models",
	"pending": "pending rows", "pins": "pins", "staging": "work in progress", "cache": "cache", "damaged": "damaged files",
	store.VenvFolder: "Python environments", store.TransferFolder: "downloads", "plugins": "plugins", "modules": "modules",
}

// kinds counts the files of a store by kind, except for the blobs.
func kinds(dir string, blobs KindStats) ([]KindStats, error) {
	folders, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := []KindStats{blobs}
	for _, folder := range folders {
		k := KindStats{Kind: kindNames[folder.Name()]}
		if !folder.IsDir() || k.Kind == "" {
			continue
		}
		if err := k.count(filepath.Join(dir, folder.Name())); err != nil {
			return nil, err
		}
		if k.Files > 0 {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b KindStats) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Kind, b.Kind)) })
	return out, nil
}

// count counts the files in a folder. Files that disappear meanwhile do not count.
func (k *KindStats) count(dir string) error {
	return filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		k.Files++
		k.Bytes += info.Size()
		return nil
	})
}
