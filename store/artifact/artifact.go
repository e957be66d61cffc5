// Package artifact stores the results of stages: datasets, models, and reports.
// Each is a manifest that names the blobs it consists of.
//
// The manifest is itself a blob, identified by the digest of its bytes. Keys
// are computed from the logical digest in Ref, which depends on values and on
// the contents of files, but not on how the rows of a dataset were split and
// compressed.
package artifact

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io/fs"
	"slices"
	"strings"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"

	// It behaves as encoding/json, which is to become this package, and takes two thirds of
	// the time.
	fastjson "github.com/go-json-experiment/json/v1"
)

// Format is the version of the manifest.
const Format = "quern.artifact/v1"

// The kinds of artifacts.
const (
	Dataset = "dataset"
	Model   = "model"
	Report  = "report"
)

// Artifact is a result of a stage.
type Artifact struct {
	Format string `json:"format"`
	Kind   string `json:"kind"`
	// Dataset is set for a dataset, and may be for a report.
	Dataset *dataset.Manifest `json:"dataset,omitempty"`
	// Files of a model or report, sorted by name.
	Files []File `json:"files,omitempty"`
	// ModelFormat names a model's format: quern.linear/v1.
	ModelFormat string `json:"model_format,omitempty"`
	// Signature of a model: the columns that a prediction reads and returns.
	Signature json.RawMessage `json:"signature,omitempty"`
	// Features of a model: the expressions that compute its inputs from a row,
	// by input name. They are part of the logical digest, so they must not
	// contain anything that does not belong in a key, such as source ranges.
	Features json.RawMessage `json:"features,omitempty"`
	// Value is the plain values of a report.
	Value *value.Value `json:"value,omitempty"`
}

// File is a file of an artifact.
type File struct {
	Name   string `json:"name"` // slash-separated, relative
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// Ref identifies an artifact.
type Ref struct {
	Kind     string `json:"kind"`
	Manifest string `json:"manifest"` // digest of the manifest's blob
	Digest   string `json:"digest"`   // logical: keys are computed from it
}

// Put stores an artifact's manifest. Its blobs must be in the store.
func Put(blobs *blob.Store, a *Artifact) (Ref, error) {
	if a.Format == "" {
		a.Format = Format
	}
	slices.SortFunc(a.Files, func(x, y File) int { return strings.Compare(x.Name, y.Name) })
	if err := a.Check(); err != nil {
		return Ref{}, fmt.Errorf("store a %s: %w", a.Kind, err)
	}
	text, err := json.Marshal(a)
	if err != nil {
		return Ref{}, fmt.Errorf("store a %s: %w", a.Kind, err)
	}
	digest, err := a.Digest()
	if err != nil {
		return Ref{}, fmt.Errorf("store a %s: %w", a.Kind, err)
	}
	ref, err := blobs.Put(text)
	if err != nil {
		return Ref{}, fmt.Errorf("store a %s: %w", a.Kind, err)
	}
	return Ref{Kind: a.Kind, Manifest: ref.Digest, Digest: digest}, nil
}

// Get reads and verifies an artifact's manifest. If it is missing or damaged,
// the error is *blob.Missing or *blob.Damaged.
func Get(blobs *blob.Store, ref Ref) (*Artifact, error) {
	text, err := blobs.Get(ref.Manifest)
	if err != nil {
		return nil, fmt.Errorf("read the manifest of a %s: %w", ref.Kind, err)
	}
	a, err := Decode(text)
	if err != nil {
		return nil, fmt.Errorf("read the manifest of a %s: %w", ref.Kind, err)
	}
	if a.Kind != ref.Kind {
		return nil, fmt.Errorf("read the manifest of a %s: it is the manifest of a %s", ref.Kind, a.Kind)
	}
	return a, nil
}

// Decode reads a manifest and checks that it is consistent.
func Decode(text []byte) (*Artifact, error) {
	a := &Artifact{}
	if err := fastjson.Unmarshal(text, a); err != nil {
		return nil, err
	}
	return a, a.Check()
}

// Check returns an error if a manifest is invalid.
func (a *Artifact) Check() error {
	if a.Format != Format {
		return fmt.Errorf("its format is %q, but this version of quern supports %q", a.Format, Format)
	}
	switch a.Kind {
	case Dataset:
		if a.Dataset == nil {
			return fmt.Errorf("it does not describe a dataset")
		}
	case Model, Report:
	default:
		return fmt.Errorf("unknown kind of artifact %q", a.Kind)
	}
	if a.Dataset != nil {
		if err := a.Dataset.Check(); err != nil {
			return err
		}
	}
	last := ""
	for _, f := range a.Files {
		if !fs.ValidPath(f.Name) || f.Name == "." || strings.Contains(f.Name, `\`) {
			return fmt.Errorf("%q is not a valid file name", f.Name)
		}
		if f.Name <= last {
			return fmt.Errorf("file %q is out of order", f.Name)
		}
		last = f.Name
		if _, err := blob.Hex(f.Digest); err != nil {
			return fmt.Errorf("file %q: %w", f.Name, err)
		}
	}
	return nil
}

// Digest returns the artifact's logical digest. For a dataset, it is that of
// its manifest.
func (a *Artifact) Digest() (string, error) {
	if a.Kind == Dataset {
		return a.Dataset.Digest(), nil
	}
	h := sha256.New()
	field(h, []byte("quern.artifact.digest/v1"))
	field(h, []byte(a.Kind))
	field(h, []byte(a.ModelFormat))
	for _, raw := range []json.RawMessage{a.Signature, a.Features} {
		text, err := canonicalJSON(raw)
		if err != nil {
			return "", err
		}
		field(h, text)
	}
	if a.Dataset != nil {
		field(h, []byte(a.Dataset.Digest()))
	} else {
		field(h, nil)
	}
	v, err := valueText(a.Value)
	if err != nil {
		return "", err
	}
	field(h, v)
	for _, f := range a.Files {
		field(h, []byte(f.Name))
		field(h, []byte(f.Digest))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

func field(h hash.Hash, b []byte) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
	h.Write(n[:])
	h.Write(b)
}

func valueText(v *value.Value) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	return v.MarshalJSON()
}

// canonicalJSON returns the text of a JSON value with sorted keys and without
// white space.
func canonicalJSON(raw json.RawMessage) ([]byte, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
