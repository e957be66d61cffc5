package storage

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/provenance"
	"github.com/quern-dev/quern/plugins/publication"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Publish are the arguments that say what is published, and under which names.
type Publish struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"The dataset to publish."`
	Path    string         `quern:"path,required" doc:"What the names of the objects begin with, such as \"corpora/tickets\". Changing it replaces the deployment."`
	publication.Args
}

func (p *Publish) publish() *Publish { return p }

// publishDoc is what the documentation of all deployments says.
const publishDoc = `%s

The objects below ` + "`path`" + ` are the rows in ` + "`data/`" + `, a dataset card in ` + "`README.md`" + `, the SHA-256 of each object in ` + "`SHA256SUMS`" + `, and ` + "`manifest.json`" + `, which lists the objects with the rows in their order, with their sizes and SHA-256. The names of objects with rows contain their digest, so they never change, and only those with new rows are sent. The manifest is written after them, with a condition: a reader that starts from it sees the old or the new dataset, whatever happens, and of two deployments at the same time, one fails. The objects of the previous dataset remain until the one after it is published.

quern does not publish to a path with objects that it did not write. If another deployment uses the same path, it takes the path over, and its plan says so. If an object was changed or is gone, the next plan shows it and the next apply restores it. Destroying the deployment deletes the objects that quern wrote.

To import a deployment, for example after its state was lost, give its ` + "`url`" + `, such as "%s", as the ` + "`id`" + ` of an ` + "`import`" + ` block. The next apply writes the card again, because the manifest does not say what it was made from; objects with the same rows are not sent again.

%s

The values are ` + "`url`, `digest`" + ` (of the dataset), ` + "`manifest`" + ` (its address), ` + "`files`, `bytes`" + ` (of the objects with rows), and ` + "`drift`" + ` (how the objects differ from what was published, or empty).

` + "```hcl" + `
%s
` + "```"

var publishedType = cty.Object(map[string]cty.Type{
	"url": cty.String, "digest": cty.String, "manifest": cty.String, "files": cty.Number, "bytes": cty.Number, "drift": cty.String,
})

// destination are the arguments of a deployment to a bucket.
type destination[A any] interface {
	*A
	publish() *Publish
	// where is the argument that says which bucket it is, and its value.
	where() (argument, value string)
	// place points to the arguments that open needs, none of which is a secret.
	place() any
	// check reports mistakes in the arguments of the bucket.
	check(problems) bool
	// open returns the bucket, and its address.
	open(ctx context.Context) (writable, string, error)
}

// publishing implements the deployments to buckets.
type publishing[A any, P destination[A]] struct{}

// published is the private part of the deployment's state.
type published struct {
	Bucket string `json:"bucket"`
	// Place has the arguments that say where the bucket is. A deployment that is no
	// longer configured has no others.
	Place      json.RawMessage `json:"place"`
	Path       string          `json:"path"`
	Deployment string          `json:"deployment"`
	Artifact   string          `json:"artifact"`
	// Settings are the arguments that affected the objects.
	Settings map[string]string `json:"settings"`
	// Rows are the files that were written, and Versions those of all objects.
	Rows     []publication.File `json:"rows"`
	Versions map[string]string  `json:"versions"`
}

// Prepare checks the arguments and declares the attributes.
func (publishing[A, P]) Prepare(_ context.Context, p *plugin.Prepare[A]) error {
	a := P(p.Args).publish()
	argument, _ := P(p.Args).where()
	if p.Known(argument) && p.Known("endpoint") {
		P(p.Args).check(p)
	}
	if p.Known("path") && (a.Path == "" || a.Path != path.Clean(a.Path) || strings.HasPrefix(a.Path, "/") || strings.HasPrefix(a.Path, "..") || strings.Contains(a.Path, "://")) {
		p.Errorf("path", "%q is not a path in a bucket\nUse a path without a / at its start or end, such as \"corpora/tickets\".", a.Path)
	}
	if in := p.Input("dataset"); in != nil && p.Known("format") {
		if problem := a.Problem(in.Schema); problem != "" {
			p.Errorf("format", "%s", problem)
		}
	}
	p.SetValueType(publishedType)
	return nil
}

func folderOf[A any, P destination[A]](ctx context.Context, a P, at string) (*folder, error) {
	b, address, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	return &folder{b, at + "/", address + "/" + at + "/"}, nil
}

// published returns the folder of a deployment that exists.
func (publishing[A, P]) published(ctx context.Context, s *plugin.DeploymentState) (*published, *folder, error) {
	n, err := publishedIn(s)
	if err != nil {
		return nil, nil, err
	}
	args := P(new(A))
	if err := json.Unmarshal(n.Place, args.place()); err != nil {
		return nil, nil, fmt.Errorf("read the notes about the deployment: %w", err)
	}
	f, err := folderOf(ctx, args, n.Path)
	return n, f, err
}

// Read reports what is published.
func (d publishing[A, P]) Read(ctx context.Context, r *plugin.DeploymentReadRequest[A]) (*plugin.DeploymentState, error) {
	n, f, err := d.published(ctx, r.State)
	if err != nil {
		return nil, err
	}
	m, _, err := f.manifest(ctx)
	if err != nil || m == nil {
		return nil, err
	}
	if m.Deployment != n.Deployment {
		return n.state(f, "another deployment has taken over the path")
	}
	all, err := f.objects(ctx)
	if err != nil {
		return nil, err
	}
	return n.state(f, n.drift(all))
}

// Import takes over what quern published. The ID is the address of the folder.
func (publishing[A, P]) Import(ctx context.Context, r *plugin.DeploymentImportRequest[A]) (*plugin.DeploymentState, error) {
	a := P(r.Args).publish()
	_, bucket := P(r.Args).where()
	f, err := folderOf(ctx, P(r.Args), a.Path)
	if err != nil {
		return nil, err
	}
	if url := strings.TrimSuffix(f.address, "/"); r.ID != url {
		return nil, plugin.ArgumentErrorf("path", "The ID of a published dataset is its address: %q, not %q", url, r.ID)
	}
	m, _, err := f.manifest(ctx)
	if err != nil || m == nil {
		return nil, err
	}
	all, err := f.objects(ctx)
	if err != nil {
		return nil, err
	}
	n := &published{Bucket: bucket, Path: a.Path, Deployment: m.Deployment, Artifact: m.Artifact, Rows: m.Files, Settings: m.settings(), Versions: map[string]string{}}
	if n.Place, err = json.Marshal(P(r.Args).place()); err != nil {
		return nil, fmt.Errorf("write the notes about the deployment: %w", err)
	}
	for _, file := range m.Files {
		n.Versions[file.Name] = "" // if it is not the object that the manifest lists
		if o := all[file.Name]; o.size == file.Size {
			n.Versions[file.Name] = o.version
		}
	}
	return n.state(f, n.drift(all))
}

// drift says how objects differ from what was published.
func (n *published) drift(all map[string]object) string {
	for _, name := range slices.Sorted(maps.Keys(n.Versions)) {
		switch o, ok := all[name]; {
		case !ok:
			return name + " is gone"
		case o.version != n.Versions[name]:
			return name + " was changed"
		}
	}
	return ""
}

// Plan compares what is published with the configuration.
func (publishing[A, P]) Plan(ctx context.Context, r *plugin.DeploymentPlanRequest[A]) (*plugin.DeploymentPlan, error) {
	a := P(r.Args).publish()
	argument, bucket := P(r.Args).where()
	if r.Prior == nil {
		return planNew[A, P](ctx, r)
	}
	n, err := publishedIn(r.Prior)
	if err != nil {
		return nil, err
	}
	out := &plugin.DeploymentPlan{Action: plugin.ActionNone}
	change := func(action plugin.DeploymentAction, argument, before, after string) {
		if before != after && r.Known(argument) {
			out.Action = max(out.Action, action)
			out.Changes = append(out.Changes, plugin.DeploymentChange{Argument: argument, Before: before, After: after, ForcesReplacement: action == plugin.ActionReplace})
		}
	}
	out.Coexists = r.Known(argument) && r.Known("path") && (n.Bucket != bucket || apart(n.Path, a.Path))
	change(plugin.ActionReplace, argument, n.Bucket, bucket)
	change(plugin.ActionReplace, "path", n.Path, a.Path)
	present := n.Artifact
	if drift := r.Prior.Text("drift"); drift != "" {
		present += " (" + drift + ")"
	}
	if digest, known := r.Digest("dataset"); known {
		change(plugin.ActionUpdate, "dataset", present, digest)
	}
	settings := a.Settings()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		change(plugin.ActionUpdate, name, n.Settings[name], settings[name])
	}
	return out, nil
}

// apart reports whether neither of two paths in a bucket contains the other.
func apart(a, b string) bool {
	a, b = strings.Trim(a, "/")+"/", strings.Trim(b, "/")+"/"
	return a != "/" && b != "/" && !strings.HasPrefix(a, b) && !strings.HasPrefix(b, a)
}

// planNew shows what is in the way, so that nobody computes for hours before finding
// out.
func planNew[A any, P destination[A]](ctx context.Context, r *plugin.DeploymentPlanRequest[A]) (*plugin.DeploymentPlan, error) {
	out := &plugin.DeploymentPlan{Action: plugin.ActionCreate}
	argument, _ := P(r.Args).where()
	if !r.Known("path") || !r.Known(argument) || !r.Known("endpoint") {
		return out, nil
	}
	f, err := folderOf(ctx, P(r.Args), P(r.Args).publish().Path)
	if err != nil {
		return nil, err
	}
	m, _, err := f.free(ctx)
	if err != nil {
		return nil, err
	}
	if m != nil {
		at := P(r.Args).publish().Path
		out.Changes = []plugin.DeploymentChange{{Argument: "path", Before: at + " (published by another deployment of quern, which loses it)", After: at}}
	}
	return out, nil
}

// free returns the manifest of a folder for a new deployment. It refuses a folder
// with objects of somebody else.
func (f *folder) free(ctx context.Context) (*manifest, string, error) {
	m, match, err := f.manifest(ctx)
	if err != nil {
		return nil, "", &plugin.ArgumentError{Argument: "path", Err: err}
	}
	if m != nil {
		return m, match, nil
	}
	all, err := f.objects(ctx)
	if err != nil {
		return nil, "", err
	}
	if names := foreign(all); len(names) > 0 {
		return nil, "", plugin.ArgumentErrorf("path", "%s contains objects that quern did not write\nquern does not publish there: it found %s. Use another path, or delete them.", f.address, names[0])
	}
	return nil, "", nil
}

// Apply sends what is missing, and then replaces the manifest.
func (publishing[A, P]) Apply(ctx context.Context, r *plugin.DeploymentApplyRequest[A]) (*plugin.DeploymentState, error) {
	a := P(r.Args).publish()
	_, bucket := P(r.Args).where()
	n := &published{Bucket: bucket, Path: a.Path, Deployment: rand.Text()}
	if r.Prior != nil {
		var err error
		if n, err = publishedIn(r.Prior); err != nil {
			return nil, err
		}
	}
	var err error
	if n.Place, err = json.Marshal(P(r.Args).place()); err != nil {
		return nil, fmt.Errorf("write the notes about the deployment: %w", err)
	}
	f, err := folderOf(ctx, P(r.Args), n.Path)
	if err != nil {
		return nil, err
	}
	u := &update{folder: f, notes: n, args: a, in: r.Artifact(plugin.Artifact{Key: "dataset"}), dir: r.WorkDir}
	if u.old, u.match, err = f.free(ctx); err != nil {
		return nil, err
	}
	if err := u.run(ctx); err != nil {
		return r.Prior, err // the manifest still lists the earlier objects
	}
	return n.state(f, "")
}

// update replaces what is published.
type update struct {
	*folder
	notes *published
	args  *Publish
	in    *plugin.ArtifactInput
	dir   string
	// old is the manifest that is replaced, or nil, and match its version.
	old   *manifest
	match string
	there map[string]object
}

func (u *update) run(ctx context.Context) (err error) {
	if u.there, err = u.objects(ctx); err != nil {
		return err
	}
	next := &manifest{Format: manifestFormat, Deployment: u.notes.Deployment, Artifact: u.in.Digest, Rows: u.in.Dataset.Rows, Columns: u.in.Dataset.Schema, Files: []publication.File{}}
	rows, err := u.rows(ctx)
	if err != nil {
		return err
	}
	for _, f := range rows {
		next.Files = append(next.Files, publication.File{Name: immutable(f), Size: f.Size, SHA256: f.SHA256})
	}
	text, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	if err := u.replace(ctx, next, append(text, '\n')); err != nil {
		return err
	}
	if err := u.describe(ctx, next.Files); err != nil {
		return err
	}
	u.notes.Artifact, u.notes.Settings, u.notes.Rows = u.in.Digest, u.args.Settings(), rows
	return u.remember(ctx, next)
}

// rows sends the objects with rows that are missing. It writes only files that were
// not written before.
func (u *update) rows(ctx context.Context) ([]publication.File, error) {
	known := map[string]publication.File{}
	for _, f := range u.notes.Rows {
		known[f.From] = f
	}
	var out []publication.File
	for _, part := range u.args.Parts(u.in.Dataset) {
		if was, ok := known[part.From]; ok {
			was.Name = part.Name
			if u.has(immutable(was), was.Size) {
				out = append(out, was)
				continue
			}
		}
		made, err := u.send(ctx, part)
		if err != nil {
			return nil, err
		}
		out = append(out, made)
	}
	return out, nil
}

// has reports whether an object with rows exists and was not changed.
func (u *update) has(name string, size int64) bool {
	o, ok := u.there[name]
	version, recorded := u.notes.Versions[name]
	return ok && o.size == size && (!recorded || version == o.version)
}

// send writes a file and sends it, if the bucket does not have it.
func (u *update) send(ctx context.Context, part publication.Part) (publication.File, error) {
	at, made, err := part.Create(ctx, u.dir)
	if err != nil {
		return made, err
	}
	defer os.Remove(at)
	name := immutable(made)
	if u.has(name, made.Size) {
		return made, nil
	}
	content, err := os.Open(at)
	if err != nil {
		return made, fmt.Errorf("send %s: %w", name, err)
	}
	defer content.Close()
	if err := u.put(ctx, u.path+name, content, made.Size, nil); err != nil {
		return made, fmt.Errorf("send %s: %w", name, err)
	}
	return made, nil
}

// replace replaces the manifest, unless it is the same, and removes objects that
// neither the new nor the old manifest lists.
func (u *update) replace(ctx context.Context, next *manifest, text []byte) error {
	if u.old != nil {
		same, err := json.MarshalIndent(u.old, "", "  ")
		if err == nil && bytes.Equal(append(same, '\n'), text) {
			return nil
		}
	}
	err := u.put(ctx, u.path+manifestFile, bytes.NewReader(text), int64(len(text)), &condition{u.match})
	if errors.Is(err, errChanged) {
		return fmt.Errorf("somebody else published to %s at the same time\nNothing was overwritten. Make a new plan.", u.address)
	}
	if err != nil {
		return fmt.Errorf("send the manifest: %w", err)
	}
	for name := range u.there {
		if dataName.MatchString(name) && !next.lists(name) && !u.old.lists(name) {
			if err := u.remove(ctx, u.path+name); err != nil {
				return fmt.Errorf("remove %s: %w", name, err)
			}
		}
	}
	return nil
}

// describe sends the card and the checksums, unless they are there.
func (u *update) describe(ctx context.Context, rows []publication.File) error {
	card, err := u.args.Card(path.Base(u.notes.Path), u.in, rows, provenance.Commit(ctx))
	if err != nil {
		return err
	}
	sums := publication.Sums(append(slices.Clone(rows), publication.Text(publication.CardFile, card)))
	for _, f := range []struct{ name, text string }{{publication.CardFile, card}, {publication.SumsFile, sums}} {
		is, _, err := u.read(ctx, u.path+f.name)
		if err != nil {
			return fmt.Errorf("read %s: %w", f.name, err)
		}
		if string(is) == f.text {
			continue
		}
		if err := u.put(ctx, u.path+f.name, strings.NewReader(f.text), int64(len(f.text)), nil); err != nil {
			return fmt.Errorf("send %s: %w", f.name, err)
		}
	}
	return nil
}

// remember notes the versions of the objects, which show later changes.
func (u *update) remember(ctx context.Context, m *manifest) error {
	all, err := u.objects(ctx)
	if err != nil {
		return err
	}
	u.notes.Versions = map[string]string{}
	for name, o := range all {
		if m.lists(name) || name == manifestFile || name == publication.CardFile || name == publication.SumsFile {
			u.notes.Versions[name] = o.version
		}
	}
	return nil
}

// Delete removes what quern wrote, beginning with the manifest. It keeps what
// another deployment has taken over.
func (d publishing[A, P]) Delete(ctx context.Context, r *plugin.DeploymentDeleteRequest[A]) error {
	n, f, err := d.published(ctx, r.State)
	if err != nil {
		return err
	}
	m, _, err := f.manifest(ctx)
	if err != nil {
		return err
	}
	if m != nil && m.Deployment != n.Deployment {
		return nil
	}
	all, err := f.objects(ctx)
	if err != nil {
		return err
	}
	left := foreign(all)
	for _, name := range slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(-cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	}) {
		if slices.Contains(left, name) {
			continue
		}
		if err := f.remove(ctx, f.path+name); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	if len(left) > 0 {
		r.Warnf("Some objects were not removed\n%s contains objects that quern did not write, such as %s.", f.address, left[0])
	}
	return nil
}

// rank is greatest for the object that is removed first.
func rank(name string) int {
	if name == manifestFile {
		return 1
	}
	return 0
}

func publishedIn(s *plugin.DeploymentState) (*published, error) {
	n := &published{}
	if err := json.Unmarshal(s.Private, n); err != nil {
		return nil, fmt.Errorf("read the notes about the deployment: %w", err)
	}
	return n, nil
}

func (n *published) state(f *folder, drift string) (*plugin.DeploymentState, error) {
	private, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("write the notes about the deployment: %w", err)
	}
	var bytes int64
	for _, file := range n.Rows {
		bytes += file.Size
	}
	return &plugin.DeploymentState{
		Value: cty.ObjectVal(map[string]cty.Value{
			"url": cty.StringVal(strings.TrimSuffix(f.address, "/")), "digest": cty.StringVal(n.Artifact), "manifest": cty.StringVal(f.address + manifestFile),
			"files": cty.NumberIntVal(int64(len(n.Rows))), "bytes": cty.NumberIntVal(bytes), "drift": cty.StringVal(drift),
		}),
		Private: private,
	}, nil
}
