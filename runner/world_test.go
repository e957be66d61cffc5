package runner_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// world is what the test plugin's types look at and what it notes about their
// work. Its types are served through the real protocol.
type world struct {
	mu      sync.Mutex
	sources map[string][]string
	shelves map[string]string // what is on each: a digest
	calls   map[string]int
	changes []string // of the shelves, in order

	mapped atomic.Int64 // rows that reached label "upper"
	// Hooks; nil: nothing.
	onMap   func(text string) error
	onRun   func(ctx context.Context, workDir string) error
	onApply func() error
	onState func(*plugin.DeploymentState)
	onChat  func(ctx context.Context, text string) (*llm.Response, error)
}

func newWorld() *world {
	return &world{sources: map[string][]string{}, shelves: map[string]string{}, calls: map[string]int{}}
}

func (w *world) called(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[what]++
}

// changed notes a change of the shelves.
func (w *world) changed(how string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes = append(w.changes, how)
}

// taken returns how often something was called since the last time.
func (w *world) taken(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.calls[what]
	delete(w.calls, what)
	return n
}

func (w *world) set(path string, lines ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sources[path] = lines
}

// source returns a source's lines; those of an absolute path are in a file, so
// that several processes see the same.
func (w *world) source(path string) []string {
	if filepath.IsAbs(path) {
		text, err := os.ReadFile(path)
		if err != nil {
			panic(err)
		}
		return strings.Split(string(text), "\n")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sources[path]
}

// put puts a digest on a shelf; one with an absolute path is a file.
func (w *world) put(place, digest string) error {
	if filepath.IsAbs(place) {
		return os.WriteFile(place, []byte(digest), 0o666)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shelves[place] = digest
	return nil
}

func (w *world) get(place string) (digest string, ok bool) {
	if filepath.IsAbs(place) {
		text, err := os.ReadFile(place)
		return string(text), err == nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	digest, ok = w.shelves[place]
	return digest, ok
}

func (w *world) types() []plugin.Type {
	info := func(kind, name string) plugin.Info { return plugin.Info{Kind: kind, Name: name, BehaviorVersion: 1} }
	return []plugin.Type{
		plugin.NewSource(info(plugin.KindSource, "lines"), &lines{w}),
		plugin.NewMapper(info(plugin.KindTransform, "map"), mapRows{}),
		plugin.NewRunner(info(plugin.KindTransform, "longest"), &longest{w}),
		plugin.NewMapper(info(plugin.KindLabel, "upper"), &upper{w}),
		plugin.NewRunner(info(plugin.KindTrain, "first"), &first{w}),
		plugin.NewRunner(info(plugin.KindEvaluate, "score"), &score{w}),
		plugin.NewDeployment(info(plugin.KindDeploy, "shelf"), &shelf{w}),
		plugin.NewProvider(info("", "told"), &toldModel{w}),
		plugin.NewMapper(info(plugin.KindLabel, "asked"), &asked{}),
		plugin.NewRunner(info(plugin.KindEvaluate, "quiz"), &quiz{}),
		plugin.NewRunner(info(plugin.KindEvaluate, "http_quiz"), &httpQuiz{}),
		plugin.NewMapper(info(plugin.KindTransform, "scripted"), &scripted{w}),
	}
}

// lines is a source of rows with an id and a text. A line that begins with
// "!" is quarantined.
type lines struct{ w *world }

type linesArgs struct {
	Path string `quern:"path,required,operational" doc:"Where the lines are."`
}

var linesSchema = data.Schema{{Name: "id", Type: "int64"}, {Name: "text", Type: "string"}}

func (s *lines) Prepare(_ context.Context, p *plugin.Prepare[linesArgs]) error {
	p.AddDataset("", linesSchema)
	return nil
}

func (s *lines) Fingerprint(_ context.Context, a *linesArgs, _ []byte) (plugin.Fingerprint, error) {
	return plugin.Fingerprint{Value: strings.Join(s.w.source(a.Path), "\n"), Memo: []byte("memo")}, nil
}

func (s *lines) Read(_ context.Context, a *linesArgs, w *plugin.RowWriter) error {
	s.w.called("read " + a.Path)
	b := array.NewRecordBuilder(memory.DefaultAllocator, linesSchema.Arrow())
	for i, line := range s.w.source(a.Path) {
		if strings.HasPrefix(line, "!") {
			if err := w.Quarantine(fmt.Sprintf("%s:%d", a.Path, i+1), line, errors.New("malformed")); err != nil {
				return err
			}
			continue
		}
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).Append(line)
	}
	return w.Write(b.NewRecordBatch())
}

// mapRows makes columns of row expressions alone.
type mapRows struct{}

type mapArgs struct {
	Input   plugin.Dataset           `quern:"input,required" doc:"Rows."`
	Columns map[string]plugin.Column `quern:"columns,required" doc:"Columns." type:"dynamic" rows_of:"input"`
}

func (mapRows) Prepare(_ context.Context, p *plugin.Prepare[mapArgs]) error {
	p.KeepInput("input")
	for _, name := range slices.Sorted(maps.Keys(p.Args.Columns)) {
		p.AddArgumentColumn(name, "columns."+name)
	}
	return nil
}

func (mapRows) Map(context.Context, *mapArgs, *plugin.Batch) error {
	return errors.New("this is never called")
}

// upper upper-cases a text into a column named after the block.
type upper struct{ w *world }

type upperArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"Rows."`
	Text  plugin.Column  `quern:"text,required" doc:"Text." type:"string" rows_of:"input"`
	Mark  string         `quern:"mark" doc:"Is put behind."`
	name  string
}

func (u *upper) Prepare(_ context.Context, p *plugin.Prepare[upperArgs]) error {
	p.Args.name = p.Name()
	p.KeepInput("input")
	p.AddColumn(p.Name(), "string")
	return nil
}

func (u *upper) Map(_ context.Context, a *upperArgs, b *plugin.Batch) error {
	text := b.Strings(a.Text)
	for i := range b.N {
		u.w.mapped.Add(1)
		v, ok := text.At(i)
		if u.w.onMap != nil {
			if err := u.w.onMap(v); err != nil {
				b.Fail(i, false, err)
				continue
			}
		}
		if ok {
			b.SetString(a.name, i, strings.ToUpper(v)+a.Mark)
		}
	}
	return nil
}

// longest keeps the rows whose value is the longest there is.
type longest struct{ w *world }

type longestArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"Rows."`
	By    plugin.Column  `quern:"by,required" doc:"Value." type:"string" rows_of:"input"`
}

func (l *longest) Prepare(_ context.Context, p *plugin.Prepare[longestArgs]) error {
	p.ReadAll("input")
	p.AddDataset("", p.Input("input").Schema)
	p.SetValueType(cty.Object(map[string]cty.Type{"length": cty.Number}))
	return nil
}

func (l *longest) Run(ctx context.Context, r *plugin.Run[longestArgs]) error {
	l.w.called("longest")
	if l.w.onRun != nil {
		if err := l.w.onRun(ctx, r.WorkDir); err != nil {
			return err
		}
	}
	in := r.Dataset(r.Args.Input)
	most := -1
	for rec, err := range in.Batches(ctx, data.Arguments.Refs(r.Args.By.Key)) {
		if err != nil {
			return err
		}
		by := rec.Column(0).(*array.String)
		for i := range by.Len() {
			most = max(most, len(by.Value(i)))
		}
	}
	for rec, err := range in.Batches(ctx, data.Arguments.Refs(r.Args.By.Key), data.Columns.Refs("id", "text")) {
		if err != nil {
			return err
		}
		by := rec.Column(0).(*array.String)
		for i := range by.Len() {
			if len(by.Value(i)) == most {
				row := rec.NewSlice(int64(i), int64(i+1))
				out := array.NewRecordBatch(linesSchema.Arrow(), []arrow.Array{row.Column(1), row.Column(2)}, 1)
				if err := r.Write("", out); err != nil {
					return err
				}
			}
		}
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"length": cty.NumberIntVal(int64(most))}))
	return nil
}

// first is a trainer: its model answers with the first letter of a text,
// taken from the alphabet that it has seen.
type first struct{ w *world }

type firstArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"Rows."`
	Text    plugin.Column  `quern:"text,required,feature" doc:"Text." type:"string" rows_of:"dataset"`
}

var firstSignature = plugin.Signature{
	Inputs:  data.Schema{{Name: "text", Type: "string"}},
	Outputs: data.Schema{{Name: "label", Type: "string"}},
}

func (f *first) Prepare(_ context.Context, p *plugin.Prepare[firstArgs]) error {
	p.AddModel("", "test.first/v1", firstSignature)
	return nil
}

func (f *first) Run(ctx context.Context, r *plugin.Run[firstArgs]) error {
	f.w.called("train")
	letters := map[rune]bool{}
	for rec, err := range r.Dataset(r.Args.Dataset).Batches(ctx, data.Arguments.Refs("text")) {
		if err != nil {
			return err
		}
		for i := range int(rec.NumRows()) {
			for _, letter := range rec.Column(0).(*array.String).Value(i) {
				letters[letter] = true
				break
			}
		}
	}
	dir, err := r.Folder("")
	if err != nil {
		return err
	}
	var alphabet strings.Builder
	for letter := 'a'; letter <= 'z'; letter++ {
		if letters[letter] {
			alphabet.WriteRune(letter)
		}
	}
	return os.WriteFile(filepath.Join(dir, "alphabet.txt"), []byte(alphabet.String()), 0o666)
}

func (f *first) ModelFormats() []string { return []string{"test.first/v1"} }

func (f *first) LoadModel(_ context.Context, m *plugin.ModelFiles) (plugin.Predictor, error) {
	path, err := m.Path("alphabet.txt")
	if err != nil {
		return nil, err
	}
	alphabet, err := os.ReadFile(path)
	return &firstModel{string(alphabet)}, err
}

type firstModel struct{ alphabet string }

func (m *firstModel) Predict(_ context.Context, rec arrow.RecordBatch) (arrow.RecordBatch, []plugin.RowError, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, firstSignature.Outputs.Arrow())
	text := rec.Column(0).(*array.String)
	for i := range text.Len() {
		letter := "?"
		if v := text.Value(i); v != "" && strings.Contains(m.alphabet, v[:1]) {
			letter = v[:1]
		}
		b.Field(0).(*array.StringBuilder).Append(letter)
	}
	return b.NewRecordBatch(), nil, nil
}

// score compares what subjects, columns or models, say with a target.
type score struct{ w *world }

type scoreArgs struct {
	Dataset  plugin.Dataset                  `quern:"dataset,required" doc:"Rows."`
	Subjects map[string]plugin.ColumnOrModel `quern:"subjects,required" doc:"Subjects." type:"string" rows_of:"dataset"`
	Target   plugin.Column                   `quern:"target,required" doc:"Truth." type:"string" rows_of:"dataset"`
}

func (s *score) Prepare(_ context.Context, p *plugin.Prepare[scoreArgs]) error {
	p.AddReport("")
	p.AddDataset("rows", data.Schema{{Name: "right", Type: "bool"}})
	p.SetValueType(cty.Object(map[string]cty.Type{"accuracy": cty.Map(cty.Number)}))
	return nil
}

func (s *score) Run(ctx context.Context, r *plugin.Run[scoreArgs]) error {
	s.w.called("score")
	accuracy := map[string]cty.Value{}
	for name, subject := range r.Args.Subjects {
		right, rows, err := s.subject(ctx, r, subject)
		if err != nil {
			return err
		}
		accuracy[name] = cty.NumberFloatVal(float64(right) / float64(rows))
	}
	dir, err := r.Folder("")
	if err != nil {
		return err
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"accuracy": cty.MapVal(accuracy)}))
	return os.WriteFile(filepath.Join(dir, "report.txt"), []byte("fine"), 0o666)
}

func (s *score) subject(ctx context.Context, r *plugin.Run[scoreArgs], subject plugin.ColumnOrModel) (right, rows int, err error) {
	column := subject.Key
	model, isModel := subject.Model()
	if isModel {
		column = subject.Key + ".text"
	}
	for rec, err := range r.Dataset(r.Args.Dataset).Batches(ctx, data.Arguments.Refs(column, r.Args.Target.Key)) {
		if err != nil {
			return 0, 0, err
		}
		got := rec.Column(0).(*array.String)
		if isModel {
			in := array.NewRecordBatch(firstSignature.Inputs.Arrow(), []arrow.Array{rec.Column(0)}, rec.NumRows())
			out, _, err := r.Model(model).Predict(ctx, in)
			if err != nil {
				return 0, 0, err
			}
			got = out.Column(0).(*array.String)
		}
		for i := range got.Len() {
			rows++
			if got.Value(i) == rec.Column(1).(*array.String).Value(i) {
				right++
			}
		}
	}
	return right, rows, nil
}

// shelf puts an artifact's digest on a shelf of the world. What is on
// another place must be moved by replacement.
type shelf struct{ w *world }

type shelfArgs struct {
	Artifact plugin.Artifact `quern:"artifact,required" doc:"What."`
	Place    string          `quern:"place,required" doc:"Where."`
}

func (s *shelf) Prepare(_ context.Context, p *plugin.Prepare[shelfArgs]) error {
	p.SetValueType(cty.Object(map[string]cty.Type{"place": cty.String, "digest": cty.String}))
	return nil
}

func (s *shelf) state(place, digest string) *plugin.DeploymentState {
	out := shelfState(place, digest)
	if s.w.onState != nil {
		s.w.onState(out)
	}
	return out
}

func shelfState(place, digest string) *plugin.DeploymentState {
	return &plugin.DeploymentState{Private: []byte(place), Value: cty.ObjectVal(map[string]cty.Value{
		"place": cty.StringVal(place), "digest": cty.StringVal(digest),
	})}
}

func (s *shelf) Read(_ context.Context, r *plugin.DeploymentReadRequest[shelfArgs]) (*plugin.DeploymentState, error) {
	place := string(r.State.Private)
	digest, ok := s.w.get(place)
	if !ok {
		return nil, nil
	}
	return shelfState(place, digest), nil
}

func (s *shelf) Plan(_ context.Context, p *plugin.DeploymentPlanRequest[shelfArgs]) (*plugin.DeploymentPlan, error) {
	if p.Prior == nil {
		return &plugin.DeploymentPlan{Action: plugin.ActionCreate}, nil
	}
	if string(p.Prior.Private) != p.Args.Place {
		return &plugin.DeploymentPlan{Action: plugin.ActionReplace, Coexists: true}, nil
	}
	digest, known := p.Digest("artifact")
	if known && p.Prior.Value.GetAttr("digest").AsString() == digest {
		return &plugin.DeploymentPlan{Action: plugin.ActionNone}, nil
	}
	return &plugin.DeploymentPlan{Action: plugin.ActionUpdate}, nil
}

func (s *shelf) Apply(_ context.Context, a *plugin.DeploymentApplyRequest[shelfArgs]) (*plugin.DeploymentState, error) {
	s.w.called("apply")
	s.w.changed("put on " + a.Args.Place)
	digest := a.Artifact(a.Args.Artifact).Digest
	if err := s.w.put(a.Args.Place, digest); err != nil {
		return nil, err
	}
	if s.w.onApply != nil {
		if err := s.w.onApply(); err != nil {
			return shelfState(a.Args.Place, digest), err
		}
	}
	return s.state(a.Args.Place, digest), nil
}

func (s *shelf) Delete(_ context.Context, d *plugin.DeploymentDeleteRequest[shelfArgs]) error {
	s.w.called("delete")
	s.w.changed("take from " + string(d.State.Private))
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	delete(s.w.shelves, string(d.State.Private))
	return nil
}
