package finetune

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/importers"
	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/format"
)

// Pipeline returns the pipeline, with what was found in the folder of the
// configuration.
func (r *Recipe) Pipeline(folder *config.Folder) (*importers.Pipeline, error) {
	slices.SortStableFunc(folder.Findings, func(a, b importers.Finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	folder.Findings = slices.Compact(folder.Findings)
	name := r.Name + ".quern.hcl"
	src, diags := format.Source([]byte(r.text(folder.Findings)), name)
	if diags.HasErrors() {
		return nil, diag.Failed("the import created an invalid pipeline, which is a bug in quern", "%w", diags)
	}
	return &importers.Pipeline{
		Name: r.Name, Files: []importers.File{{Name: name, Data: src}}, Findings: folder.Findings, Empty: len(r.Data) == 0,
		Counts: []importers.Count{{Of: "dataset", N: len(r.Data) + len(r.Validation)}},
	}, nil
}

// text returns the pipeline as HCL that is not formatted.
func (r *Recipe) text(findings []importers.Finding) string {
	w := &hcltext.Writer{}
	w.Comment("Imported from " + r.Tool + "'s " + r.File + ".")
	lost := slices.DeleteFunc(slices.Clone(findings), func(f importers.Finding) bool { return f.Severity != importers.Lost })
	for i, line := range importers.Lines(lost) {
		if i == 0 {
			w.Comment("\nNot imported:")
		}
		w.Comment("  " + line)
	}
	w.Line("")
	w.Block("quern", func() {
		w.Block("required_plugins", func() { w.Attr("hf", `{ source = "hf" }`) })
	})
	for _, d := range slices.Concat(r.Data, r.Validation) {
		w.Line("")
		d.writeSource(w)
	}
	data := r.writeData(w)
	w.Line("")
	r.writeBase(w)
	w.Line("")
	r.writeStage(w, data)
	return w.String()
}

func (d Dataset) writeSource(w *hcltext.Writer) {
	w.Block(fmt.Sprintf("source %q %q", d.Format, d.Name), func() { d.Source.write(w) })
}

func (a Attributes) write(w *hcltext.Writer) {
	for _, at := range a {
		w.Attr(at.Name, at.Text)
	}
}

// read is a dataset of the pipeline and what the training stage reads of its
// rows.
type read struct {
	address string
	columns Attributes
}

// parts are what the training stage trains and evaluates on.
type parts struct{ train, validation *read }

// writeData writes the stages between the sources and the training stage.
func (r *Recipe) writeData(w *hcltext.Writer) parts {
	train := gather(w, "training", r.Data)
	switch {
	case len(r.Validation) > 0:
		return parts{train, gather(w, "validation", r.Validation)}
	case r.Holdout > 0 && train != nil:
		w.Line("")
		w.Block(`transform "split" "parts"`, func() {
			w.Attr("input", train.address)
			w.Attr("shares", fmt.Sprintf("{ train = %s, validation = %s }", share(1-r.Holdout), share(r.Holdout)))
		})
		return parts{&read{"transform.parts.train", train.columns}, &read{"transform.parts.validation", train.columns}}
	}
	return parts{train, nil}
}

// share writes a share without the noise of binary fractions.
func share(f float64) string { return strconv.FormatFloat(math.Round(f*1e9)/1e9, 'f', -1, 64) }

// gather returns the rows of datasets as one dataset. If there are several, each
// is mapped to the columns that the training stage reads, and SQL puts them one
// after another.
func gather(w *hcltext.Writer, name string, data []Dataset) *read {
	switch {
	case len(data) == 0:
		return nil
	case len(data) == 1:
		return &read{data[0].limited(w, "source."+data[0].Name), data[0].Columns}
	}
	var inputs, selects []string
	columns := data[0].Columns.names()
	slices.Sort(columns)
	for _, d := range data {
		address := d.limited(w, "source."+d.Name)
		w.Line("")
		w.Block(fmt.Sprintf(`transform "map" %q`, d.Name), func() {
			w.Attr("input", address)
			w.Line("columns = {")
			for _, c := range d.Columns {
				w.Line("  " + hcltext.Key(c.Name) + " = " + c.Text)
			}
			w.Line("}")
		})
		inputs = append(inputs, fmt.Sprintf("%s = transform.%s", d.Name, d.Name))
		selects = append(selects, fmt.Sprintf("select %s from %s", strings.Join(columns, ", "), d.Name))
	}
	w.Line("")
	w.Block(fmt.Sprintf(`transform "sql" %q`, name), func() {
		w.Attr("inputs", hcltext.Bracket("{", inputs, "}", ""))
		w.Line("query = <<-SQL")
		for i, s := range selects {
			if i > 0 {
				w.Line("  union all")
			}
			w.Line("  " + s)
		}
		w.Line("SQL")
	})
	all := &read{address: "transform." + name}
	for _, c := range columns {
		all.columns.Set(c, "row."+c)
	}
	return all
}

// limited writes a stage that takes the first rows, if not all are used.
func (d Dataset) limited(w *hcltext.Writer, address string) string {
	if d.Rows == 0 {
		return address
	}
	w.Line("")
	w.Block(fmt.Sprintf(`transform "sql" "%s_first"`, d.Name), func() {
		w.Attr("inputs", fmt.Sprintf("{ %s = %s }", d.Name, address))
		w.Attr("query", hcltext.Quote(fmt.Sprintf("select * from %s limit %d", d.Name, d.Rows)))
	})
	return "transform." + d.Name + "_first"
}

func (r *Recipe) writeBase(w *hcltext.Writer) {
	w.Block(`model "hf" "base"`, func() {
		if r.Base.Path != "" {
			w.Attr("path", hcltext.Quote(r.Base.Path))
			return
		}
		w.Attr("repo", hcltext.Quote(r.Base.Repo))
		if r.Base.Revision != "" {
			w.Attr("revision", hcltext.Quote(r.Base.Revision))
		}
	})
}

func (r *Recipe) writeStage(w *hcltext.Writer, data parts) {
	w.Block(fmt.Sprintf("train %q %q", r.Type, r.Name), func() {
		w.Attr("base", "model.base")
		if data.train != nil {
			w.Attr("dataset", data.train.address)
			data.train.columns.write(w)
		}
		w.Line("")
		r.Arguments.write(w)
		if data.validation != nil {
			w.Line("")
			w.Block("validation", func() {
				w.Attr("dataset", data.validation.address)
				data.validation.columns.write(w)
				r.Evaluation.write(w)
			})
		}
		if r.LoRA != nil {
			w.Line("")
			w.Block("lora", func() { r.LoRA.write(w) })
		}
	})
}

// Relative returns a path as the pipeline writes it: relative to its folder if
// that is possible.
func Relative(path, into string) string {
	from, err1 := filepath.Abs(into)
	to, err2 := filepath.Abs(path)
	if err1 != nil || err2 != nil {
		return path
	}
	rel, err := filepath.Rel(from, to)
	if err != nil {
		return path
	}
	return filepath.ToSlash(rel)
}
