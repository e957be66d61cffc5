package plugin

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Prepare is one call of an implementation's Prepare method: it validates an
// instance and declares its output. Use it from one goroutine.
type Prepare[A any] struct {
	// Args holds zeros where values are not known yet; see Known.
	Args *A
	*preparation
}

// preparation is the part of Prepare that does not depend on the type of the
// arguments.
type preparation struct {
	instance *pluginv1.Instance
	unknown  []string
	out      *pluginv1.Prepared
	// dropped holds the columns that DropColumn removed.
	dropped []string
	err     error
}

func newPreparation(instance *pluginv1.Instance, unknown []string) *preparation {
	return &preparation{instance: instance, unknown: unknown, out: &pluginv1.Prepared{}}
}

// InputInfo is what is known about an input before anything runs.
type InputInfo struct {
	Kind ArtifactKind
	// Schema and Rows describe a dataset. Rows is nil if not known yet.
	Schema data.Schema
	Rows   *int64
	// Format and Signature describe a trained model.
	Format    string
	Signature Signature
	// Capabilities of a model, such as CanChat.
	Capabilities []string
}

// Can reports whether the input is a model with a capability.
func (i *InputInfo) Can(capability string) bool {
	return i != nil && slices.Contains(i.Capabilities, capability)
}

// Signature lists the columns that a model's prediction reads and returns.
type Signature struct{ Inputs, Outputs data.Schema }

// Estimate is what the work is expected to take. A nil field is unknown, which
// is not zero.
type Estimate struct {
	Rows         *int64
	Seconds      *float64
	InputTokens  *int64
	OutputTokens *int64
	// Money is for anything but calls of models, in the currency of the models'
	// prices. It needs Pays.
	Money *float64
}

// ModelCalls describes the requests that a stage makes to one model with one
// prompt.
type ModelCalls struct {
	// Prompt is the key of the argument that holds the request: a Prompt, or a
	// Column whose text is the user's message.
	Prompt string
	// Model is the key of the model.
	Model string
	// PerRow is the number of requests per row.
	PerRow float64
	// Added is the text that the stage adds to each request, such as
	// instructions or a schema.
	Added string
	// OutputTokens is the expected number of tokens per answer; nil if unknown.
	OutputTokens *int64
	// LongestAnswer is the longest possible answer, if the stage restricts its
	// form; empty if answers can have any length.
	LongestAnswer string
	// ReadsAnswers is true if each request contains an answer to another of the
	// stage's calls and, of the prompt, only the last user message, as a judge's
	// request does.
	ReadsAnswers bool
	// Texts are the keys of further row arguments whose texts are part of the
	// request.
	Texts []string
	// Draws is how many answers are requested for each request; 0 means one.
	Draws int
	// Most is the maximum number of these requests, however many rows there are; 0
	// means no limit. Such a stage decides by the answers what to ask next, so quern
	// refuses a model whose requests wait in batches.
	Most int
}

// Address returns the instance's address, such as label.intent["a"], for
// messages.
func (p *preparation) Address() string { return p.instance.Address }

// Name returns the block's name, the second part of the address: intent.
func (p *preparation) Name() string { return addressName(p.instance.Address) }

// addressName returns the name in an address, which can have keys of modules and of
// the instance: c in module.a["x.y"].label.c[0].
func addressName(address string) string {
	start, end, quoted := 0, len(address), false
	for i := 0; i < len(address); i++ {
		switch c := address[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '.':
			start, end = i+1, len(address)
		case c == '[':
			end = i
		}
	}
	return address[start:end]
}

// Known reports whether the argument at a key has a value already. If a value
// is unknown, so is everything inside it.
func (p *preparation) Known(key string) bool { return knownKey(p.unknown, key) }

// knownKey returns false if key, something that contains it, or something
// inside it is unknown.
func knownKey(unknown []string, key string) bool {
	for _, u := range unknown {
		if u == "" || u == key || strings.HasPrefix(key, u+".") || strings.HasPrefix(u, key+".") {
			return false
		}
	}
	return true
}

// Input returns what is known about the artifact at a key, or nil if the
// argument is not set.
func (p *preparation) Input(key string) *InputInfo {
	in := p.instance.Inputs[key]
	if in == nil {
		return nil
	}
	return &InputInfo{
		Kind: artifactKind(in.Kind), Schema: data.FromProto(in.Columns), Rows: in.Rows,
		Format: in.Format, Signature: signatureFromProto(in.Signature), Capabilities: in.Capabilities,
	}
}

// ModelBlock returns the model block at a key, or nil if it is not a block whose
// type this plugin offers.
func (p *preparation) ModelBlock(m Model) *ModelBlock { return modelBlock(p.instance, m.Key) }

// InputKeys returns the keys of all inputs, sorted.
func (p *preparation) InputKeys() []string {
	return slices.Sorted(maps.Keys(p.instance.Inputs))
}

// RowArgument returns the column type of a row expression's values and, if the
// expression is just row.NAME, that name. Both are empty if the argument is not
// set.
func (p *preparation) RowArgument(key string) (typ, column string) {
	a := p.instance.RowArguments[key]
	return a.GetType(), a.GetColumn()
}

// RowArgumentKeys returns the keys of all row expressions, sorted.
func (p *preparation) RowArgumentKeys() []string {
	return slices.Sorted(maps.Keys(p.instance.RowArguments))
}

// Notef tells the user in the plan how the stage works with these arguments, such
// as the error rates that follow from them. It is one line, and no warning.
func (p *preparation) Notef(format string, args ...any) {
	p.out.Notes = append(p.out.Notes, legible(fmt.Sprintf(format, args...)))
}

// Errorf reports a mistake in the argument at a key or, with an empty key, in
// the whole block. quern shows it at that place in the user's configuration.
// The first line of the text is the summary; the rest should say how to fix it.
func (p *preparation) Errorf(argument, format string, args ...any) {
	p.diagnose(pluginv1.Diagnostic_SEVERITY_ERROR, argument, format, args)
}

// Warnf reports something that may be a mistake.
func (p *preparation) Warnf(argument, format string, args ...any) {
	p.diagnose(pluginv1.Diagnostic_SEVERITY_WARNING, argument, format, args)
}

func (p *preparation) diagnose(severity pluginv1.Diagnostic_Severity, argument, format string, args []any) {
	p.out.Diagnostics = append(p.out.Diagnostics, described(severity, argument, fmt.Sprintf(format, args...)))
}

func (p *preparation) hasErrors() bool {
	return slices.ContainsFunc(p.out.Diagnostics, func(d *pluginv1.Diagnostic) bool {
		return d.Severity == pluginv1.Diagnostic_SEVERITY_ERROR
	})
}

// ReadAll declares that all columns of a dataset input are read.
func (p *preparation) ReadAll(input string) { p.reads(input).All = true }

// ReadColumns declares which columns of a dataset input are read in addition to
// those in row expressions. The plugin receives no others, and a change to
// another column does not run the stage again.
func (p *preparation) ReadColumns(input string, columns ...string) {
	r := p.reads(input)
	for _, c := range columns {
		if !slices.Contains(r.Columns, c) {
			r.Columns = append(r.Columns, c)
		}
	}
}

func (p *preparation) reads(input string) *pluginv1.Reads {
	if p.out.Reads == nil {
		p.out.Reads = map[string]*pluginv1.Reads{}
	}
	r := p.out.Reads[input]
	if r == nil {
		r = &pluginv1.Reads{}
		p.out.Reads[input] = r
	}
	return r
}

// SetValueType declares the plain values, such as metrics, that the instance
// produces: an object type.
func (p *preparation) SetValueType(t cty.Type) {
	if !t.IsObjectType() {
		p.misuse("SetValueType needs an object type, not %s", t.FriendlyName())
		return
	}
	b, err := t.MarshalJSON()
	if err != nil {
		p.misuse("SetValueType: %s", err)
		return
	}
	p.out.ValueType = b
}

// SetEstimate declares what the work is expected to take.
func (p *preparation) SetEstimate(e Estimate) {
	p.out.Estimate = &pluginv1.Estimate{
		Rows: e.Rows, Seconds: e.Seconds, InputTokens: e.InputTokens, OutputTokens: e.OutputTokens, Money: e.Money,
	}
}

// Pays declares that a Runner pays for something other than calls of models, such as
// for training at a provider. How much is Estimate.Money. unpriced is empty if Run
// knows the amount before it pays. Otherwise it says why it does not and what the user
// can do about it, in a sentence: "Set training_price and epochs." A budget in money
// then refuses the stage.
func (p *preparation) Pays(unpriced string) { p.out.Payment = &pluginv1.Payment{Unpriced: unpriced} }

// AddModelCalls declares requests that the stage makes to a model for each row,
// so that plans can show their cost.
func (p *preparation) AddModelCalls(c ModelCalls) {
	p.out.Calls = append(p.out.Calls, &pluginv1.ModelCalls{
		Prompt: c.Prompt, Model: c.Model, PerRow: c.PerRow, Added: c.Added, OutputTokens: c.OutputTokens,
		LongestAnswer: c.LongestAnswer, ReadsAnswers: c.ReadsAnswers, Texts: c.Texts, Draws: int64(c.Draws), Most: int64(c.Most),
	})
}

// VerifyWhenRead declares that a Runner reads its datasets only with Batches and package
// data, which verify a file before they first read it. Files that a run does not read,
// because it kept what it knows about them, are then not verified at all. Do not call it
// if another engine reads the files of Shards.
func (p *preparation) VerifyWhenRead() { p.out.VerifiesDatasets = true }

// UseOpenAIAPI asks quern to serve the stage's language models over HTTP, too, for
// a library that calls models only through OpenAI's API. Host.OpenAIAPI returns
// the address.
func (p *preparation) UseOpenAIAPI() { p.out.OpenaiApi = true }

// AddFile declares that the result depends on a file of the user, such as a
// script. Its content becomes part of the stage's definition, and quern calls
// Prepare again when it changes. name identifies the file among those of the
// instance; it must not depend on where the configuration is. If it is the name of
// an argument whose value is the file's path, the content takes the place of the
// path: the same content elsewhere is the same definition. For an argument that is
// a folder, declare its files as "ARGUMENT/PATH".
func (p *preparation) AddFile(name, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	content := bufio.NewReader(f)
	if head, _ := content.Peek(len(lfsPointer)); string(head) == lfsPointer {
		return errors.New("it is a Git LFS pointer; run git lfs pull to get the file itself")
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, content); err != nil {
		return err
	}
	p.out.Files = append(p.out.Files, &pluginv1.SourceFile{Name: name, Path: path, Digest: "sha256:" + hex.EncodeToString(sum.Sum(nil))})
	return nil
}

// lfsPointer is the beginning of a file that Git LFS has put in place of another.
const lfsPointer = "version https://git-lfs.github.com/spec/"

// Pin returns what a name that can move outside, such as a branch, refers to: a
// commit, for example. quern keeps the answer in its lock file, and passes it back
// until the user upgrades it. It calls resolve only if the name is not pinned
// yet. name says what is pinned to a person who reads the lock file, such as
// "huggingface.co/org/name@main". What it refers to is part of the definition, except
// for a source, whose Fingerprint must depend on it.
func (p *preparation) Pin(name string, resolve func() (string, error)) (string, error) {
	value, pinned := p.instance.Pins[name]
	if !pinned {
		var err error
		if value, err = resolve(); err != nil {
			return "", err
		}
	}
	if name == "" || value == "" {
		p.misuse("Pin needs a name, and something that it refers to; these are %q and %q", name, value)
	}
	if p.out.Pins == nil {
		p.out.Pins = map[string]string{}
	}
	p.out.Pins[name] = value
	return value, nil
}

// misuse records a mistake of the plugin's author, not of the user.
func (p *preparation) misuse(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}
