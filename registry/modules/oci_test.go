package modules

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	server "github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
)

// push pushes layers to a registry as one artifact, and returns its digest.
func push(t *testing.T, repo *remote.Repository, tag string, layers ...[]byte) string {
	t.Helper()
	ctx := t.Context()
	var descriptors []ocispec.Descriptor
	for _, layer := range layers {
		d := content.NewDescriptorFromBytes("archive/zip", layer)
		if err := repo.Push(ctx, d, bytes.NewReader(layer)); err != nil {
			t.Fatal(err)
		}
		descriptors = append(descriptors, d)
	}
	d, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, "application/vnd.quern.module", oras.PackManifestOptions{Layers: descriptors})
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.Tag(ctx, d, tag); err != nil {
		t.Fatal(err)
	}
	return d.Digest.String()
}

func TestArtifactsOfARegistry(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	s := httptest.NewServer(server.New(server.Logger(log.New(io.Discard, "", 0))))
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "http://")
	repo, err := remote.NewRepository(host + "/acme/text")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	digests := map[string]string{}
	for _, tag := range []string{"1.0.0", "1.2.0", "v1.10.0", "latest"} {
		digests[tag] = push(t, repo, tag, zipOf(t, []entry{{name: "main.quern.hcl", content: tag}}))
	}
	push(t, repo, "two", []byte("a"), []byte("b"))
	push(t, repo, "page", []byte("<html>"))
	for _, c := range []struct{ query, constraint, version, tag string }{
		{"", "", "", "latest"},
		{"?tag=1.2.0", "", "", "1.2.0"},
		{"?digest=" + digests["1.0.0"], "", "", "1.0.0"},
		{"", "~> 1.0", "1.10.0", "v1.10.0"},
		{"", "< 1.10", "1.2.0", "1.2.0"},
	} {
		dir, r, err := get(t, "oci://"+host+"/acme/text"+c.query, c.constraint)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if r.Pin != digests[c.tag] || r.Version != c.version || textOf(t, dir, "main.quern.hcl") != c.tag {
			t.Errorf("%+v: %+v", c, r)
		}
	}
	for _, c := range []struct{ source, constraint, want string }{
		{"/acme/text?tag=nope", "", `it has no tag "nope"`},
		{"/acme/text", ">= 2.0", `no version satisfies ">= 2.0"; the newest is v1.10.0`},
		{"/acme/text?tag=two", "", "must have one layer, which is an archive, but its manifest has 2"},
		{"/acme/text?tag=page", "", "it is not an archive"},
		{"/acme/none", "", `it has no tag "latest"`},
		{"/acme/text?digest=sha256:" + strings.Repeat("0", 64), "", "no longer exists"},
		{"/acme/text?tag=1.0.0", "1.0.0", "remove one of the two"},
	} {
		_, _, err := get(t, "oci://"+host+c.source, c.constraint)
		wantError(t, err, c.want)
	}
}

func TestAnEndedRunFetchesNothing(t *testing.T) {
	repo := newRepo(t)
	s, err := Parse(repo.source(""))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Choose(ctx, s, nil); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Error(err)
	}
}
