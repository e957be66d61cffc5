package compare

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/planner/contract"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/state"
)

// Rows are how the rows of two datasets differ, as collections: their order does not
// matter. The counts are nil if the rows are no longer in the store.
type Rows struct {
	Before  int64  `json:"before"`
	After   int64  `json:"after"`
	Added   *int64 `json:"added,omitempty"`
	Removed *int64 `json:"removed,omitempty"`
	// Changed rows have the same key and different values. It is nil if no key is
	// known: such a row is then removed, and another one is added.
	Changed *int64 `json:"changed,omitempty"`
	// Key are the columns that identify a row.
	Key []string `json:"key,omitempty"`
	// AddedColumns and RemovedColumns are in only one of the datasets. Rows are compared
	// by the other columns.
	AddedColumns   []string `json:"added_columns,omitempty"`
	RemovedColumns []string `json:"removed_columns,omitempty"`
}

// artifact compares the artifacts of a port. note says what is no longer in the store.
func (c *comparer) artifact(a, b *state.Instance, port string) (out Artifact, note string, err error) {
	was, is := a.Outputs[port], b.Outputs[port]
	out = Artifact{Port: port, Before: was.Digest, After: is.Digest}
	if was.Kind != artifact.Dataset || is.Kind != artifact.Dataset {
		return out, "", nil
	}
	name := "The dataset"
	if port != "" {
		name = "The dataset " + port
	}
	before, err := artifact.Get(c.store.Blobs, was)
	if blob.Unavailable(err) {
		return out, fmt.Sprintf("%s of run %s is no longer in the store.", name, c.runs[0].ID), nil
	}
	if err != nil {
		return out, "", err
	}
	after, err := artifact.Get(c.store.Blobs, is)
	if blob.Unavailable(err) {
		return out, fmt.Sprintf("%s of run %s is no longer in the store.", name, c.runs[1].ID), nil
	}
	if err != nil {
		return out, "", err
	}
	out.Rows = &Rows{
		Before: before.Dataset.Rows, After: after.Dataset.Rows,
		AddedColumns: without(after.Dataset.Schema.Names(), before.Dataset.Schema.Names()), RemovedColumns: without(before.Dataset.Schema.Names(), after.Dataset.Schema.Names()),
	}
	common := without(after.Dataset.Schema.Names(), out.Rows.AddedColumns)
	d := &rowDifference{ctx: c.ctx, blobs: c.store.Blobs, columns: common, key: c.key(a, b, port, common), atOnce: rowsAtOnce}
	err = d.compare(out.Rows, before.Dataset, after.Dataset)
	if blob.Unavailable(err) {
		return out, name + " cannot be compared by rows, because some of its files are no longer in the store.", nil
	}
	return out, "", err
}

func without(names, others []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
}

// rowDifference compares the rows of two datasets by the columns that both have.
type rowDifference struct {
	ctx          context.Context
	blobs        *blob.Store
	columns, key []string
	// atOnce is how many rows are compared at a time.
	atOnce int64
}

// rowsAtOnce bounds the memory of a comparison to about 150 MB. The files of larger
// datasets are read several times.
const rowsAtOnce = 2 << 20

// rowCount is how much more often a row is in the later dataset.
type rowCount struct {
	more int32
	key  uint64
}

func (d *rowDifference) compare(out *Rows, before, after *dataset.Manifest) error {
	var added, removed, changed int64
	if len(d.columns) == 0 {
		added, removed = after.Rows, before.Rows
	} else {
		old, young := d.differing(before, after)
		parts := uint32((old.Rows+young.Rows)/d.atOnce) + 1
		for part := range parts {
			rows := map[[16]byte]rowCount{}
			for _, side := range []struct {
				of   *dataset.Manifest
				more int32
			}{{old, -1}, {young, 1}} {
				if err := d.count(rows, side.of, side.more, part, parts); err != nil {
					return err
				}
			}
			a, r, c := d.sum(rows)
			added, removed, changed = added+a, removed+r, changed+c
		}
	}
	out.Added, out.Removed = &added, &removed
	if len(d.key) > 0 {
		out.Key, out.Changed = d.key, &changed
	}
	return nil
}

// differing returns the datasets without the shards that both have.
func (d *rowDifference) differing(before, after *dataset.Manifest) (old, young *dataset.Manifest) {
	content := func(s dataset.Shard) string {
		digests := make([]string, len(d.columns))
		for i, name := range d.columns {
			column, _ := s.Column(name)
			digests[i] = column.Digest
		}
		return strings.Join(digests, " ")
	}
	in, shared := map[string]int{}, map[string]int{}
	for _, s := range before.Shards {
		in[content(s)]++
	}
	for _, s := range after.Shards {
		if id := content(s); in[id] > shared[id] {
			shared[id]++
		}
	}
	rest := func(m *dataset.Manifest) *dataset.Manifest {
		some, skip := *m, maps.Clone(shared)
		some.Shards, some.Rows = nil, 0
		for _, s := range m.Shards {
			if id := content(s); skip[id] > 0 {
				skip[id]--
				continue
			}
			some.Shards, some.Rows = append(some.Shards, s), some.Rows+s.Rows
		}
		return &some
	}
	return rest(before), rest(after)
}

// count counts the rows of one of several parts of a dataset, which are parts of its keys.
func (d *rowDifference) count(rows map[[16]byte]rowCount, m *dataset.Manifest, more int32, part, parts uint32) error {
	files, err := m.Files(d.blobs, d.columns)
	if err != nil {
		return err
	}
	for rec, err := range data.Read(d.ctx, files, d.columns, 0) {
		if err != nil {
			return err
		}
		whole, err := dataset.RowKeys(rec, d.columns, "")
		if err != nil {
			return err
		}
		keys := whole
		if len(d.key) > 0 {
			if keys, err = dataset.RowKeys(rec, d.key, ""); err != nil {
				return err
			}
		}
		for i, row := range whole {
			key := keys[i]
			if binary.BigEndian.Uint32(key[:4])%parts != part {
				continue
			}
			n := rows[row]
			if n.more += more; n.more == 0 {
				delete(rows, row)
				continue
			}
			n.key = binary.BigEndian.Uint64(key[8:])
			rows[row] = n
		}
	}
	return nil
}

func (d *rowDifference) sum(rows map[[16]byte]rowCount) (added, removed, changed int64) {
	if len(d.key) == 0 {
		for _, n := range rows {
			added, removed = added+int64(max(n.more, 0)), removed+int64(max(-n.more, 0))
		}
		return added, removed, 0
	}
	byKey := map[uint64][2]int64{}
	for _, n := range rows {
		k := byKey[n.key]
		byKey[n.key] = [2]int64{k[0] + int64(max(n.more, 0)), k[1] + int64(max(-n.more, 0))}
	}
	for _, k := range byKey {
		pairs := min(k[0], k[1])
		added, removed, changed = added+k[0]-pairs, removed+k[1]-pairs, changed+pairs
	}
	return added, removed, changed
}

// key returns the columns that identify the rows of a dataset: those that a contract
// found to be unique in both, or in what both were computed from, or else those that it
// has in common with the datasets that it was computed from. It returns nil if none are
// known.
func (c *comparer) key(a, b *state.Instance, port string, common []string) []string {
	usable := func(key []string) bool {
		return len(key) > 0 && len(key) < len(common) && len(without(key, common)) == 0
	}
	before := c.unique(0, a, port)
	for _, key := range c.unique(1, b, port) {
		if usable(key) && slices.ContainsFunc(before, func(k []string) bool { return slices.Equal(k, key) }) {
			return key
		}
	}
	inputs := c.inputColumns(a)
	for _, name := range c.inputColumns(b) {
		if !slices.Contains(inputs, name) {
			inputs = append(inputs, name)
		}
	}
	if key := slices.DeleteFunc(slices.Clone(common), func(name string) bool { return !slices.Contains(inputs, name) }); usable(key) {
		return key
	}
	return nil
}

// unique returns the columns that are unique according to the check of a contract of a
// dataset that a run left, or of one that it was computed from.
func (c *comparer) unique(run int, inst *state.Instance, port string) [][]string {
	at := datasetOf{run, inst.Address, port}
	if all, done := c.keys[at]; done {
		return all
	}
	var all [][]string
	if check, ok := inst.Contracts[(&plan.Contract{Output: port}).Violations()]; ok {
		all = uniqueBy(c.entry(check.Key))
	}
	if entry := c.entry(inst.ActionKey); entry != nil && len(all) == 0 {
		for _, in := range entry.Inputs {
			if from := c.left[run].instances[in.Address]; from != nil && in.Role == "" && from.ActionKey == in.Action {
				all = append(all, c.unique(run, from, in.Port)...)
			}
		}
	}
	c.keys[at] = all
	return all
}

// datasetOf is a dataset that a run left.
type datasetOf struct {
	run           int
	address, port string
}

// uniqueBy returns the columns that are unique according to a check.
func uniqueBy(check *action.Entry) [][]string {
	if check == nil {
		return nil
	}
	figures, err := contract.Load(check.Value)
	if err != nil {
		return nil
	}
	violated := map[string]bool{}
	for _, f := range figures {
		violated[f.Rule] = f.Violations > 0
	}
	var all [][]string
	for _, f := range check.Preimage.Fields() {
		rule, isRule := strings.CutPrefix(f.Name, "rule ")
		if text, ok := strings.CutPrefix(f.Value, "unique "); ok && isRule && !violated[rule] {
			all = append(all, quoted(text))
		}
	}
	return all
}

// quoted reads a list of quoted names.
func quoted(text string) []string {
	var names []string
	for text != "" {
		q, err := strconv.QuotedPrefix(text)
		if err != nil {
			return nil
		}
		name, err := strconv.Unquote(q)
		if err != nil {
			return nil
		}
		names = append(names, name)
		text = strings.TrimPrefix(text[len(q):], " ")
	}
	return names
}

// inputColumns returns the columns of the datasets that a result was computed from.
func (c *comparer) inputColumns(inst *state.Instance) []string {
	var names []string
	for _, m := range c.inputs(inst) {
		names = append(names, m.Dataset.Schema.Names()...)
	}
	return names
}

// inputs returns the datasets that a result was computed from, as far as they are in the
// store.
func (c *comparer) inputs(inst *state.Instance) []*artifact.Artifact {
	entry := c.entry(inst.ActionKey)
	if entry == nil {
		return nil
	}
	var all []*artifact.Artifact
	for _, in := range entry.Inputs {
		if in.Role != "" {
			continue
		}
		from := c.entry(in.Action)
		if from == nil || from.Outputs[in.Port].Kind != artifact.Dataset {
			continue
		}
		if a, err := artifact.Get(c.store.Blobs, from.Outputs[in.Port]); err == nil {
			all = append(all, a)
		}
	}
	return all
}

// entry returns the entry of an action, or nil if it is not in the store.
func (c *comparer) entry(key string) *action.Entry {
	if key == "" {
		return nil
	}
	entry, err := c.store.Actions.Get(key)
	if err != nil {
		return nil
	}
	return entry
}

// distinct counts the different rows of a dataset in some columns.
func (d *rowDifference) distinct(m *dataset.Manifest) (int64, error) {
	files, err := m.Files(d.blobs, d.columns)
	if err != nil {
		return 0, err
	}
	seen := map[[16]byte]bool{}
	for rec, err := range data.Read(d.ctx, files, d.columns, 0) {
		if err != nil {
			return 0, err
		}
		if err := addKeys(seen, rec, d.columns); err != nil {
			return 0, err
		}
	}
	return int64(len(seen)), nil
}

func addKeys(seen map[[16]byte]bool, rec arrow.RecordBatch, columns []string) error {
	keys, err := dataset.RowKeys(rec, columns, "")
	for _, key := range keys {
		seen[key] = true
	}
	return err
}
