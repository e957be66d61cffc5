package finetune

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
	"github.com/quern-dev/quern/lang/diag"
)

// Open reads the options in a YAML or JSON file of another trainer, and begins
// the recipe that they become. required is a key that every configuration of
// the tool has; hint says what else one has.
func Open(path, tool, required, hint string) (*Options, *Recipe, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, nil, fmt.Errorf("cannot read the configuration: %w", err)
	} else if info.IsDir() {
		return nil, nil, diag.Failed(fmt.Sprintf("%s is a folder", path), "Name the YAML file of the configuration.")
	}
	folder := &config.Folder{Dir: filepath.Dir(path)}
	root, err := folder.Read(filepath.Base(path))
	if err != nil {
		return nil, nil, err
	}
	if !root.Get(required).IsSet() {
		return nil, nil, diag.Failed(fmt.Sprintf("the file %s is not a configuration of %s", path, tool), "%s", hint)
	}
	stem := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	return NewOptions(folder, root), &Recipe{Name: hcltext.Identifier(stem, "model"), Tool: tool, File: root.File}, nil
}

// Options are the options of another trainer. Each must be read or explained:
// Rest reports those that were not.
type Options struct {
	*config.Folder
	root config.Node
	read map[string]bool
}

// NewOptions returns the options in a mapping.
func NewOptions(folder *config.Folder, root config.Node) *Options {
	folder.Main = root.File
	return &Options{Folder: folder, root: root, read: map[string]bool{}}
}

// Root is the mapping.
func (o *Options) Root() config.Node { return o.root }

// Take returns the value of an option, which Rest then does not report.
func (o *Options) Take(key string) config.Node {
	o.read[key] = true
	return o.root.Get(key)
}

// Peek returns the value of an option that other code reads.
func (o *Options) Peek(key string) config.Node { return o.root.Get(key) }

// At returns the place of an option's name.
func (o *Options) At(key string) config.Node {
	for _, e := range o.root.Entries() {
		if e.Key == key {
			return e.At
		}
	}
	return o.root
}

// Ignore reports an option as lost, with the reason, if it is set.
func (o *Options) Ignore(key, reason string) {
	if active(o.Take(key)) {
		o.Lost(o.At(key), key, "%s", reason)
	}
}

// active reports whether a value switches anything on.
func active(n config.Node) bool {
	switch v := n.Plain().(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case config.Object:
		return len(v) > 0
	}
	return true
}

// Explained maps options, or the beginnings of their names followed by *, to
// what users should know about them.
type Explained map[string]string

func (e Explained) of(key string) string {
	if text, ok := e[key]; ok {
		return text
	}
	for pattern, text := range e {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok && strings.HasPrefix(key, prefix) {
			return text
		}
	}
	return ""
}

// Rest reports the options that were not read: as a note if notes explain them,
// and as lost otherwise, with the reason in lost if there is one.
func (o *Options) Rest(notes, lost Explained) {
	for _, e := range o.root.Entries() {
		if o.read[e.Key] || !active(e.Value) {
			continue
		}
		if text := notes.of(e.Key); text != "" {
			o.Note(e.At, e.Key, "%s", text)
			continue
		}
		text := lost.of(e.Key)
		if text == "" {
			text = "it has no equivalent."
		}
		o.Lost(e.At, e.Key, "%s", text)
	}
}

// Number copies a number to an argument, if it is set.
func (o *Options) Number(key string, to *Attributes, argument string) {
	n := o.Take(key)
	if !n.IsSet() {
		return
	}
	v, ok := n.Number()
	if !ok {
		o.Lost(o.At(key), key, "%s is not a number.", n.Text())
		return
	}
	to.Value(argument, v)
}

// NumberOr copies a number to an argument, or a default of the other trainer if
// it is not set.
func (o *Options) NumberOr(key string, other float64, to *Attributes, argument string) {
	if !o.Peek(key).IsSet() {
		o.Take(key)
		to.Value(argument, other)
		return
	}
	o.Number(key, to, argument)
}

// Choice copies a word to an argument in the plugin's terms. An unknown word is
// lost, and the argument keeps its default.
func (o *Options) Choice(key, other string, to *Attributes, argument string, words map[string]string) {
	n := o.Take(key)
	word := n.Text()
	if word == "" {
		word = other
	}
	mapped, ok := words[word]
	if !ok {
		o.Lost(o.At(key), key+" "+word, "the plugin hf does not offer it, so %s has its default.", argument)
		return
	}
	to.Set(argument, hcltext.Quote(mapped))
}

// Optimizers are the usual names of optimizers and those of the plugin hf.
var Optimizers = map[string]string{
	"adamw_torch": "adamw", "adamw_torch_fused": "adamw", "adamw_hf": "adamw", "adamw_bnb_8bit": "adamw_8bit", "adamw_8bit": "adamw_8bit",
	"paged_adamw_8bit": "paged_adamw_8bit", "adafactor": "adafactor", "sgd": "sgd",
}

// Schedules are the names of learning rate schedules, which are those of
// transformers.
var Schedules = map[string]string{
	"linear": "linear", "cosine": "cosine", "constant": "constant", "constant_with_warmup": "constant_with_warmup",
	"inverse_sqrt": "inverse_sqrt", "polynomial": "polynomial",
}

// Local reports whether the name of a model is that of a folder: it exists, or
// it can be nothing else.
func (o *Options) Local(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "/") || strings.Count(name, "/") > 1 || o.IsFolder(name)
}
