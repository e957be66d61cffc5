package oci

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	server "github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/errdef"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// deployed is a deployment of a model to a registry: go-containerregistry's, in
// this process.
type deployed struct {
	*plugintest.Deployed
	t        *testing.T
	registry *httptest.Server
	host     string
	args     map[string]any
	// writes counts requests that change something, and sent the bytes of their
	// bodies.
	writes, sent atomic.Int64
	// refuse answers a request in place of the registry if it returns true.
	refuse func(w http.ResponseWriter, r *http.Request) bool
}

type counted struct {
	io.ReadCloser
	to *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.to.Add(int64(n))
	return n, err
}

func deploy(t *testing.T) *deployed {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	d := &deployed{t: t}
	handler := server.New(server.Logger(log.New(io.Discard, "", 0)))
	d.registry = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.refuse != nil && d.refuse(w, r) {
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			d.writes.Add(1)
			r.Body = counted{r.Body, &d.sent}
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(d.registry.Close)
	d.host = strings.TrimPrefix(d.registry.URL, "http://")
	d.args = map[string]any{"reference": d.host + "/models/student:prod"}
	d.Deployed = plugintest.Deploy(t, Plugin("1.0.0"), plugintest.Case{Type: "oci", Args: d.args})
	d.model("1", map[string]string{
		"model.safetensors": "weights", "config.json": `{"model_type": "llama", "dtype": "bfloat16"}`, "README.md": "A model.",
		"deep/tokenizer.json": "{}", "quern.json": `{"method": "sft", "base": {"repo": "org/base", "revision": "abc"}, "data": {"dataset": "sha256:d"}}`,
	})
	return d
}

// model replaces the model to deploy.
func (d *deployed) model(digest string, files map[string]string) string {
	d.t.Helper()
	dir := d.t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			d.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			d.t.Fatal(err)
		}
	}
	d.Set("artifact", plugintest.Model{Format: "hf", Dir: dir})
	d.Digests["artifact"] = "sha256:" + strings.Repeat(digest, 64)
	return dir
}

func (d *deployed) value(name string) string {
	d.t.Helper()
	return d.Value().GetAttr(name).AsString()
}

// repository opens the repository as any client does.
func (d *deployed) repository(tag string) *repository {
	d.t.Helper()
	r, err := open(d.host+"/models/student:"+tag, &args{})
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

// pull pulls a tag with oras into a folder.
func (d *deployed) pull(reference string) string {
	d.t.Helper()
	dir := d.t.TempDir()
	to, err := file.New(dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer to.Close()
	if _, err := oras.Copy(d.t.Context(), d.repository("prod"), reference, to, reference, oras.DefaultCopyOptions); err != nil {
		d.t.Fatal(err)
	}
	return dir
}

func (d *deployed) manifest() (ocispec.Manifest, []byte) {
	d.t.Helper()
	_, text, err := oras.FetchBytes(d.t.Context(), d.repository("prod"), "prod", oras.DefaultFetchBytesOptions)
	if err != nil {
		d.t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		d.t.Fatal(err)
	}
	_, config, err := oras.FetchBytes(d.t.Context(), d.repository("prod").Blobs(), m.Config.Digest.String(), oras.DefaultFetchBytesOptions)
	if err != nil {
		d.t.Fatal(err)
	}
	return m, config
}

func TestTheLifeOfADeployment(t *testing.T) {
	d := deploy(t)
	d.WantPlan(plugin.ActionCreate)
	d.MustApply()
	d.WantPlan(plugin.ActionNone)
	if got, want := d.value("pinned"), d.host+"/models/student@"+d.value("digest"); got != want {
		t.Errorf("pinned is %q, want %q", got, want)
	}

	// Nothing has changed: another apply sends only the manifest, which is there.
	before := d.value("digest")
	d.sent.Store(0)
	d.MustApply()
	if d.value("digest") != before {
		t.Errorf("the same model has the digest %s and then %s", before, d.value("digest"))
	}

	d.Set("licenses", []string{"MIT"})
	d.Set("version", "2")
	d.WantPlan(plugin.ActionUpdate, "version", "licenses")
	d.MustApply()
	d.MustRead()
	d.WantPlan(plugin.ActionNone)

	d.Set("reference", d.host+"/models/student:next")
	if c := d.WantPlan(plugin.ActionReplace, "reference").Changes[0]; !c.ForcesReplacement {
		t.Errorf("got %+v", c)
	}
	if err := d.Delete(); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(); err != nil {
		t.Fatalf("the second time: %v", err)
	}
	d.MustRead()
	d.WantPlan(plugin.ActionCreate)
}

func TestWhatIsPushedFollowsTheModelPackSpecification(t *testing.T) {
	d := deploy(t)
	d.Set("licenses", []string{"Apache-2.0"})
	d.Set("annotations", map[string]string{"org.opencontainers.image.source": "https://example.com"})
	d.MustApply()
	m, config := d.manifest()
	if m.MediaType != ocispec.MediaTypeImageManifest || m.ArtifactType != artifactType || m.Config.MediaType != configType {
		t.Errorf("got %+v", m)
	}
	for name, want := range map[string]string{
		artifactAnnotation: "sha256:" + strings.Repeat("1", 64), "dev.quern.data.dataset": "sha256:d", "dev.quern.base": "org/base at abc",
		"org.opencontainers.image.licenses": "Apache-2.0", "org.opencontainers.image.source": "https://example.com",
	} {
		if got := m.Annotations[name]; got != want {
			t.Errorf("annotation %s is %q, want %q", name, got, want)
		}
	}
	if len(m.Annotations["org.opencontainers.image.revision"]) < 40 {
		t.Errorf("the commit is %q", m.Annotations["org.opencontainers.image.revision"])
	}
	types := map[string]string{}
	for _, l := range m.Layers {
		types[l.Annotations[filepathAnnotation]] = l.MediaType
	}
	want := map[string]string{
		"model.safetensors": weightType, "config.json": weightConfigType, "README.md": docType, "deep/tokenizer.json": weightConfigType, "quern.json": weightConfigType,
	}
	if !maps.Equal(types, want) {
		t.Errorf("got layers %v, want %v", types, want)
	}

	// testdata/config-schema.json is the specification's schema.
	compiled, err := jsonschema.NewCompiler().Compile("testdata/config-schema.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(config))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(value); err != nil {
		t.Errorf("%v\n%s", err, config)
	}
	for _, part := range []string{`"family":"llama"`, `"precision":"bfloat16"`, `"format":"safetensors"`, `"name":"student"`, `"licenses":["Apache-2.0"]`} {
		if !strings.Contains(string(config), part) {
			t.Errorf("the configuration does not contain %s: %s", part, config)
		}
	}
}

func TestOrasPullsTheFilesOfTheModel(t *testing.T) {
	d := deploy(t)
	files := map[string]string{"a.safetensors": "weights", "same.safetensors": "weights", "deep/config.json": "{}"}
	dir := d.model("2", files)
	d.MustApply()
	got := d.pull("prod")
	for name, text := range files {
		b, err := os.ReadFile(filepath.Join(got, filepath.FromSlash(name)))
		if err != nil || string(b) != text {
			t.Errorf("%s: got %q, %v", name, b, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("the model's folder now has %v, %v", entries, err)
	}
}

func TestOnlyChangedFilesAreSent(t *testing.T) {
	d := deploy(t)
	base := strings.Repeat("0123456789abcdef", 1<<19) // 8 MiB
	d.model("2", map[string]string{"model.safetensors": base, "adapter/adapter_model.safetensors": strings.Repeat("a", 40<<10)})
	d.MustApply()
	all := d.sent.Swap(0)
	d.model("3", map[string]string{"model.safetensors": base, "adapter/adapter_model.safetensors": strings.Repeat("b", 40<<10)})
	d.WantPlan(plugin.ActionUpdate, "artifact")
	d.MustApply()
	sent := d.sent.Load()
	t.Logf("%d bytes at first, %d bytes (%.2f%%) after the adapter changed", all, sent, 100*float64(sent)/float64(all))
	if sent < 40<<10 || sent*100 >= all {
		t.Errorf("sent %d of %d bytes", sent, all)
	}
}

func TestATagOfSomebodyElseIsNotOverwritten(t *testing.T) {
	d := deploy(t)
	other, err := oras.PackManifest(t.Context(), d.repository("prod"), oras.PackManifestVersion1_1, "text/plain", oras.PackManifestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.repository("prod").Tag(t.Context(), other, "prod"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Plan(); err == nil || !strings.Contains(err.Error(), "quern did not push it") {
		t.Errorf("the plan says %v", err)
	}
	if err := d.Apply(); err == nil || !strings.Contains(err.Error(), "quern did not push it") {
		t.Errorf("the apply says %v", err)
	}
}

func TestAMovedTagIsShownAndMovedBack(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	pushed := d.value("digest")
	other, err := oras.PackManifest(t.Context(), d.repository("prod"), oras.PackManifestVersion1_1, "text/plain", oras.PackManifestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	move := func() {
		if err := d.repository("prod").Tag(t.Context(), other, "prod"); err != nil {
			t.Fatal(err)
		}
	}
	move()
	d.MustRead()
	if got := d.value("drift"); got != "the tag points to "+other.Digest.String() {
		t.Errorf("drift is %q", got)
	}
	d.WantPlan(plugin.ActionUpdate, "reference")
	d.MustApply()
	d.MustRead()
	if d.value("drift") != "" || d.value("digest") != pushed {
		t.Errorf("got %#v", d.Value())
	}

	// A tag that points to something else survives a destroy.
	move()
	if err := d.Delete(); err != nil {
		t.Fatal(err)
	}
	if found, err := d.repository("prod").Resolve(t.Context(), "prod"); err != nil || found.Digest != other.Digest {
		t.Errorf("got %v, %v", found, err)
	}
}

func TestTheTagMovesAfterEverythingElse(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	pushed := d.value("digest")
	d.model("2", map[string]string{"a.safetensors": "a", "b.safetensors": "b", "c.safetensors": "c"})
	d.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		isLast := r.Method == http.MethodPut && strings.Contains(r.URL.RawQuery, "sha256%3A2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6") // c
		if isLast {
			http.Error(w, "no space left", http.StatusInsufficientStorage)
		}
		return isLast
	}
	if err := d.Apply(); err == nil {
		t.Fatal("the apply succeeded")
	}
	if found, err := d.repository("prod").Resolve(t.Context(), "prod"); err != nil || found.Digest.String() != pushed {
		t.Errorf("the tag points to %v, %v; want %s", found, err, pushed)
	}
	d.refuse = nil
	d.MustApply()
}

func TestARegistryThatCannotDeleteTagsDeletesTheManifest(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	d.refuse = withoutTagDeletion
	manifest := d.value("digest")
	if err := d.Delete(); err != nil {
		t.Fatal(err)
	}
	// This registry keeps tags whose manifest was deleted.
	if _, err := d.repository("prod").Resolve(t.Context(), manifest); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("the manifest still exists: %v", err)
	}
}

func withoutTagDeletion(w http.ResponseWriter, r *http.Request) bool {
	byTag := r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "/prod")
	if byTag {
		http.Error(w, `{"errors": [{"code": "UNSUPPORTED"}]}`, http.StatusMethodNotAllowed)
	}
	return byTag
}

func TestAManifestWithOtherTagsStaysInARegistryThatCannotDeleteTags(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	other := plugintest.Deploy(t, Plugin("1.0.0"), plugintest.Case{Type: "oci", Args: maps.Clone(d.args)})
	other.Digests = d.Digests
	other.Set("reference", d.host+"/models/student:canary")
	other.MustApply()
	d.refuse = withoutTagDeletion
	if err := d.Delete(); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"prod", "canary"} {
		if _, err := d.repository(tag).Resolve(t.Context(), tag); err != nil {
			t.Errorf("%s: %v", tag, err)
		}
	}
}

func TestCredentialsComeFromTheArgumentsOrFromDocker(t *testing.T) {
	d := deploy(t)
	d.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user == "ada" && password == "s3cr3t" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	if _, err := d.Plan(); err == nil || !strings.Contains(err.Error(), "credential not found") {
		t.Fatalf("the plan without credentials: %v", err)
	}
	if err := d.Apply(); err == nil || !strings.Contains(err.Error(), "credential not found") {
		t.Fatalf("without credentials: %v", err)
	}
	d.Set("username", "ada")
	d.Set("password", "s3cr3t")
	d.MustApply()
	d.Set("username", "")
	d.Set("password", "")
	config := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, d.host, base64.StdEncoding.EncodeToString([]byte("ada:s3cr3t")))
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d.MustApply()
}

func TestMistakesAreShownWhilePlanning(t *testing.T) {
	for name, c := range map[string]struct {
		argument string
		value    any
		want     string
	}{
		"no tag":     {"reference", "example.com/models/m", "not a reference with a tag"},
		"digest":     {"reference", "example.com/m@sha256:" + strings.Repeat("1", 64), "not a reference with a tag"},
		"dataset":    {"artifact", plugintest.Dataset{Rows: []map[string]any{{"a": 1}}}, "Only a trained model can be pushed"},
		"half":       {"username", "ada", "username and password belong together"},
		"annotation": {"annotations", map[string]string{"dev.quern.artifact": "x"}, "is reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			d := deploy(t)
			d.Set(c.argument, c.value)
			if err := d.Apply(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestOnlyThisMachineIsReachedWithoutTLS(t *testing.T) {
	for host, want := range map[string]bool{"localhost:5000": true, "127.0.0.1": true, "[::1]:5000": true, "localhost.example.com": false, "10.0.0.1:5000": false, "example.com": false} {
		if got := isLoopback(host); got != want {
			t.Errorf("%s: got %t", host, got)
		}
	}
	r, err := open("example.com/m:t", &args{Insecure: true})
	if err != nil || !r.PlainHTTP {
		t.Errorf("insecure: %v, %v", r, err)
	}
}
