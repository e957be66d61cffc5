package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/quern-dev/quern/plugins/huggingface/hubtest"
	"github.com/quern-dev/quern/plugins/kubernetes/kubetest"
)

// place is where a deployment puts models: a server in this process.
type place struct {
	url string
	// train is the block of train.m, which depends on var.epochs; by default a
	// linear model. deploy is the block that deploys it as var.name.
	train, deploy string
	env           []string
	// programs is the folder of quern; "": binaries.
	programs string
	// serving returns the digest of the artifact that the server offers completely
	// under a name, "" if it offers none.
	serving func(name string) (string, error)
	handler http.Handler

	mu       sync.Mutex
	requests int
	writes   int
	// at is called once, when that many requests have come.
	at     int
	atThat func()
	// watch, which may be nil, is called after each request.
	watch func()
}

// serve starts the server. isWrite reports whether a request changes something.
func (p *place) serve(t *testing.T, handler http.Handler, isWrite func(*http.Request) bool) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watch := p.count(isWrite(r))
		handler.ServeHTTP(w, r)
		if watch != nil {
			watch()
		}
	}))
	p.handler = handler
	t.Cleanup(server.Close)
	p.url = server.URL
}

// count counts a request, and returns what to call after it, or nil.
func (p *place) count(write bool) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	if write {
		p.writes++
	}
	if p.atThat != nil && p.requests == p.at {
		p.atThat()
	}
	return p.watch
}

// get returns the body at a path of the server, or nil if there is nothing. It does not
// count as a request.
func (p *place) get(path string) ([]byte, error) {
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	switch w.Code {
	case http.StatusOK:
		return w.Body.Bytes(), nil
	case http.StatusNotFound:
		return nil, nil
	}
	return nil, fmt.Errorf("%s: %d", path, w.Code)
}

// from sets the counts to zero, and what to do at a request.
func (p *place) from(at int, atThat func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests, p.writes, p.at, p.atThat = 0, 0, at, atThat
}

func (p *place) counts() (requests, writes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests, p.writes
}

// deploying is a pipeline that trains a model and deploys it to a place.
type deploying struct {
	*place
	t   *testing.T
	dir string
}

func (d *deploying) command(args ...string) (*exec.Cmd, *strings.Builder) {
	cmd := exec.Command(filepath.Join(cmp.Or(d.programs, binaries), "quern"), args...)
	said := &strings.Builder{}
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = d.dir, append(os.Environ(), append([]string{"NO_COLOR=1", "QUERN_PLUGIN_PATH="}, d.env...)...), said, said
	return cmd, said
}

func (d *deploying) quern(args ...string) string {
	d.t.Helper()
	cmd, said := d.command(args...)
	if err := cmd.Run(); err != nil {
		d.t.Fatalf("quern %v: %v\n%s", args, err, said)
	}
	return said.String()
}

func (d *deploying) served() string {
	d.t.Helper()
	digest, err := d.serving(deployedName)
	if err != nil {
		d.t.Fatalf("what is served: %v", err)
	}
	return digest
}

// killed starts quern, kills it when the place gets a request, and waits until
// nothing of it runs anymore. It returns false if quern ended before that.
func (d *deploying) killed(at int, args ...string) bool {
	d.t.Helper()
	cmd, said := d.command(args...)
	ready := make(chan struct{})
	d.from(at, func() {
		<-ready
		_ = cmd.Process.Kill()
	})
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	close(ready)
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case !errors.As(err, &exit) || exit.ExitCode() != -1:
		d.t.Fatalf("quern %v: %v\n%s", args, err, said)
	}
	// A plugin ends soon after quern; what it still does is part of the crash.
	for before := -1; ; time.Sleep(100 * time.Millisecond) {
		now, _ := d.counts()
		if now == before {
			return true
		}
		before = now
	}
}

// deployedName is the default of var.name.
const deployedName = "m"

const linearModel = `
train "linear" "m" {
  dataset     = source.texts
  target      = row.kind
  text        = row.text
  epochs      = var.epochs
  calibration = "none"
}
`

// deployTo returns a pipeline that deploys to a place.
func deployTo(t *testing.T, p *place) *deploying {
	d := &deploying{place: p, t: t, dir: folder(t, map[string]string{
		"a.csv": "text,kind\nhello,a\ngoodbye,b\nhello there,a\ngood bye,b\n",
		"main.quern.hcl": `
variable "epochs" {
  type    = number
  default = 1
}

variable "name" {
  type    = string
  default = "m"
}

source "csv" "texts" {
  path = "a.csv"
}

` + cmp.Or(p.train, linearModel) + p.deploy,
	})}
	d.quern("init")
	return d
}

// killDeployments kills applies at random requests, and checks each time that
// the old or the new model is served, and that another apply finishes the work.
func killDeployments(t *testing.T, p *place) {
	d := deployTo(t, p)
	version := func(n int) []string {
		return []string{"apply", "-auto-approve", "-var", fmt.Sprintf("epochs=%d", n)}
	}
	digests := map[string]int{"": 0}
	most := 0 // requests of an update
	for n := 1; n <= 2; n++ {
		d.from(0, nil)
		d.quern(version(n)...)
		most, _ = d.counts()
		digests[d.served()] = n
	}
	if len(digests) != 3 {
		t.Fatalf("the versions are served as %v", digests)
	}
	d.from(0, nil)
	d.quern(version(2)...)
	if _, writes := d.counts(); writes != 0 {
		t.Errorf("an apply without changes wrote %d times", writes)
	}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	old := 2
	for left := crashes(t); left > 0; {
		next := 3 - old
		if random.IntN(3) == 0 {
			d.quern("destroy", "-auto-approve", "-target=deploy.live")
			if d.served() != "" {
				t.Fatal("it is still served after a destroy")
			}
			old = 0
		}
		at := 1 + random.IntN(most)
		if !d.killed(at, version(next)...) {
			old = next // the last request had been answered
			continue
		}
		left--
		served := d.served()
		now, known := digests[served]
		if !known || now != old && now != next {
			t.Fatalf("killed at request %d on the way from version %d to %d: %q is served", at, old, next, served)
		}
		t.Logf("killed at request %d on the way from version %d to %d: version %d is served", at, old, next, now)
		d.from(0, nil)
		d.quern(version(next)...)
		if now := digests[d.served()]; now != next {
			t.Fatalf("version %d is served after the apply that followed a crash, not %d", now, next)
		}
		d.from(0, nil)
		d.quern(version(next)...)
		if _, writes := d.counts(); writes != 0 {
			t.Fatalf("an apply without changes wrote %d times", writes)
		}
		old = next
	}
}

func TestCrashOfDeploymentsToARegistry(t *testing.T) { killDeployments(t, registryPlace(t)) }

// registryPlace returns the registry of go-containerregistry.
func registryPlace(t *testing.T) *place {
	p := &place{}
	p.serve(t, registry.New(registry.Logger(log.New(io.Discard, "", 0))), func(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead })
	host := strings.TrimPrefix(p.url, "http://")
	p.deploy = fmt.Sprintf(`
deploy "oci" "live" {
  artifact  = train.m
  reference = "%s/models/${var.name}:prod"
}
`, host)
	p.serving = func(name string) (string, error) {
		text, err := p.get("/v2/models/" + name + "/manifests/prod")
		if err != nil || text == nil {
			return "", err
		}
		var m struct {
			Annotations map[string]string
			Layers      []struct{ Digest string }
		}
		if err := json.Unmarshal(text, &m); err != nil {
			return "", err
		}
		for _, l := range m.Layers {
			if blob, err := p.get("/v2/models/" + name + "/blobs/" + l.Digest); err != nil || blob == nil {
				return "", fmt.Errorf("layer %s is missing: %w", l.Digest, err)
			}
		}
		return m.Annotations["dev.quern.artifact"], nil
	}
	return p
}

// hubPlace returns a Hub as a place of deployments. Files of at least that many bytes
// are large.
func hubPlace(t *testing.T, largeFrom int64) (*place, *hubtest.Hub) {
	t.Helper()
	const token = "hf_0123456789"
	p, hub := &place{}, hubtest.New(token)
	hub.LargeFrom = largeFrom
	isWrite := func(r *http.Request) bool {
		return strings.HasPrefix(r.URL.Path, "/storage/") || strings.Contains(r.URL.Path, "/commit/") || strings.Contains(r.URL.Path, "/repos/")
	}
	p.serve(t, hub, isWrite)
	p.env = []string{"HF_TOKEN=" + token, "HF_ENDPOINT=" + p.url}
	return p, hub
}

func TestCrashOfDeploymentsToTheHuggingFaceHub(t *testing.T) { killDeployments(t, modelHub(t)) }

// modelHub returns a Hub for models.
func modelHub(t *testing.T) *place {
	p, hub := hubPlace(t, 100)
	p.deploy = `
deploy "huggingface" "live" {
  artifact = train.m
  repo     = "acme/${var.name}"
}
`
	p.serving = published(hub, "acme/")
	return p
}

func TestCrashOfDeploymentsOfDatasetsToTheHuggingFaceHub(t *testing.T) {
	p, hub := hubPlace(t, 10)
	p.train = datasetOfVersions
	p.deploy = `
deploy "huggingface" "live" {
  dataset = transform.m
  repo    = "acme/${var.name}"
  format  = "jsonl"
}
`
	p.serving = published(hub, "datasets/acme/")
	killDeployments(t, p)
}

// datasetOfVersions takes the place of a model.
const datasetOfVersions = `
transform "map" "m" {
  input   = source.texts
  columns = { versioned = "${row.text} ${var.epochs}" }
}
`

// published returns what a repository of an owner contains: files that belong together.
func published(hub *hubtest.Hub, owner string) func(name string) (string, error) {
	return func(name string) (string, error) {
		files := hub.Files(owner+name, "main")
		card := files["README.md"]
		if card == "" {
			return "", nil
		}
		// Besides .gitattributes and the card, there must be all files of one version.
		_, digest, _ := strings.Cut(card, "quern_artifact: ")
		digest, _, _ = strings.Cut(digest, "\n")
		sum := sha256.New()
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if name != "README.md" {
				fmt.Fprintf(sum, "%s %d %s", name, len(files[name]), files[name])
			}
		}
		return fmt.Sprintf("%s with %x", digest, sum.Sum(nil)), nil
	}
}

func TestCrashOfDeploymentsToKubernetes(t *testing.T) { killDeployments(t, clusterPlace(t)) }

// clusterPlace returns a cluster for pods.
func clusterPlace(t *testing.T) *place {
	p, cluster := &place{programs: allPrograms(t)}, kubetest.New()
	p.serve(t, cluster, func(r *http.Request) bool {
		return r.Method != http.MethodGet && r.URL.Query().Get("dryRun") == ""
	})
	config := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(config, []byte(kubetest.Kubeconfig(p.url)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.env = []string{"KUBECONFIG=" + config}
	p.deploy = `
deploy "kubernetes" "live" {
  manifest = {
    apiVersion = "v1"
    kind       = "Pod"
    metadata   = { name = var.name }
    spec       = { containers = [{ name = "server", image = "example.com/m:${var.epochs}" }] }
  }
  wait       = false
  depends_on = [train.m]
}
`
	p.serving = func(name string) (string, error) {
		pod := cluster.Get("Pod", "default", name)
		if pod == nil {
			return "", nil
		}
		return fmt.Sprint(pod["spec"]), nil
	}
	return p
}

func TestCrashOfDatasetsPublishedInABucket(t *testing.T) { killDeployments(t, bucketPlace(t)) }

// bucketPlace returns a bucket for datasets.
func bucketPlace(t *testing.T) *place {
	p, backend := &place{programs: allPrograms(t)}, s3mem.New()
	if err := backend.CreateBucket("data"); err != nil {
		t.Fatal(err)
	}
	p.serve(t, gofakes3.New(backend).Server(), func(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead })
	p.env = []string{"AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=hidden", "AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true"}
	p.train = datasetOfVersions
	p.deploy = fmt.Sprintf(`
deploy "s3" "live" {
  dataset  = transform.m
  bucket   = "data"
  path     = "corpora/${var.name}"
  format   = "jsonl"
  endpoint = %q
}
`, p.url)
	object := func(name string) []byte {
		o, err := backend.GetObject("data", "corpora/"+name, nil)
		if err != nil {
			return nil
		}
		text, err := io.ReadAll(o.Contents)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	p.serving = func(name string) (string, error) {
		text := object(name + "/manifest.json")
		if text == nil {
			return "", nil
		}
		var m struct {
			Artifact string
			Files    []struct{ Name, SHA256 string }
		}
		if err := json.Unmarshal(text, &m); err != nil {
			return "", err
		}
		for _, f := range m.Files {
			if sum := sha256.Sum256(object(name + "/" + f.Name)); hex.EncodeToString(sum[:]) != f.SHA256 {
				return "", fmt.Errorf("%s is missing or another file", f.Name)
			}
		}
		return m.Artifact, nil
	}
	return p
}
