package directory

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type args struct {
	Artifact plugin.Artifact `quern:"artifact,required" doc:"The artifact to deploy. A model or a report is written as its files, a dataset as Parquet files."`
	Where
}

// Where is where a deployment writes its releases, and how many it keeps.
type Where struct {
	Path string `quern:"path,required" doc:"The path to deploy to. quern creates a symbolic link here that points to the current release. A relative path is relative to the folder of the configuration. Changing the path replaces the deployment."`
	Keep int64  `quern:"keep" default:"3" doc:"How many releases to keep, including the current one. Older releases are removed."`
}

const doc = `Writes an artifact's files to a folder on this machine, and replaces them atomically.

The path is a symbolic link to the current release. A program that opens files through it sees one complete release or another, never a mixture. Releases are in a hidden folder next to the link; ` + "`keep`" + ` sets how many remain.

quern never overwrites anything at the path that it did not create: the plan shows what is in the way, and the apply fails. If two deployments use the same path, the later one takes it over, and its plan says so. The next plan of the earlier one shows that its path was taken over, and destroying it leaves the path alone. If a release was changed by hand, the next plan shows it and the next apply restores it.

To import a deployment, for example after its state was lost, give its path as the ` + "`id`" + ` of an ` + "`import`" + ` block. Only what quern deployed to the path can be imported.

The values are ` + "`path`" + ` (as configured), ` + "`digest`" + ` (of the deployed artifact), ` + "`release`" + ` (the release's folder), ` + "`files`" + `, ` + "`bytes`" + `, and ` + "`drift`" + ` (how the files differ from what was deployed, or empty if they do not).

` + "```hcl" + `
deploy "directory" "prod" {
  artifact   = train.student
  path       = "serve/current"
  depends_on = [gate.ship]
}
` + "```"

var valueType = cty.Object(map[string]cty.Type{
	"path": cty.String, "digest": cty.String, "release": cty.String,
	"files": cty.Number, "bytes": cty.Number, "drift": cty.String,
})

// deployment implements the deployments to a folder. A is the type of their
// arguments.
type deployment[A any] struct {
	root func() string
	content[A]
}

// content says what a release contains.
type content[A any] interface {
	// where returns where the releases are.
	where(*A) Where
	// key is the argument with the artifact.
	key() string
	// settings returns the arguments that affect the files, by their names.
	settings(*A) map[string]string
	// check reports mistakes in the arguments.
	check(*plugin.Prepare[A])
	// fill writes the files into a folder, and notes them in the release. It can
	// link to files of earlier releases.
	fill(ctx context.Context, dir string, a *A, in *plugin.ArtifactInput, r *release, earlier earlierFiles) error
}

// files is the content of deploy "directory": the files of an artifact.
type files struct{}

func (files) where(a *args) Where              { return a.Where }
func (files) key() string                      { return "artifact" }
func (files) settings(*args) map[string]string { return nil }
func (files) check(*plugin.Prepare[args])      {}
func (files) fill(ctx context.Context, dir string, _ *args, in *plugin.ArtifactInput, r *release, _ earlierFiles) error {
	return fill(ctx, dir, in, r)
}

// notes is the private part of the deployment's state.
type notes struct {
	Path string `json:"path"`
	Keep int64  `json:"keep"`
	// Release is the name of the release that was deployed.
	Release string `json:"release"`
	// Deployment distinguishes this deployment from others at the same path.
	Deployment string `json:"deployment,omitempty"`
	// Settings are the arguments that affected the files.
	Settings map[string]string `json:"settings,omitempty"`
}

// Prepare checks the arguments and declares the attributes.
func (d deployment[A]) Prepare(_ context.Context, p *plugin.Prepare[A]) error {
	at := d.where(p.Args)
	if p.Known("path") && (at.Path == "" || filepath.Base(filepath.Clean(at.Path)) == ".." || filepath.Clean(at.Path) == "." || filepath.Clean(at.Path) == string(filepath.Separator)) {
		p.Errorf("path", "%q cannot be the path of a link\nUse a path such as \"serve/current\".", at.Path)
	}
	if p.Known("path") && at.Path != "" {
		if err := newPlace(d.root(), at.Path).apart(d.root()); err != nil {
			p.Errorf("path", "%s", err)
		}
	}
	if p.Known("keep") && at.Keep < 1 {
		p.Errorf("keep", "Cannot keep %d releases\nkeep must be at least 1, because the current release is always kept.", at.Keep)
	}
	d.check(p)
	p.SetValueType(valueType)
	return nil
}

// Read reports what exists at the path.
func (d deployment[A]) Read(_ context.Context, r *plugin.DeploymentReadRequest[A]) (*plugin.DeploymentState, error) {
	n, err := notesOf(r.State)
	if err != nil {
		return nil, err
	}
	p := newPlace(d.root(), n.Path)
	name, err := p.current()
	var elsewhere error
	switch {
	case err != nil:
		// Something else is at the path now. The next apply will refuse it; a
		// plan only has to show it.
		elsewhere = err
	case name == "":
		return d.unlinked(p, n)
	}
	found, err := p.release(name)
	if err != nil {
		return nil, err
	}
	if elsewhere != nil || found == nil {
		return n.state(p, &release{}, "something else is at the path")
	}
	owner, err := p.owner()
	if err != nil {
		return nil, err
	}
	if owner.takenFrom(n.Deployment) {
		return n.state(p, &release{}, "another deployment has taken over the path")
	}
	drift, err := p.drift(found)
	if err != nil {
		return nil, err
	}
	if drift == "" && name != n.Release {
		drift = "the link points to another release"
	}
	return n.state(p, found, drift)
}

// unlinked reports what exists if the link does not. As long as the folder of releases is
// there, so is the deployment: a deletion that was interrupted has to be finished, or
// nobody will ever remove the releases.
func (d deployment[A]) unlinked(p place, n notes) (*plugin.DeploymentState, error) {
	owner, err := p.owner()
	if err != nil || !exists(p.home) || owner.takenFrom(n.Deployment) {
		return nil, nil
	}
	found, err := p.release(n.Release)
	if err != nil {
		return nil, err
	}
	return n.state(p, cmp.Or(found, &release{}), "the link is gone")
}

// Import finds what quern deployed to the path before, for example with a state
// that was lost.
func (d deployment[A]) Import(_ context.Context, r *plugin.DeploymentImportRequest[A]) (*plugin.DeploymentState, error) {
	at := d.where(r.Args)
	if r.ID != at.Path {
		return nil, &plugin.ArgumentError{Argument: "path", Err: fmt.Errorf("the ID of a deployment to a folder is its path: %q, not %q", at.Path, r.ID)}
	}
	p := newPlace(d.root(), at.Path)
	name, err := p.current()
	if err != nil || name == "" {
		return nil, err
	}
	found, err := p.release(name)
	if err != nil {
		return nil, err
	}
	owner, err := p.owner()
	if err != nil {
		return nil, err
	}
	if found == nil || owner == nil {
		return nil, p.foreign("its release has no description")
	}
	drift, err := p.drift(found)
	if err != nil {
		return nil, err
	}
	n := notes{Path: at.Path, Keep: at.Keep, Release: name, Deployment: owner.Deployment, Settings: d.settings(r.Args)}
	return n.state(p, found, drift)
}

// Plan compares what is deployed with the configuration.
func (d deployment[A]) Plan(_ context.Context, r *plugin.DeploymentPlanRequest[A]) (*plugin.DeploymentPlan, error) {
	if r.Prior == nil {
		taken, err := d.inTheWay(r)
		return &plugin.DeploymentPlan{Action: plugin.ActionCreate, Changes: taken}, err
	}
	n, err := notesOf(r.Prior)
	if err != nil {
		return nil, err
	}
	at, argument := d.where(r.Args), d.key()
	out := &plugin.DeploymentPlan{Action: plugin.ActionNone}
	out.Coexists = r.Known("path") && newPlace(d.root(), at.Path).apartFrom(newPlace(d.root(), n.Path))
	change := func(action plugin.DeploymentAction, c plugin.DeploymentChange) {
		out.Action = max(out.Action, action)
		out.Changes = append(out.Changes, c)
	}
	if r.Known("path") && at.Path != n.Path {
		change(plugin.ActionReplace, plugin.DeploymentChange{Argument: "path", Before: n.Path, After: at.Path, ForcesReplacement: true})
		taken, err := d.inTheWay(r)
		if err != nil {
			return nil, err
		}
		out.Changes = append(out.Changes, taken...)
	}
	digest, drift := r.Prior.Text("digest"), r.Prior.Text("drift")
	present := digest
	if drift != "" {
		present = strings.TrimSpace(digest + " (" + drift + ")")
	}
	if wanted, known := r.Digest(argument); known && wanted != digest {
		change(plugin.ActionUpdate, plugin.DeploymentChange{Argument: argument, Before: present, After: wanted})
	} else if drift != "" {
		change(plugin.ActionUpdate, plugin.DeploymentChange{Argument: argument, Before: present, After: digest})
	}
	settings := d.settings(r.Args)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if r.Known(name) && settings[name] != n.Settings[name] {
			change(plugin.ActionUpdate, plugin.DeploymentChange{Argument: name, Before: n.Settings[name], After: settings[name]})
		}
	}
	if r.Known("keep") && at.Keep != n.Keep {
		change(plugin.ActionUpdate, plugin.DeploymentChange{Argument: "keep", Before: fmt.Sprint(n.Keep), After: fmt.Sprint(at.Keep)})
	}
	return out, nil
}

// inTheWay reports a deployment that a new one takes over at its path. It returns an error
// if something is there that quern did not create, so that nobody trains for hours before
// finding out.
func (d deployment[A]) inTheWay(r *plugin.DeploymentPlanRequest[A]) ([]plugin.DeploymentChange, error) {
	if !r.Known("path") {
		return nil, nil
	}
	p := newPlace(d.root(), d.where(r.Args).Path)
	name, err := p.current()
	if err == nil {
		_, err = p.owner()
	}
	switch {
	case err != nil:
		return nil, &plugin.ArgumentError{Argument: "path", Err: err}
	case name != "":
		return []plugin.DeploymentChange{{Argument: "path", Before: p.shown + " (used by another deployment, which loses it)", After: p.shown}}, nil
	}
	return nil, nil
}

// Apply writes a release, unless it already exists, and points the link to it.
func (d deployment[A]) Apply(ctx context.Context, r *plugin.DeploymentApplyRequest[A]) (*plugin.DeploymentState, error) {
	at := d.where(r.Args)
	p := newPlace(d.root(), at.Path)
	if err := p.apart(d.root()); err != nil {
		return nil, &plugin.ArgumentError{Argument: "path", Err: err}
	}
	if err := os.MkdirAll(filepath.Dir(p.link), 0o755); err != nil {
		return nil, fmt.Errorf("create the folder of %s: %w", p.shown, err)
	}
	if _, err := p.current(); err != nil {
		return nil, &plugin.ArgumentError{Argument: "path", Err: err}
	}
	n := notes{Path: at.Path, Keep: at.Keep, Deployment: rand.Text(), Settings: d.settings(r.Args)}
	if r.Prior != nil {
		prior, err := notesOf(r.Prior)
		if err != nil {
			return nil, err
		}
		n.Deployment = cmp.Or(prior.Deployment, n.Deployment)
	}
	if err := p.claim(n.Deployment); err != nil {
		return nil, &plugin.ArgumentError{Argument: "path", Err: err}
	}
	if err := p.sweep(); err != nil {
		return nil, err
	}
	release, err := d.ensure(ctx, p, r)
	if err != nil {
		return nil, err
	}
	if err := p.point(release); err != nil {
		return nil, err
	}
	n.Release = release.Name
	state, err := n.state(p, release, "")
	left, pruneErr := p.prune(release, at.Keep)
	if len(left) > 0 {
		r.Warnf("path", "%s", leftText(left))
	}
	return state, errors.Join(err, pruneErr)
}

// ensure returns a complete release of the artifact: an existing one or a new
// one. It never uses a release that was changed by hand.
func (d deployment[A]) ensure(ctx context.Context, p place, r *plugin.DeploymentApplyRequest[A]) (*release, error) {
	taken, err := p.releases()
	if err != nil {
		return nil, err
	}
	in, settings := r.Artifact(plugin.Artifact{Key: d.key()}), d.settings(r.Args)
	for _, have := range taken {
		if have.Digest != in.Digest || !maps.Equal(have.Settings, settings) {
			continue
		}
		if drift, err := p.drift(have); err == nil && drift == "" {
			return p.renew(have, taken)
		}
	}
	made := &release{Format: ownerFormat, Digest: in.Digest, Kind: string(in.Kind), Settings: settings}
	return made, p.write(made, taken, func(dir string) error { return d.fill(ctx, dir, r.Args, in, made, p.earlier(taken)) })
}

// renew makes a release that is deployed again the newest one.
func (p place) renew(r *release, taken []*release) (*release, error) {
	newest := taken[len(taken)-1]
	if newest == r {
		return r, nil
	}
	r.Serial = newest.Serial + 1
	return r, writeJSON(filepath.Join(p.home, r.Name+".json"), r)
}

// prune removes the oldest releases beyond the number to keep. It returns the
// files in them that quern did not create, which are not removed.
func (p place) prune(current *release, keep int64) (left []string, err error) {
	all, err := p.releases()
	if err != nil {
		return nil, err
	}
	for _, r := range all[:max(0, len(all)-int(keep))] {
		if r.Name == current.Name {
			continue
		}
		more, err := p.remove(r)
		if err != nil {
			return left, err
		}
		left = append(left, more...)
	}
	return left, nil
}

// leftText describes the files that were left in place because quern did not
// create them.
func leftText(left []string) string {
	return "Some files were not removed\nThe release is removed, except for these files, which quern did not create: " +
		strings.Join(left, ", ") + ". Move or delete them yourself."
}

// Delete removes the link and the releases. It keeps what quern did not create,
// and what another deployment has taken over.
func (d deployment[A]) Delete(_ context.Context, r *plugin.DeploymentDeleteRequest[A]) error {
	n, err := notesOf(r.State)
	if err != nil {
		return err
	}
	p := newPlace(d.root(), n.Path)
	owner, ownerErr := p.owner()
	if owner.takenFrom(n.Deployment) {
		return nil
	}
	// Leave alone a link or folder that quern did not create, and releases in a
	// folder without quern's marker.
	if name, err := p.current(); err == nil && name != "" {
		if err := os.Remove(p.link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", p.shown, err)
		}
	}
	if ownerErr != nil {
		return nil
	}
	if owner == nil { // an interrupted deletion may have left the empty folder
		_ = os.Remove(p.home)
		return nil
	}
	if err := p.sweep(); err != nil {
		return err
	}
	all, err := p.releases()
	if err != nil {
		return err
	}
	var left []string
	for _, release := range all {
		more, err := p.remove(release)
		if err != nil {
			return err
		}
		left = append(left, more...)
	}
	if len(left) > 0 {
		r.Warnf("%s", leftText(left))
	}
	if err := os.Remove(filepath.Join(p.home, ownerFile)); err != nil {
		return fmt.Errorf("remove %s: %w", p.home, err)
	}
	// This fails if the folder still contains something that quern did not
	// create.
	_ = os.Remove(p.home)
	return nil
}

func notesOf(s *plugin.DeploymentState) (notes, error) {
	var n notes
	if err := json.Unmarshal(s.Private, &n); err != nil {
		return n, fmt.Errorf("read the notes about the deployment: %w", err)
	}
	return n, nil
}

// state returns the state of a deployment at a place.
func (n notes) state(p place, r *release, drift string) (*plugin.DeploymentState, error) {
	private, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("write the notes about the deployment: %w", err)
	}
	var bytes int64
	for _, f := range r.Files {
		bytes += f.Size
	}
	folder := ""
	if r.Name != "" {
		folder = filepath.ToSlash(filepath.Join(filepath.Dir(p.shown), filepath.Base(p.home), r.Name))
	}
	return &plugin.DeploymentState{
		Value: cty.ObjectVal(map[string]cty.Value{
			"path": cty.StringVal(n.Path), "digest": cty.StringVal(r.Digest), "release": cty.StringVal(folder),
			"files": cty.NumberIntVal(int64(len(r.Files))), "bytes": cty.NumberIntVal(bytes), "drift": cty.StringVal(drift),
		}),
		Private: private,
	}, nil
}
