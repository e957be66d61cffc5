package modules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// artifact is an artifact of an OCI registry: a manifest with one layer, which is
// an archive.
type artifact struct {
	reference registry.Reference
	// tag or digest, if the source names one.
	tag    string
	digest digest.Digest
}

// defaultTag is the tag of a source that names neither a tag, a digest, nor a
// version.
const defaultTag = "latest"

// maxManifest is the maximum size of a manifest, in bytes.
const maxManifest = 4 << 20

func newArtifact(u *url.URL, query url.Values) (origin, error) {
	given, err := take(query, "the source of an OCI artifact", "tag", "digest")
	if err != nil {
		return nil, err
	}
	if len(given) > 1 {
		return nil, errors.New("the source of an OCI artifact can name a tag or a digest, but not both")
	}
	ref := registry.Reference{Registry: u.Host, Repository: strings.Trim(u.Path, "/")}
	if i := strings.IndexAny(ref.Repository, ":@"); i >= 0 {
		return nil, fmt.Errorf("write the tag or digest of an OCI artifact as a parameter: oci://%s/%s?tag=TAG", ref.Registry, ref.Repository[:i])
	}
	if u.User != nil || ref.ValidateRegistry() != nil || ref.ValidateRepository() != nil {
		return nil, fmt.Errorf("%q is not a repository of an OCI registry: write \"oci://REGISTRY/REPOSITORY\"", Redact(u.String()))
	}
	a := &artifact{reference: ref, tag: given["tag"]}
	if text := given["digest"]; text != "" {
		if a.digest, err = digest.Parse(text); err != nil {
			return nil, fmt.Errorf("the digest %q is malformed: %w", text, err)
		}
	}
	ref.Reference = a.tag
	if a.tag != "" && ref.ValidateReferenceAsTag() != nil {
		return nil, fmt.Errorf("%q is not a tag", a.tag)
	}
	return a, nil
}

func (a *artifact) address() string {
	return "oci://" + a.reference.Registry + "/" + a.reference.Repository
}

func (a *artifact) versioned() error {
	if a.tag != "" || a.digest != "" {
		return fmt.Errorf("the source names the artifact %q, so a version cannot be chosen; remove one of the two", a.tag+a.digest.String())
	}
	return nil
}

// open returns the repository. Credentials come from Docker's configuration.
func (a *artifact) open() (*remote.Repository, error) {
	docker, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("read Docker's configuration: %w", err)
	}
	c := &auth.Client{Client: retry.DefaultClient, Cache: auth.NewCache(), Header: http.Header{"User-Agent": {"quern"}}, Credential: credentials.Credential(docker)}
	return &remote.Repository{Reference: a.reference, Client: c, PlainHTTP: isLoopback(a.reference.Host())}, nil
}

func (a *artifact) choose(ctx context.Context, constraints version.Constraints) (Release, error) {
	if a.digest != "" {
		return Release{Pin: a.digest.String()}, nil
	}
	repo, err := a.open()
	if err != nil {
		return Release{}, err
	}
	tag, chosen := a.tag, ""
	switch {
	case constraints != nil:
		if tag, chosen, err = newestTag(ctx, repo, constraints); err != nil {
			return Release{}, err
		}
	case tag == "":
		tag = defaultTag
	}
	d, err := repo.Resolve(ctx, tag)
	if errors.Is(err, errdef.ErrNotFound) {
		return Release{}, fmt.Errorf("it has no tag %q", tag)
	}
	if err != nil {
		return Release{}, err
	}
	return Release{Version: chosen, Pin: d.Digest.String()}, nil
}

// newestTag returns the tag of the newest version, and the version.
func newestTag(ctx context.Context, repo *remote.Repository, constraints version.Constraints) (tag, chosen string, err error) {
	var versions []*version.Version
	err = repo.Tags(ctx, "", func(page []string) error {
		for _, t := range page {
			if v := versionOf(t); v != nil {
				versions = append(versions, v)
			}
		}
		return nil
	})
	if err != nil {
		return "", "", err
	}
	i := newest(versions, constraints)
	if i < 0 {
		return "", "", noVersion(versions, constraints)
	}
	return versions[i].Original(), versions[i].String(), nil
}

func (a *artifact) fetch(ctx context.Context, r Release, to *writer) error {
	repo, err := a.open()
	if err != nil {
		return err
	}
	layer, err := onlyLayer(ctx, repo, r.Pin)
	if err != nil {
		return err
	}
	body, err := repo.Fetch(ctx, layer)
	if err != nil {
		return err
	}
	defer body.Close()
	file, err := os.CreateTemp("", "quern-module-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	verified := content.NewVerifyReader(body, layer)
	if _, err := io.Copy(file, verified); err != nil {
		return fmt.Errorf("read the layer: %w", err)
	}
	if err := verified.Verify(); err != nil {
		return fmt.Errorf("read the layer: %w", err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return unpack(file, to)
}

// onlyLayer returns the layer of a manifest.
func onlyLayer(ctx context.Context, repo *remote.Repository, pin string) (layer ocispec.Descriptor, err error) {
	d, body, err := repo.FetchReference(ctx, pin)
	if errors.Is(err, errdef.ErrNotFound) {
		return layer, fmt.Errorf("the artifact %s no longer exists", pin)
	}
	if err != nil {
		return layer, err
	}
	defer body.Close()
	if d.Digest.String() != pin || d.Size > maxManifest {
		return layer, fmt.Errorf("the registry has another manifest, of %d bytes, under %s", d.Size, pin)
	}
	text, err := content.ReadAll(body, d) // checks the digest
	if err != nil {
		return layer, fmt.Errorf("read the manifest: %w", err)
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil {
		return layer, fmt.Errorf("read the manifest: %w", err)
	}
	if len(manifest.Layers) != 1 {
		return layer, fmt.Errorf("the artifact must have one layer, which is an archive, but its manifest has %d", len(manifest.Layers))
	}
	layer = manifest.Layers[0]
	if layer.Size > maxArchive {
		return layer, fmt.Errorf("the archive has more than %d MB", maxArchive>>20)
	}
	return layer, nil
}
