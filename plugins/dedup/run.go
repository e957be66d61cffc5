package dedup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Run finds the groups and writes the outputs.
func (dedup) Run(ctx context.Context, r *plugin.Run[dedupArgs]) (err error) {
	if r.Args.Method == "substrings" {
		return runRepeated(ctx, r)
	}
	s, err := newScan(r)
	if err != nil {
		return err
	}
	if s.in.Rows >= math.MaxUint32 {
		return plugin.ArgumentErrorf("input", "The dataset is too large\nIt has %d rows, and transform \"dedup\" compares at most %d. Split it by a column whose values duplicates share.", s.in.Rows, uint32(math.MaxUint32)-1)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.all(ctx); err != nil {
		return err
	}
	all := newRowset(s.prints)
	g, err := s.groups(ctx, all)
	if err != nil {
		return err
	}
	w := &writing{scan: s, rows: all, groups: g}
	if err := w.rowsOut(ctx); err != nil {
		return err
	}
	return w.clustersOut(ctx)
}

// groups finds the groups.
func (s *scan) groups(ctx context.Context, all *rowset) (*groups, error) {
	e := &election{scan: s, rows: all}
	if err := e.rank(ctx); err != nil {
		return nil, err
	}
	if s.comparison == nil {
		return e.electEqual(ctx, partRows)
	}
	sets := newComponents(all.rows())
	copies := all.joinEqual(sets)
	if err := s.joinSimilar(ctx, all, sets, copies); err != nil {
		return nil, err
	}
	return e.elect(ctx, sets.several())
}

// writing writes what was found.
type writing struct {
	*scan
	rows *rowset
	*groups
}

// writtenRows is the number of rows in a message.
const writtenRows = 1 << 16

// rowsOut writes which rows are dropped, or the columns that describe groups.
func (w *writing) rowsOut(ctx context.Context) error {
	ids, err := w.ids(ctx)
	if err != nil {
		return err
	}
	total := w.rows.rows()
	for from := 0; from < total; from += writtenRows {
		to := min(total, from+writtenRows)
		if w.run.Args.Drop {
			keep := make([]bool, to-from)
			for i := range keep {
				keep[i] = true
			}
			for _, d := range w.from(from) {
				if int(d.row) >= to {
					break
				}
				keep[int(d.row)-from] = false
			}
			err = w.run.WriteSelected("", array.NewRecordBatch(arrow.NewSchema(nil, nil), nil, int64(to-from)), keep)
		} else {
			err = w.marks(from, to, ids)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ids reads the identities of the leaders of several rows. It returns nil if they have
// none but that of their group.
func (w *writing) ids(ctx context.Context) (map[uint32]*string, error) {
	if !w.run.Args.ID.IsSet() {
		return nil, nil
	}
	var leaders []uint32
	for _, d := range w.duplicates {
		leaders = append(leaders, d.leader)
	}
	slices.Sort(leaders)
	ids := map[uint32]*string{}
	err := w.each(ctx, slices.Compact(leaders), data.Arguments.Refs(w.run.Args.ID.Key), func(row uint32, rec arrow.RecordBatch, i int) error {
		ids[row] = nil
		if texts := rec.Column(0).(*array.String); !texts.IsNull(i) {
			id := strings.Clone(texts.Value(i))
			ids[row] = &id
		}
		return nil
	})
	return ids, err
}

// marks writes the columns of some rows.
func (w *writing) marks(from, to int, ids map[uint32]*string) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, markColumns.Arrow())
	defer b.Release()
	cluster, of, similarity := b.Field(0).(*array.StringBuilder), b.Field(1).(*array.StringBuilder), b.Field(2).(*array.Float64Builder)
	duplicates := w.from(from)
	for row := uint32(from); row < uint32(to); row++ {
		leader := row
		if len(duplicates) > 0 && duplicates[0].row == row {
			leader, duplicates = duplicates[0].leader, duplicates[1:]
		}
		name := w.rows.print(leader)
		if name == (digest{}) {
			b.Field(0).AppendNull()
			b.Field(1).AppendNull()
			b.Field(2).AppendNull()
			continue
		}
		cluster.Append(name.String())
		if leader == row {
			of.AppendNull()
			similarity.AppendNull()
			continue
		}
		switch id, named := ids[leader]; {
		case !named:
			of.Append(name.String())
		case id == nil:
			of.AppendNull()
		default:
			of.Append(*id)
		}
		s, ok := w.similarity[row]
		if !ok {
			s = 1
		}
		similarity.Append(s)
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	return w.run.Write("", rec)
}

// The largest groups are shown with the beginning of the text that is kept.
const (
	shownClusters   = 20
	shownCharacters = 200
)

// clustersOut writes the largest groups and the values.
func (w *writing) clustersOut(ctx context.Context) error {
	shown, clusters := w.largest()
	largest := int64(0)
	if len(shown) > 0 {
		largest = int64(shown[0].rows)
	}
	total, duplicates := int64(w.rows.rows()), int64(len(w.duplicates))
	w.run.SetValue(cty.ObjectVal(map[string]cty.Value{
		"input_rows": cty.NumberIntVal(total), "kept": cty.NumberIntVal(total - duplicates), "duplicates": cty.NumberIntVal(duplicates),
		"groups": cty.NumberIntVal(clusters), "largest": cty.NumberIntVal(largest),
	}))
	texts, err := w.texts(ctx, shown)
	if err != nil {
		return err
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, clusterColumns.Arrow())
	defer b.Release()
	for _, c := range shown {
		b.Field(0).(*array.StringBuilder).Append(w.rows.print(c.leader).String())
		b.Field(1).(*array.Int64Builder).Append(int64(c.rows))
		if text, ok := texts[c.leader]; ok {
			b.Field(2).(*array.StringBuilder).Append(text)
		} else {
			b.Field(2).AppendNull()
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	return w.run.Write("clusters", rec)
}

// cluster is a group of several rows.
type cluster struct{ leader, rows uint32 }

// largest returns the largest clusters, and the number of all.
func (w *writing) largest() (shown []cluster, all int64) {
	compare := func(a, b cluster) int {
		if a.rows != b.rows {
			return cmp.Compare(b.rows, a.rows)
		}
		return w.rows.print(a.leader).compare(w.rows.print(b.leader))
	}
	leaders := make([]uint32, len(w.duplicates))
	for i, d := range w.duplicates {
		leaders[i] = d.leader
	}
	slices.Sort(leaders)
	for from := 0; from < len(leaders); all++ {
		c := cluster{leaders[from], 1}
		for ; from < len(leaders) && leaders[from] == c.leader; from++ {
			c.rows++
		}
		if at, _ := slices.BinarySearchFunc(shown, c, compare); at < shownClusters {
			shown = slices.Insert(shown, at, c)
			shown = shown[:min(len(shown), shownClusters)]
		}
	}
	return shown, all
}

// textsFile has the texts of the groups that were shown, as a JSON object by group.
const textsFile = "texts"

// texts returns the beginnings of what was compared. It reads only those that the last
// run did not show.
func (w *writing) texts(ctx context.Context, clusters []cluster) (map[uint32]string, error) {
	shows := w.compared
	if text := w.run.Args.Text; text.IsSet() {
		shows.Name = text.Key
	}
	var known map[string]string
	if shows == w.compared { // other values do not depend on the group alone
		var err error
		if known, err = w.knownTexts(); err != nil {
			return nil, err
		}
	}
	var missing []uint32
	out, shown := map[uint32]string{}, map[string]string{}
	for _, c := range clusters {
		if text, ok := known[w.rows.print(c.leader).String()]; ok {
			out[c.leader] = text
		} else {
			missing = append(missing, c.leader)
		}
	}
	slices.Sort(missing)
	err := w.each(ctx, missing, []data.Ref{shows}, func(row uint32, rec arrow.RecordBatch, i int) error {
		if rec.Column(0).IsNull(i) {
			return nil
		}
		if texts, ok := rec.Column(0).(*array.String); ok {
			out[row] = beginning(texts.Value(i))
			return nil
		}
		out[row] = beginning(fmt.Sprint(rec.Column(0).GetOneForMarshal(i)))
		return nil
	})
	if err != nil {
		return nil, err
	}
	for leader, text := range out {
		shown[w.rows.print(leader).String()] = text
	}
	content, err := json.Marshal(shown)
	if err != nil {
		return nil, err
	}
	return out, w.files.put(textsFile, content)
}

// knownTexts returns the texts that the last run showed.
func (w *writing) knownTexts() (map[string]string, error) {
	content, err := w.files.read(textsFile)
	if err != nil || content == nil {
		return nil, err
	}
	var known map[string]string
	return known, json.Unmarshal(content, &known)
}

// beginning returns the first characters of a text, as valid UTF-8.
func beginning(text string) string {
	n := 0
	for i := range text {
		if n++; n > shownCharacters {
			return strings.ToValidUTF8(text[:i], "\uFFFD") + "…"
		}
	}
	return strings.Clone(strings.ToValidUTF8(text, "\uFFFD"))
}
