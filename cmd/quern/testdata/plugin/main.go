// Command quern-plugin-test is a plugin that reports what it receives, waits
// when it is told to, and fails in the ways that plugins fail.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type args struct {
	Input plugin.Dataset `quern:"input,required" doc:"Rows to label."`
	Text  plugin.Column  `quern:"text,required" type:"string" doc:"Text to look at."`
	Trace string         `quern:"trace,operational" doc:"File that each text is appended to."`
	Fault string         `quern:"fault,operational" oneof:"exit,panic,hang,print,error,tell,allocate" doc:"What goes wrong; 'tell': the token is in all that the plugin says."`
	Bad   string         `quern:"bad,operational" doc:"Texts with this in them fail."`
	Hold  string         `quern:"hold,operational" doc:"Named pipes HOLD.begun and HOLD.go: the first is written when rows have come, then the second is read before they are answered."`
	Token string         `quern:"token,sensitive" doc:"A credential."`

	Prepare string `quern:"prepare,operational" oneof:"exit,panic,hang,print,error" doc:"What goes wrong in Prepare."`

	column string // the column for the labels
}

// clock is a source whose fingerprint is different each time, which is a
// mistake of its author.
type clock struct{ asked *atomic.Int64 }

func (clock) Prepare(_ context.Context, p *plugin.Prepare[struct{}]) error {
	p.AddDataset("", data.Schema{{Name: "time", Type: "int64"}})
	return nil
}

func (c clock) Fingerprint(context.Context, *struct{}, []byte) (plugin.Fingerprint, error) {
	return plugin.Fingerprint{Value: fmt.Sprint(c.asked.Add(1))}, nil
}

func (clock) Read(context.Context, *struct{}, *plugin.RowWriter) error { return nil }

// upper labels each text with its uppercase form.
type upper struct{}

func (upper) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	if err := fault(p.Args.Prepare); err != nil {
		return err
	}
	p.KeepInput("input")
	p.Args.column = p.Name()
	p.AddColumn(p.Args.column, "string")
	return nil
}

func (upper) Map(ctx context.Context, a *args, b *plugin.Batch) error {
	if a.Fault == "tell" {
		return tell(a.Token)
	}
	if err := fault(a.Fault); err != nil {
		return err
	}
	if err := hold(ctx, a.Hold); err != nil {
		return err
	}
	var trace strings.Builder
	for i := range b.N {
		text, ok := b.String(a.Text, i)
		fmt.Fprintln(&trace, text)
		switch {
		case !ok:
			b.SetNull(a.column, i)
		case a.Bad != "" && strings.Contains(text, a.Bad):
			b.Fail(i, false, fmt.Errorf("%q is a bad text", text))
		default:
			b.SetString(a.column, i, strings.ToUpper(text))
		}
	}
	return appendTo(a.Trace, trace.String())
}

// words produces a row for each word of a text. If a text is a number, it
// produces that many rows.
type words struct{}

func (words) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	p.KeepInput("input")
	p.AddColumn("word", "string")
	return nil
}

func (words) FlatMap(ctx context.Context, a *args, b *plugin.FlatBatch) error {
	if err := fault(a.Fault); err != nil {
		return err
	}
	if err := hold(ctx, a.Hold); err != nil {
		return err
	}
	var trace strings.Builder
	for i := range b.N {
		text, _ := b.String(a.Text, i)
		fmt.Fprintln(&trace, text)
		if a.Bad != "" && strings.Contains(text, a.Bad) {
			b.Fail(i, false, fmt.Errorf("%q is a bad text", text))
		}
		if n, err := strconv.Atoi(text); err == nil {
			for k := range n {
				b.SetString("word", b.Yield(i), strconv.Itoa(k))
			}
			continue
		}
		for _, word := range strings.Fields(text) {
			b.SetString("word", b.Yield(i), word)
		}
	}
	return appendTo(a.Trace, trace.String())
}

// tell reveals a credential in a log and in an error, in the forms in which
// libraries quote their input.
func tell(token string) error {
	header := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+token))
	fmt.Fprintln(os.Stderr, "the token is", token)
	fmt.Fprintf(os.Stderr, `{"@level":"warn","@message":"denied","@module":"http","token":%q,"header":%q}`+"\n", token, header)
	return fmt.Errorf("GET /?token=%s with %q and %x: %s is denied", url.QueryEscape(token), header, token, token)
}

type serviceArgs struct {
	Artifact plugin.Artifact `quern:"artifact,required" doc:"What is deployed."`
	Path     string          `quern:"path,required" doc:"File that is the deployment: it has a hash of the token in it. By the name 'values' or 'notes' the token is put into these, by 'infinite' the state has an infinity, by 'exit' the plugin ends, by 'small' a plan refuses an artifact with files."`
	Token    string          `quern:"token,required,sensitive" doc:"The credential, without which nothing can be changed."`
}

// service is a deployment that needs a credential, and puts it into its state
// if it is told to.
type service struct{}

var serviceValue = cty.Object(map[string]cty.Type{"path": cty.String, "said": cty.String, "load": cty.Number})

func (service) Prepare(_ context.Context, p *plugin.Prepare[serviceArgs]) error {
	p.SetValueType(serviceValue)
	return nil
}

func (service) Read(_ context.Context, r *plugin.DeploymentReadRequest[serviceArgs]) (*plugin.DeploymentState, error) {
	return r.State, nil
}

func (service) Plan(_ context.Context, p *plugin.DeploymentPlanRequest[serviceArgs]) (*plugin.DeploymentPlan, error) {
	if in := p.Artifact(p.Args.Artifact); in != nil && filepath.Base(p.Args.Path) == "small" {
		head, err := os.ReadFile(in.Files[0].Path)
		if err != nil {
			return nil, err
		}
		return nil, plugin.ArgumentErrorf("artifact", "the artifact is too large\n%s begins with %.1s.", in.Files[0].Name, head)
	}
	if p.Prior == nil {
		return &plugin.DeploymentPlan{Action: plugin.ActionCreate}, nil
	}
	return &plugin.DeploymentPlan{Action: plugin.ActionNone}, nil
}

func (service) Apply(_ context.Context, a *plugin.DeploymentApplyRequest[serviceArgs]) (*plugin.DeploymentState, error) {
	a.Warnf("token", "the token %q will be rotated", a.Args.Token)
	said, notes := "", []byte(nil)
	switch filepath.Base(a.Args.Path) {
	case "values":
		said = "Bearer " + a.Args.Token
	case "notes":
		notes = []byte("token=" + a.Args.Token)
	}
	attrs := map[string]cty.Value{"path": cty.StringVal(a.Args.Path), "said": cty.StringVal(said), "load": cty.Zero}
	err := os.WriteFile(a.Args.Path, []byte(hashOf(a.Args.Token)), 0o666)
	switch filepath.Base(a.Args.Path) {
	case "infinite":
		attrs["load"] = cty.PositiveInfinity
	case "exit":
		os.Exit(3)
	}
	return &plugin.DeploymentState{Value: cty.ObjectVal(attrs), Private: notes}, err
}

func (service) Delete(_ context.Context, d *plugin.DeploymentDeleteRequest[serviceArgs]) error {
	path := d.State.Value.GetAttr("path").AsString()
	want, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(want) != hashOf(d.Args.Token) {
		return fmt.Errorf("the token %q is wrong", d.Args.Token)
	}
	return os.Remove(path)
}

func hashOf(token string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(token))) }

type stepArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"Rows to learn from."`
	Hold    string         `quern:"hold,operational" doc:"Named pipes HOLD.begun and HOLD.save: the first is written when the work begins, the second is read before a checkpoint is left."`
}

// steps works until it is stopped, saves a checkpoint, and continues from
// there.
type steps struct{}

func (steps) Prepare(_ context.Context, p *plugin.Prepare[stepArgs]) error {
	p.ReadAll("dataset")
	p.AddReport("")
	p.SetValueType(cty.Object(map[string]cty.Type{"resumed": cty.Bool}))
	return nil
}

func (steps) StopGrace() time.Duration { return time.Minute }

func (steps) Run(ctx context.Context, r *plugin.Run[stepArgs]) error {
	if _, err := r.Folder(""); err != nil {
		return err
	}
	checkpoint := filepath.Join(r.WorkDir, "checkpoint")
	_, err := os.Stat(checkpoint)
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"resumed": cty.BoolVal(err == nil)}))
	if err == nil || r.Args.Hold == "" {
		return nil
	}
	if err := os.WriteFile(r.Args.Hold+".begun", []byte("begun\n"), 0); err != nil {
		return err
	}
	<-ctx.Done()
	if _, err := os.ReadFile(r.Args.Hold + ".save"); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(checkpoint, nil, 0o666), ctx.Err())
}

type filesArgs struct {
	Files  map[string]string `quern:"files,required" doc:"The files' contents in base64, by name."`
	Format string            `quern:"format,required" doc:"The model's format."`
}

// files makes a model of files.
type files struct{}

func (files) Prepare(_ context.Context, p *plugin.Prepare[filesArgs]) error {
	p.AddModel("", p.Args.Format, plugin.Signature{})
	return nil
}

func (files) Run(_ context.Context, r *plugin.Run[filesArgs]) error {
	dir, err := r.Folder("")
	if err != nil {
		return err
	}
	for name, text := range r.Args.Files {
		content, err := base64.StdEncoding.DecodeString(text)
		if err == nil {
			path := filepath.Join(dir, filepath.FromSlash(name))
			err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, content, 0o666))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func appendTo(file, text string) error {
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// hold reports through a named pipe that it is working, and waits for a message
// through another.
func hold(ctx context.Context, pipes string) error {
	if pipes == "" {
		return nil
	}
	if err := os.WriteFile(pipes+".begun", []byte("begun\n"), 0); err != nil {
		return err
	}
	word := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(pipes + ".go")
		word <- err
	}()
	select {
	case err := <-word:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func fault(kind string) error {
	switch kind {
	case "exit":
		fmt.Fprintln(os.Stderr, "the disk of the test plugin is on fire")
		os.Exit(3)
	case "panic":
		panic("the test plugin lost its way")
	case "hang":
		select {}
	case "print":
		fmt.Println("a plugin that prints to stdout")
	case "allocate":
		return allocate()
	case "error":
		return errors.New("the test plugin does not want to")
	}
	return nil
}

// allocate allocates memory and uses it, until there is none left or it has 4
// GiB.
func allocate() error {
	var all [][]byte
	for range 64 {
		all = append(all, bytes.Repeat([]byte{1}, 64<<20))
	}
	return fmt.Errorf("%d MiB were not too much", len(all)*64)
}

// release returns the version of the plugin and the behavior version of
// test_upper, which a test can append to the program as a line "release VERSION
// BEHAVIOR".
func release() (version string, behavior int64) {
	version, behavior = cmp.Or(os.Getenv("TEST_PLUGIN_VERSION"), "1.2.0"), 1
	program, err := os.Executable()
	if err != nil {
		return version, behavior
	}
	f, err := os.Open(program)
	if err != nil {
		return version, behavior
	}
	defer f.Close()
	end := make([]byte, 64)
	if _, err := f.Seek(-int64(len(end)), io.SeekEnd); err != nil {
		return version, behavior
	}
	n, _ := io.ReadFull(f, end)
	if _, line, found := strings.Cut(string(end[:n]), "\nrelease "); found {
		fmt.Sscan(line, &version, &behavior)
	}
	return version, behavior
}

func main() {
	calls := &calls{}
	version, behavior := release()
	plugin.Serve(plugin.Plugin{
		Name: "test", Version: version, Configure: calls.configure, Functions: functions(behavior),
		Types: []plugin.Type{
			plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "test_upper", Doc: "Writes texts in capitals.", BehaviorVersion: behavior}, upper{}),
			plugin.NewFlatMapper(plugin.Info{Kind: plugin.KindTransform, Name: "test_words", Doc: "Makes a row of each word.", BehaviorVersion: 1}, words{}),
			plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "test_clock", Doc: "Never holds the same.", BehaviorVersion: 1}, clock{&atomic.Int64{}}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindTrain, Name: "test_steps", Doc: "Works until it is stopped.", BehaviorVersion: 1}, steps{}),
			plugin.NewProvider(plugin.Info{Name: "test_base", Doc: "Repeats what it is told.", BehaviorVersion: 1}, base{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindTrain, Name: "test_tune", Doc: "Starts from a model.", BehaviorVersion: 1}, tune{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindTrain, Name: "test_files", Doc: "Makes a model of files.", BehaviorVersion: 1}, files{}),
			plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "test_batch", Doc: "Has texts labeled by a service that takes its time.", BehaviorVersion: 1}, batch{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindTrain, Name: "test_job", Doc: "Trains with a hosted job.", BehaviorVersion: 1}, job{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindTrain, Name: "test_prompt", Doc: "Changes a prompt.", BehaviorVersion: 1}, prompter{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindTrain, Name: "test_parrot", Doc: "Trains a language model.", BehaviorVersion: 1}, parrot{calls}),
			plugin.NewProvider(plugin.Info{Name: "test_wrapped", Doc: "Calls a language model that test_parrot trained.", BehaviorVersion: 1}, wrapper{calls}),
			plugin.NewDeployment(plugin.Info{Kind: plugin.KindDeploy, Name: "test_service", Doc: "Deploys where a credential is needed.", BehaviorVersion: 1}, service{}),
		},
	})
}
