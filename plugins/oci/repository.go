package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// uploads is the number of layers that are pushed at the same time.
const uploads = 4

// repository is a repository of a registry, and a tag.
type repository struct{ *remote.Repository }

func parseReference(text string) (registry.Reference, error) {
	ref, err := registry.ParseReference(text)
	if err == nil {
		err = ref.ValidateReferenceAsTag()
	}
	if err != nil {
		return ref, fmt.Errorf("%q is not a reference with a tag\nUse REGISTRY/REPOSITORY:TAG, such as registry.example.com/models/student:prod (%w).", text, err)
	}
	return ref, nil
}

// open returns the repository of a reference. It makes no request.
func open(reference string, a *args) (*repository, error) {
	ref, err := parseReference(reference)
	if err != nil {
		return nil, err
	}
	client := &auth.Client{Client: retry.DefaultClient, Cache: auth.NewCache(), Header: http.Header{"User-Agent": {"quern"}}}
	if a.Username != "" {
		client.Credential = auth.StaticCredential(ref.Host(), auth.Credential{Username: a.Username, Password: a.Password})
	} else {
		docker, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
		if err != nil {
			return nil, fmt.Errorf("read Docker's configuration: %w", err)
		}
		client.Credential = credentials.Credential(docker)
	}
	return &repository{&remote.Repository{Reference: ref, Client: client, PlainHTTP: a.Insecure || isLoopback(ref.Host())}}, nil
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// tagged is what a tag points to.
type tagged struct {
	exists   bool
	artifact string // the digest of quern's artifact; "" if quern did not push it
}

// owner reports who pushed what the tag points to.
func (r *repository) owner(ctx context.Context) (tagged, error) {
	d, body, err := r.FetchReference(ctx, r.Reference.Reference)
	if errors.Is(err, errdef.ErrNotFound) {
		return tagged{}, nil
	}
	if err != nil {
		return tagged{}, err
	}
	defer body.Close()
	text, err := content.ReadAll(body, d)
	if err != nil {
		return tagged{}, err
	}
	var manifest struct {
		Annotations map[string]string `json:"annotations"`
	}
	// A manifest that is no JSON object was not pushed by quern.
	_ = json.Unmarshal(text, &manifest)
	return tagged{exists: true, artifact: manifest.Annotations[artifactAnnotation]}, nil
}

// push pushes what the repository does not have, and then the tag.
func (r *repository) push(ctx context.Context, p *pushed) error {
	group, inner := parallel.WithContext(ctx)
	group.SetLimit(uploads)
	seen := map[string]bool{}
	for _, l := range p.layers {
		if seen[l.descriptor.Digest.String()] {
			continue
		}
		seen[l.descriptor.Digest.String()] = true
		group.Go(func() error {
			return r.pushMissing(inner, l.descriptor, func() (io.ReadCloser, error) { return os.Open(l.path) })
		})
	}
	group.Go(func() error {
		return r.pushMissing(inner, p.config, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p.configText)), nil })
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if err := r.PushReference(ctx, p.manifest, bytes.NewReader(p.manifestText), r.Reference.Reference); err != nil {
		return err
	}
	found, err := r.Resolve(ctx, r.Reference.Reference)
	if err != nil {
		return err
	}
	if found.Digest != p.manifest.Digest {
		return fmt.Errorf("the tag points to %s after it was moved to %s: somebody else pushes to it", found.Digest, p.manifest.Digest)
	}
	return nil
}

func (r *repository) pushMissing(ctx context.Context, d ocispec.Descriptor, open func() (io.ReadCloser, error)) error {
	exists, err := r.Blobs().Exists(ctx, d)
	if err != nil || exists {
		return err
	}
	body, err := open()
	if err != nil {
		return err
	}
	defer body.Close()
	return r.Blobs().Push(ctx, d, body)
}

// errShared is the error for a tag that cannot be deleted without others.
var errShared = errors.New("other tags point to the same manifest")

// untag deletes the tag. In registries that cannot delete a tag alone, it deletes the
// manifest, unless other tags point to it.
func (r *repository) untag(ctx context.Context, d ocispec.Descriptor) error {
	scheme := "https"
	if r.PlainHTTP {
		scheme = "http"
	}
	ctx = auth.AppendRepositoryScope(ctx, r.Reference, auth.ActionDelete)
	url := fmt.Sprintf("%s://%s/v2/%s/manifests/%s", scheme, r.Reference.Host(), r.Reference.Repository, r.Reference.Reference)
	request, err := http.NewRequestWithContext(ctx, http.MethodDelete, url, nil)
	if err != nil {
		return err
	}
	response, err := r.Client.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	switch response.StatusCode {
	case http.StatusAccepted, http.StatusOK, http.StatusNoContent, http.StatusNotFound:
		return nil
	case http.StatusBadRequest, http.StatusMethodNotAllowed:
		if err := r.checkShared(ctx, d); err != nil {
			return err
		}
		err := r.Manifests().Delete(ctx, d)
		if errors.Is(err, errdef.ErrNotFound) {
			return nil
		}
		return err
	}
	return &errcode.ErrorResponse{Method: http.MethodDelete, URL: request.URL, StatusCode: response.StatusCode}
}

// checkShared returns errShared if another tag points to a manifest.
func (r *repository) checkShared(ctx context.Context, d ocispec.Descriptor) error {
	return r.Tags(ctx, "", func(tags []string) error {
		for _, tag := range tags {
			if tag == r.Reference.Reference {
				continue
			}
			other, err := r.Resolve(ctx, tag)
			if errors.Is(err, errdef.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if other.Digest == d.Digest {
				return errShared
			}
		}
		return nil
	})
}
