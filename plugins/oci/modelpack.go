package oci

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"

	"github.com/quern-dev/quern/plugins/provenance"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// The names of the ModelPack specification.
const (
	artifactType       = "application/vnd.cncf.model.manifest.v1+json"
	configType         = "application/vnd.cncf.model.config.v1+json"
	weightType         = "application/vnd.cncf.model.weight.v1.raw"
	weightConfigType   = "application/vnd.cncf.model.weight.config.v1.raw"
	docType            = "application/vnd.cncf.model.doc.v1.raw"
	codeType           = "application/vnd.cncf.model.code.v1.raw"
	filepathAnnotation = "org.cncf.model.filepath"
	metadataAnnotation = "org.cncf.model.file.metadata+json"
	untestedAnnotation = "org.cncf.model.file.mediatype.untested"
)

// The annotations of quern.
const (
	ownPrefix          = "dev.quern."
	artifactAnnotation = ownPrefix + "artifact"
	baseAnnotation     = ownPrefix + "base"
	dataAnnotation     = ownPrefix + "data."
)

// modelConfig is the configuration of a model in the ModelPack specification.
type modelConfig struct {
	Descriptor struct {
		Family      string   `json:"family,omitempty"`
		Name        string   `json:"name,omitempty"`
		Version     string   `json:"version,omitempty"`
		Description string   `json:"description,omitempty"`
		Revision    string   `json:"revision,omitempty"`
		Licenses    []string `json:"licenses,omitempty"`
	} `json:"descriptor"`
	Config struct {
		Format    string `json:"format,omitempty"`
		Precision string `json:"precision,omitempty"`
	} `json:"config"`
	ModelFS struct {
		Type    string          `json:"type"`
		DiffIDs []digest.Digest `json:"diffIds"`
	} `json:"modelfs"`
}

// fileMetadata is the value of metadataAnnotation. Only the name and the size
// are facts; the rest is constant, so that equal models have equal manifests.
type fileMetadata struct {
	Name     string    `json:"name"`
	Mode     uint32    `json:"mode"`
	UID      uint32    `json:"uid"`
	GID      uint32    `json:"gid"`
	Size     int64     `json:"size"`
	ModTime  time.Time `json:"mtime"`
	Typeflag byte      `json:"typeflag"`
}

// pushed is a model in the form in which it is pushed.
type pushed struct {
	layers                   []layer
	config, manifest         ocispec.Descriptor
	configText, manifestText []byte
}

// layer is a file of the model.
type layer struct {
	descriptor ocispec.Descriptor
	path       string
}

// pack describes a model. The same model, metadata, reference, and commit give
// the same manifest.
func pack(in *plugin.ModelFiles, model *provenance.Model, a *args, ref registry.Reference, commit string) (*pushed, error) {
	p := &pushed{}
	for _, f := range in.Files {
		l, err := newLayer(f)
		if err != nil {
			return nil, err
		}
		p.layers = append(p.layers, l)
	}
	var err error
	if p.configText, err = json.Marshal(p.modelConfig(in, model, a, ref, commit)); err != nil {
		return nil, fmt.Errorf("encode the configuration of the model: %w", err)
	}
	p.config = describe(configType, p.configText)
	p.manifestText, err = json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config: p.config, Layers: p.descriptors(), Annotations: annotations(in, model, a, commit),
	})
	if err != nil {
		return nil, fmt.Errorf("encode the manifest: %w", err)
	}
	p.manifest = describe(ocispec.MediaTypeImageManifest, p.manifestText)
	return p, nil
}

func describe(mediaType string, text []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
}

func (p *pushed) modelConfig(in *plugin.ModelFiles, model *provenance.Model, a *args, ref registry.Reference, commit string) *modelConfig {
	c := &modelConfig{}
	d := &c.Descriptor
	d.Family, d.Name, d.Version, d.Description, d.Revision, d.Licenses = model.Family, a.Name, a.Version, a.Description, commit, a.Licenses
	if d.Name == "" {
		d.Name = path.Base(ref.Repository)
	}
	c.Config.Format, c.Config.Precision = provenance.Format(in.Format, in.Files), model.Precision
	c.ModelFS.Type = "layers"
	for _, l := range p.layers {
		c.ModelFS.DiffIDs = append(c.ModelFS.DiffIDs, l.descriptor.Digest)
	}
	return c
}

func annotations(in *plugin.ModelFiles, model *provenance.Model, a *args, commit string) map[string]string {
	out := map[string]string{artifactAnnotation: in.Digest}
	for name, value := range a.Annotations {
		out[name] = value
	}
	for name, value := range map[string]string{
		baseAnnotation: model.BaseName(), ocispec.AnnotationRevision: commit, ocispec.AnnotationLicenses: strings.Join(a.Licenses, " AND "),
	} {
		if _, given := a.Annotations[name]; value != "" && !given {
			out[name] = value
		}
	}
	for _, name := range model.DataNames() {
		out[dataAnnotation+name] = model.Data[name]
	}
	return out
}

func newLayer(f plugin.File) (layer, error) {
	mediaType, known := mediaTypeOf(f.Name)
	metadata, err := json.Marshal(fileMetadata{Name: f.Name, Mode: 0o644, Size: f.Size, ModTime: time.Unix(0, 0).UTC(), Typeflag: '0'})
	if err != nil {
		return layer{}, fmt.Errorf("describe %s: %w", f.Name, err)
	}
	d := ocispec.Descriptor{
		MediaType: mediaType, Digest: digest.Digest(f.Digest), Size: f.Size,
		Annotations: map[string]string{filepathAnnotation: f.Name, metadataAnnotation: string(metadata), ocispec.AnnotationTitle: f.Name},
	}
	if !known {
		d.Annotations[untestedAnnotation] = "true"
	}
	return layer{d, f.Path}, nil
}

// mediaTypeOf returns the media type of a file by its name. known is false for a
// name that does not say what the file contains.
func mediaTypeOf(name string) (mediaType string, known bool) {
	base, ext := strings.ToUpper(path.Base(name)), strings.ToLower(path.Ext(name))
	in := func(all ...string) bool { return slices.Contains(all, ext) }
	switch {
	case strings.HasPrefix(base, "README"), strings.HasPrefix(base, "LICENSE"), strings.HasPrefix(base, "NOTICE"), in(".md"):
		return docType, true
	case in(".safetensors", ".gguf", ".onnx", ".bin", ".pt", ".pth"):
		return weightType, true
	case in(".json", ".jinja", ".model", ".txt", ".yaml", ".yml"):
		return weightConfigType, true
	case in(".py"):
		return codeType, true
	}
	return weightType, false
}
