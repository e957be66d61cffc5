package inspect

import (
	"context"
	"crypto/sha1"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
)

// Producer is what OpenLineage events say about where they come from.
type Producer struct {
	// Namespace of jobs and datasets.
	Namespace string
	// Repository is the URL of the Git repository of the configuration, or empty if
	// it is not known.
	Repository string
	// Version of quern.
	Version string
}

// openLineage is where the schemas of OpenLineage are, and producer identifies quern
// in events.
const (
	openLineage = "https://openlineage.io/spec/"
	producer    = "https://github.com/quern-dev/quern"
)

// Event is a RunEvent of OpenLineage.
type Event struct {
	EventTime string  `json:"eventTime"`
	EventType string  `json:"eventType"`
	Producer  string  `json:"producer"`
	SchemaURL string  `json:"schemaURL"`
	Run       runRef  `json:"run"`
	Job       job     `json:"job"`
	Inputs    []input `json:"inputs"`
	Outputs   []input `json:"outputs"`
}

type runRef struct {
	RunID  string           `json:"runId"`
	Facets map[string]facet `json:"facets,omitempty"`
}

type job struct {
	Namespace string           `json:"namespace"`
	Name      string           `json:"name"`
	Facets    map[string]facet `json:"facets,omitempty"`
}

// input is a dataset that a job reads or, with outputFacets, writes.
type input struct {
	Namespace    string           `json:"namespace"`
	Name         string           `json:"name"`
	Facets       map[string]facet `json:"facets,omitempty"`
	OutputFacets map[string]facet `json:"outputFacets,omitempty"`
}

// facet is a part of the description of a run, job, or dataset.
type facet map[string]any

// newFacet returns a facet of a schema, such as 1-2-0/SchemaDatasetFacet.
func newFacet(schema string, members facet) facet {
	_, name, _ := strings.Cut(schema, "/")
	members["_producer"], members["_schemaURL"] = producer, openLineage+"facets/"+schema+".json#/$defs/"+name
	return members
}

// OpenLineage returns a lineage as RunEvents of OpenLineage: a START and a COMPLETE
// for each action and deployment, each after what it came from. Actions that the
// store no longer has are left out.
func OpenLineage(ctx context.Context, s *store.Store, root *Ancestor, by Producer) ([]Event, error) {
	w := &eventWriter{Producer: by, derivations: derivations{ctx: ctx, descent: descent{store: s, seen: map[string]bool{}, commits: commits{store: s}}}}
	return w.events, w.add(root)
}

type eventWriter struct {
	Producer
	derivations
	events []Event
}

// add adds the events of a result after those of what it came from.
func (w *eventWriter) add(a *Ancestor) error {
	if a.Repeated || a.Missing || a.Action == "" && a.Run == "" {
		return nil
	}
	for _, from := range a.From {
		if err := w.add(from); err != nil {
			return err
		}
	}
	r, err := w.result(a.Address, a.Action)
	if err != nil {
		return err
	}
	if r.entry == nil { // a deployment or a gate
		r.entry = &action.Entry{Address: a.Address, Created: a.updated, Run: a.Run, Inputs: a.inputs}
	}
	return w.action(r)
}

// action adds the events of an action.
func (w *eventWriter) action(r *result) error {
	e := r.entry
	inputs, err := w.inputs(r)
	if err != nil {
		return err
	}
	outputs, err := w.outputs(r)
	if err != nil {
		return err
	}
	start := Event{
		EventTime: stamp(e.Created.Add(-time.Duration(e.Seconds * float64(time.Second)))), EventType: "START",
		Producer: producer, SchemaURL: openLineage + "2-0-2/OpenLineage.json#/$defs/RunEvent",
		Run: runRef{uuid("action", r.address, r.key, e.Run), w.runFacets(e)}, Job: w.job(r), Inputs: inputs, Outputs: []input{},
	}
	complete := start
	complete.EventTime, complete.EventType, complete.Outputs = stamp(e.Created), "COMPLETE", outputs
	w.events = append(w.events, start, complete)
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// uuid returns the UUID of version 5 of a name, so that the same result has the same
// ID in all events.
func uuid(parts ...string) string {
	h := sha1.Sum([]byte(producer + "\n" + strings.Join(parts, "\n")))
	b := h[:16]
	b[6], b[8] = b[6]&0x0f|0x50, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (w *eventWriter) runFacets(e *action.Entry) map[string]facet {
	version := w.Version
	if run := w.commits.run(e.Run); run != nil {
		version = run.QuernVersion
	}
	facets := map[string]facet{
		"processing_engine": newFacet("1-1-1/ProcessingEngineRunFacet", facet{"name": "quern", "version": version}),
	}
	if e.Run != "" {
		facets["parent"] = newFacet("1-2-0/ParentRunFacet", facet{
			"run": facet{"runId": uuid("run", e.Run)}, "job": facet{"namespace": w.Namespace, "name": "quern apply"},
		})
	}
	return facets
}

func (w *eventWriter) job(r *result) job {
	facets := map[string]facet{
		"jobType": newFacet("2-0-4/JobTypeJobFacet", facet{"processingType": "BATCH", "integration": "QUERN", "jobType": "TASK"}),
	}
	for _, f := range r.entry.Preimage.Fields() {
		if f.Name == "argument query" && r.entry.Plugin.Name == "sql" {
			facets["sql"] = newFacet("1-1-0/SQLJobFacet", facet{"query": f.Value, "dialect": "duckdb"})
		}
	}
	if commit, _ := w.commits.of(r.entry.Run); commit != "" && w.Repository != "" {
		facets["sourceCodeLocation"] = newFacet("1-1-0/SourceCodeLocationJobFacet", facet{"type": "git", "url": w.Repository, "repoUrl": w.Repository, "version": commit})
	}
	return job{w.Namespace, r.address, facets}
}

// inputs returns what an action read: artifacts, or the files of a source.
func (w *eventWriter) inputs(r *result) ([]input, error) {
	all := []input{}
	if isSource(r.entry) {
		parts, err := w.parts(r.entry)
		for _, p := range parts {
			if p.name != "" {
				all = append(all, input{Namespace: "file", Name: p.name, Facets: map[string]facet{
					"dataSource":  newFacet("1-0-1/DatasourceDatasetFacet", facet{"name": "file", "uri": "file:///"}),
					"datasetType": newFacet("1-0-1/DatasetTypeDatasetFacet", facet{"datasetType": "FILE"}),
				}})
			}
		}
		return all, err
	}
	seen := map[string]bool{}
	for _, in := range r.entry.Inputs {
		of, err := w.origin(in)
		if err != nil {
			return nil, err
		}
		name := fieldName(of.address, in.Port)
		if in.Role != "" || of.entry == nil || seen[name] {
			continue
		}
		seen[name] = true
		dataset, err := w.dataset(of.address, in.Port, of.entry.Outputs[in.Port])
		if err != nil {
			return nil, err
		}
		all = append(all, dataset)
	}
	return all, nil
}

func fieldName(address, port string) string { return strings.TrimSuffix(address+"."+port, ".") }

// outputs returns what an action produced.
func (w *eventWriter) outputs(r *result) ([]input, error) {
	all := []input{}
	for _, port := range slices.Sorted(maps.Keys(r.entry.Outputs)) {
		if isSource(r.entry) && port == "parts" {
			continue
		}
		ref := r.entry.Outputs[port]
		out, err := w.dataset(r.address, port, ref)
		if err != nil {
			return nil, err
		}
		m, err := w.manifest(ref)
		if err != nil {
			return nil, err
		}
		if m != nil {
			out.OutputFacets = map[string]facet{"outputStatistics": newFacet("1-0-2/OutputStatisticsOutputDatasetFacet", facet{
				"rowCount": m.Rows, "size": m.Bytes(), "fileCount": len(m.Blobs()),
			})}
			if !isSource(r.entry) {
				if out.Facets["columnLineage"], err = w.columnLineage(r, port, m); err != nil {
					return nil, err
				}
			}
		}
		all = append(all, out)
	}
	return all, nil
}

// types are the dataset types of artifacts.
var types = map[string]string{artifact.Dataset: "TABLE", artifact.Model: "MODEL", artifact.Report: "JOB_OUTPUT"}

// dataset describes an artifact.
func (w *eventWriter) dataset(address, port string, ref artifact.Ref) (input, error) {
	facets := map[string]facet{
		"version":     newFacet("1-0-1/DatasetVersionDatasetFacet", facet{"datasetVersion": ref.Digest}),
		"dataSource":  newFacet("1-0-1/DatasourceDatasetFacet", facet{"name": w.Namespace}),
		"datasetType": newFacet("1-0-1/DatasetTypeDatasetFacet", facet{"datasetType": types[ref.Kind]}),
	}
	m, err := w.manifest(ref)
	if err != nil {
		return input{}, err
	}
	if m != nil {
		fields := make([]facet, len(m.Schema))
		for i, c := range m.Schema {
			fields[i] = facet{"name": c.Name, "type": c.Type, "ordinal_position": i + 1}
		}
		facets["schema"] = newFacet("1-2-0/SchemaDatasetFacet", facet{"fields": fields})
	}
	return input{Namespace: w.Namespace, Name: fieldName(address, port), Facets: facets}, nil
}

// columnLineage returns which columns of inputs each column comes from.
func (w *eventWriter) columnLineage(r *result, port string, m *dataset.Manifest) (facet, error) {
	inputs, fields := keyed(r.entry), facet{}
	refs := func(all []action.ColumnRef, inexact, indirect bool) ([]facet, error) {
		out := []facet{}
		for _, c := range all {
			in := inputs[c.Input]
			of, err := w.origin(in)
			if err != nil {
				return nil, err
			}
			if c.Column != "" && of.entry != nil {
				out = append(out, facet{"namespace": w.Namespace, "name": fieldName(of.address, in.Port), "field": c.Column, "transformations": []facet{transformation(c, inexact, indirect)}})
			}
		}
		return out, nil
	}
	for _, column := range m.Schema.Names() {
		sources, err := w.sources(r, port, column, m)
		if err != nil {
			return nil, err
		}
		from, err := refs(sources.From, sources.Inexact, false)
		if err != nil {
			return nil, err
		}
		fields[column] = facet{"inputFields": from}
	}
	members := facet{"fields": fields}
	if d := r.entry.Derivations[port]; d != nil && d.Rows != nil {
		rows, err := refs(d.Rows.From, d.Rows.Inexact, true)
		if err != nil {
			return nil, err
		}
		members["dataset"] = rows
	}
	return newFacet("1-2-0/ColumnLineageDatasetFacet", members), nil
}

// transformation says how a column contributes.
func transformation(c action.ColumnRef, inexact, indirect bool) facet {
	t := facet{"type": "DIRECT", "subtype": "TRANSFORMATION"}
	switch {
	case indirect:
		return facet{"type": "INDIRECT"}
	case c.Unchanged:
		t["subtype"] = "IDENTITY"
	}
	if inexact {
		t["description"] = "The values may come from this column; it is only known that they come from no other."
	}
	return t
}
