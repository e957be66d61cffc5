package estimate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/disk"
)

// previewBytes is how much of a source is read to forecast what depends on it.
// A smaller source is read completely, and its rows are counted.
const previewBytes = 16 << 20

const (
	// keptRows bounds the rows of a preview that are kept, separately for new
	// rows and for the others. keptBytes bounds their approximate size.
	keptRows  = 2048
	keptBytes = 4 << 20
	// comparedRows bounds the rows of a dataset among which the rows of another
	// one are looked up.
	comparedRows = 1 << 20
)

// preview is what is known about a source before it is read. It is cached in
// the store, so that quern reads from a source only once as long as it does not
// change.
type preview struct {
	// Key identifies what the preview was computed from: the instance as its
	// plugin sees it, the current content of the source, and the content when
	// it was last read.
	Key, Fingerprint string
	Rows, Fresh      float64
	// Exact is set if Rows and Fresh were counted.
	Exact bool
	// Size and BeforeSize are the sizes of the source and of an earlier version
	// of it, in the source's own unit.
	Size, BeforeSize int64
	Before           string // fingerprint of that version
	// Sample is a batch of some of the rows, Weights are the numbers of rows
	// that each represents, and IsFresh tells which of them are new.
	Sample  []byte
	Weights []float64
	IsFresh []bool
	// Proxy is set if new rows were not read and others represent them.
	Proxy bool
}

// forecastSource previews a source. It returns nil if that is not possible.
func (e *forecaster) forecastSource(n *module.Instance, port *plan.Port) *forecast {
	question := e.noted(n).question
	if !e.Refresh || n.Fingerprint == "" || question == "" {
		return nil
	}
	before := e.priorDataset(n.Address, port.Name)
	key := question + " " + n.Fingerprint + " "
	if before != nil {
		key += e.Prior[n.Address].Outputs[port.Name].Digest
	}
	path := e.previewPath(n)
	kept := readPreview(path)
	if kept == nil || kept.Key != key {
		if e.glances && before != nil {
			return nil // comparing its rows with those that it had takes too long
		}
		p := e.preview(n, port, before, kept)
		if p == nil {
			return nil
		}
		p.Key, p.Fingerprint = key, n.Fingerprint
		if _, secrets := n.Body.Refs(); len(secrets) == 0 && !e.glances {
			keepPreview(path, p)
		}
		kept = p
	}
	rows, err := data.DecodeBatch(kept.Sample)
	if err != nil {
		return nil
	}
	return &forecast{
		rows: kept.spread(kept.Rows), fresh: kept.spread(kept.Fresh), exact: kept.Exact, proxy: kept.Proxy,
		sample: func() sample { return sample{rows: rows, weights: kept.Weights, isFresh: kept.IsFresh} },
	}
}

// spread returns the range of a number of rows. A source that grew may have changed
// in its middle, too.
func (p *preview) spread(rows float64) spread {
	if p.Exact {
		return exactly(rows)
	}
	return exactly(rows).within(unreadLow, unreadHigh)
}

// preview asks the plugin for rows and compares them with the rows that the
// source had. earlier is the preview before this one.
func (e *forecaster) preview(n *module.Instance, port *plan.Port, before *dataset.Manifest, earlier *preview) *preview {
	batches, count, err := e.askPreview(n, port)
	if err != nil || count == nil {
		return nil // an estimate does not report errors
	}
	p := &preview{Rows: float64(count.Rows), Exact: count.Exact, Size: count.Size}
	if prior := e.Prior[n.Address]; earlier != nil && prior != nil {
		switch prior.Fingerprint {
		case earlier.Fingerprint:
			p.Before, p.BeforeSize = earlier.Fingerprint, earlier.Size
		case earlier.Before:
			p.Before, p.BeforeSize = earlier.Before, earlier.BeforeSize
		}
	}
	rows, err := data.Concat(port.Columns.Arrow(), batches)
	if err != nil {
		return nil
	}
	var known map[rowKey]bool
	if before != nil && before.Schema.Equal(port.Columns) {
		known = e.rowsOfDataset(before, port.Columns.Names())
	}
	fresh, old := apart(rows, port.Columns.Names(), known)
	p.count(before, known, len(fresh), len(old))
	if err := p.choose(rows, fresh, old); err != nil {
		return nil
	}
	return p
}

// count extrapolates the number of rows, and of new rows, from those that were
// read.
func (p *preview) count(before *dataset.Manifest, known map[rowKey]bool, fresh, old int) {
	// The growth of the source says more than some of its rows do, unless its
	// content is entirely different.
	grown := before != nil && p.BeforeSize > 0 && 10*max(p.Size-p.BeforeSize, p.BeforeSize-p.Size) < p.Size
	if !p.Exact && grown {
		p.Rows = math.Round(float64(before.Rows) * float64(p.Size) / float64(p.BeforeSize))
	}
	p.Fresh = p.Rows
	if known == nil {
		return
	}
	seen, counted := float64(fresh+old), p.Exact
	p.Exact = counted && p.Rows == seen
	p.Fresh = p.Rows * float64(fresh) / max(seen, 1)
	if p.Rows > seen && (counted || grown) {
		p.Fresh = max(p.Fresh, p.Rows-float64(before.Rows))
	}
}

// choose keeps some of the new rows and some of the others, evenly spaced.
func (p *preview) choose(rows arrow.RecordBatch, fresh, old []int) error {
	most := keptRows
	if rows.NumRows() > 0 {
		mean := batchBytes(rows)/rows.NumRows() + 1
		most = int(max(min(keptRows, keptBytes/mean), sampledShards))
	}
	someFresh, someOld := evenly(fresh, most), evenly(old, most)
	if len(someFresh) == 0 && p.Fresh > 0 {
		someFresh, p.Proxy = someOld, true
	}
	chosen := append(append([]int{}, someFresh...), someOld...)
	for i := range chosen {
		isFresh := i < len(someFresh)
		weight := (p.Rows - p.Fresh) / float64(max(len(someOld), 1))
		if isFresh {
			weight = p.Fresh / float64(len(someFresh))
		}
		p.Weights, p.IsFresh = append(p.Weights, weight), append(p.IsFresh, isFresh)
	}
	sample, err := pickRows(rows, chosen)
	if err != nil {
		return err
	}
	p.Sample, err = data.EncodeBatch(sample)
	return err
}

// askPreview asks the plugin for some of a source's rows. If there is neither
// an error nor a count, the plugin declined.
func (e *forecaster) askPreview(n *module.Instance, port *plan.Port) ([]arrow.RecordBatch, *pluginv1.RowCount, error) {
	bound, ok := e.boundAgain(n)
	if !ok {
		return nil, nil, nil
	}
	in, err := bound.Instance(n.Node, nil)
	if err != nil {
		return nil, nil, err
	}
	service, err := e.Processes.Service(n.Plugin)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(e.Context)
	defer cancel()
	stream, err := service.Preview(ctx, &pluginv1.PreviewRequest{Instance: in, Bytes: e.bytes})
	if err != nil {
		return nil, nil, err
	}
	var rows []arrow.RecordBatch
	var count *pluginv1.RowCount
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return rows, count, nil
		}
		if err != nil {
			return nil, nil, err
		}
		switch e := resp.Event.(type) {
		case *pluginv1.ReadResponse_Rows:
			rec, err := data.DecodeBatch(e.Rows)
			if err == nil {
				rec, err = data.Conform(rec, port.Columns.Arrow())
			}
			if err != nil {
				return nil, nil, err
			}
			rows = append(rows, rec)
		case *pluginv1.ReadResponse_Count:
			count = e.Count
		case *pluginv1.ReadResponse_Diagnostic:
			if e.Diagnostic.Severity != pluginv1.Diagnostic_SEVERITY_WARNING {
				return nil, nil, errors.New(e.Diagnostic.Summary)
			}
		}
	}
}

// boundAgain returns the configuration of a decided instance. It returns false
// if the configuration waits for values of other stages.
func (e *forecaster) boundAgain(n *module.Instance) (*plan.Bound, bool) {
	refs, names := n.Body.Refs()
	if len(refs) > 0 {
		return nil, false
	}
	bound, diags := n.Body.Bind(e.secrets.With(nil, names))
	return bound, !diags.HasErrors()
}

// priorDataset returns the dataset in the state, or nil if there is none.
func (e *forecaster) priorDataset(address, port string) *dataset.Manifest {
	prior := e.Prior[address]
	if prior == nil {
		return nil
	}
	ref, ok := prior.Outputs[port]
	if !ok {
		return nil
	}
	a, err := artifact.Get(e.Store.Blobs, ref)
	if err != nil {
		return nil
	}
	return a.Dataset
}

// rowKey identifies the values of a row.
type rowKey = [16]byte

// rowsOfDataset returns the keys of all rows of a dataset, or nil if there are
// too many or they cannot be read.
func (e *forecaster) rowsOfDataset(m *dataset.Manifest, columns []string) map[rowKey]bool {
	if m.Rows > comparedRows {
		return nil
	}
	shards, err := m.Files(e.Store.Blobs, columns)
	if err != nil {
		return nil
	}
	known := make(map[rowKey]bool, m.Rows)
	for rec, err := range data.Read(e.Context, shards, columns, 0) {
		if err != nil {
			return nil
		}
		keys, err := dataset.RowKeys(rec, columns, "")
		if err != nil {
			return nil
		}
		for _, k := range keys {
			known[k] = true
		}
	}
	return known
}

// apart separates the rows that are known from those that are not.
func apart(rec arrow.RecordBatch, columns []string, known map[rowKey]bool) (fresh, old []int) {
	var keys [][16]byte
	if known != nil {
		keys, _ = dataset.RowKeys(rec, columns, "") // without them, all rows are new
	}
	for i := range int(rec.NumRows()) {
		if i < len(keys) && known[keys[i]] {
			old = append(old, i)
		} else {
			fresh = append(fresh, i)
		}
	}
	return fresh, old
}

// evenly returns at most that many rows, evenly spaced.
func evenly(rows []int, most int) []int {
	if len(rows) <= most {
		return rows
	}
	some := make([]int, most)
	for i := range some {
		some[i] = rows[i*len(rows)/most]
	}
	return some
}

// pickRows returns a batch with some rows of another.
func pickRows(rec arrow.RecordBatch, rows []int) (arrow.RecordBatch, error) {
	var runs []arrow.RecordBatch
	for start := 0; start < len(rows); {
		end := start + 1
		for end < len(rows) && rows[end] == rows[end-1]+1 {
			end++
		}
		runs = append(runs, rec.NewSlice(int64(rows[start]), int64(rows[end-1]+1)))
		start = end
	}
	return data.Concat(rec.Schema(), runs)
}

func batchBytes(rec arrow.RecordBatch) int64 {
	total := int64(0)
	for _, c := range rec.Columns() {
		total += int64(c.Data().SizeInBytes())
	}
	return total
}

func (e *forecaster) previewPath(n *module.Instance) string {
	name := sha256.Sum256([]byte(e.Environment + "\n" + n.Address))
	return filepath.Join(e.Store.Cache(), "previews", hex.EncodeToString(name[:16]))
}

// readPreview reads a preview. It returns nil if there is none or it cannot be
// read.
func readPreview(path string) *preview {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	p := &preview{}
	if gob.NewDecoder(bytes.NewReader(content)).Decode(p) != nil {
		return nil
	}
	return p
}

// keepPreview writes a preview. Failing to write it does no harm.
func keepPreview(path string, p *preview) {
	var content bytes.Buffer
	if gob.NewEncoder(&content).Encode(p) != nil || os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return
	}
	_ = disk.NewSyncer().Publish(path, &content, 0o600)
}
