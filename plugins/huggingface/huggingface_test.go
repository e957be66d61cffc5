package huggingface

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quern-dev/quern/plugins/huggingface/hubtest"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

const token = "hf_0123456789"

// deployed is a deployment of a model to a stand-in for the Hub.
type deployed struct {
	*plugintest.Deployed
	t      *testing.T
	hub    *hubtest.Hub
	url    string
	args   map[string]any
	sent   atomic.Int64 // bytes of PUT requests to the storage
	before func(*http.Request)
	// refuse answers a request in place of the Hub if it returns true.
	refuse func(w http.ResponseWriter, r *http.Request) bool
}

func deploy(t *testing.T) *deployed {
	t.Helper()
	d := &deployed{t: t, hub: hubtest.New(token), args: map[string]any{"repo": "acme/student"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.before != nil {
			d.before(r)
		}
		if d.refuse != nil && d.refuse(w, r) {
			return
		}
		if strings.HasPrefix(r.URL.Path, "/storage/") {
			d.sent.Add(r.ContentLength)
		}
		d.hub.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	d.url = server.URL
	t.Setenv(tokenVariable, token)
	t.Setenv(endpointVariable, server.URL)
	d.Deployed = plugintest.Deploy(t, Plugin("1.0.0"), plugintest.Case{Kind: plugin.KindDeploy, Type: "huggingface", Args: d.args})
	d.model("1", model("one"))
	return d
}

// model returns the files of an adapter over a base.
func model(adapter string) map[string]string {
	return map[string]string{
		"model.safetensors": strings.Repeat("base", 1000), "config.json": `{"model_type": "llama"}`, "empty.txt": "",
		"adapter/adapter_model.safetensors": strings.Repeat(adapter, 10),
		"quern.json":                        `{"method": "sft", "base": {"repo": "org/base", "revision": "abc"}, "arguments": {"epochs": 3}, "data": {"dataset": "sha256:d"}}`,
	}
}

// model replaces the model to deploy.
func (d *deployed) model(digest string, files map[string]string) {
	d.t.Helper()
	d.Set("artifact", plugintest.Model{Format: "hf-adapter", Dir: folder(d.t, files)})
	d.Digests["artifact"] = "sha256:" + strings.Repeat(digest, 64)
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// published compares the branch with the model, apart from the card.
func (d *deployed) published(want map[string]string) {
	d.t.Helper()
	got := d.hub.Files("acme/student", "main")
	delete(got, cardFile)
	delete(got, ".gitattributes")
	if !maps.Equal(got, want) {
		d.t.Errorf("published are %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

func TestTheLifeOfADeployment(t *testing.T) {
	d := deploy(t)
	d.WantPlan(plugin.ActionCreate)
	d.MustApply()
	d.published(model("one"))
	if !d.hub.Private("acme/student") {
		t.Error("the repository is not private")
	}
	d.MustRead()
	d.WantPlan(plugin.ActionNone)
	d.MustApply()
	if got := d.hub.Commits("acme/student"); len(got) != 1 {
		t.Errorf("a push without changes made a commit: %v", got)
	}

	next := model("two")
	delete(next, "empty.txt")
	d.model("2", next)
	d.Set("license", "mit")
	d.WantPlan(plugin.ActionUpdate, "artifact", "license")
	d.MustApply()
	d.published(next)
	d.Set("private", false)
	d.WantPlan(plugin.ActionUpdate, "private")
	d.MustApply()
	if d.hub.Private("acme/student") || len(d.hub.Commits("acme/student")) != 2 {
		t.Errorf("private: %t, commits: %v", d.hub.Private("acme/student"), d.hub.Commits("acme/student"))
	}
	d.MustRead()
	d.WantPlan(plugin.ActionNone)
	d.Set("revision", "next")
	d.WantPlan(plugin.ActionReplace, "revision")
	for range 2 {
		if err := d.Delete(); err != nil {
			t.Fatal(err)
		}
	}
	if d.hub.Files("acme/student", "main") != nil {
		t.Error("the repository exists after it was deleted")
	}
	d.MustRead()
	d.WantPlan(plugin.ActionCreate)
	d.MustApply()
	if d.hub.Files("acme/student", "next")["config.json"] == "" || d.hub.Files("acme/student", "main")["config.json"] != "" {
		t.Error("the model is not in the new branch only")
	}
}

func TestOnlyChangedFilesAreSent(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	d.sent.Store(0)
	d.model("2", model("two"))
	d.MustApply()
	if got := d.sent.Load(); got != 30 {
		t.Errorf("sent %d bytes, want those of the adapter", got)
	}
}

func TestLargeFilesAreSentInParts(t *testing.T) {
	d := deploy(t)
	d.hub.PartSize = 1500
	d.MustApply()
	d.published(model("one"))
}

func TestABusyHubIsAskedAgain(t *testing.T) {
	d := deploy(t)
	var busy sync.Map // what was refused once
	d.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/commit/") {
			return false
		}
		_, seen := busy.LoadOrStore(r.Method+r.URL.Path, true)
		if !seen {
			http.Error(w, "slow down", http.StatusServiceUnavailable)
		}
		return !seen
	}
	d.MustApply()
	d.published(model("one"))
}

func TestTheCardIsMadeOfFacts(t *testing.T) {
	d := deploy(t)
	d.Set("license", "apache-2.0")
	d.Set("description", "A small student.")
	d.Set("tags", []string{"support"})
	d.Set("report", plugintest.Report{Dir: folder(t, map[string]string{"report.md": "# Report\n\n| accuracy |\n| --- |\n| 0.9 [0.8, 0.95] |\n"})})
	d.Digests["report"] = "sha256:" + strings.Repeat("e", 64)
	d.MustApply()
	got := d.hub.Files("acme/student", "main")[cardFile]
	for _, part := range []string{
		"---\nlicense: apache-2.0\nbase_model: org/base\nlibrary_name: peft\n", "- quern\n", "- support\n", "quern_artifact: sha256:1111",
		"# student\n\nA small student.\n", "| base model | org/base at abc |", "| method | sft |", "| `epochs` | `3` |", "| data: dataset | `sha256:d` |",
		"## Evaluation\n\n### Report\n", "0.9 [0.8, 0.95]", "| source commit | `",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("the card does not contain %q:\n%s", part, got)
		}
	}
	d.Digests["report"] = "sha256:" + strings.Repeat("f", 64)
	d.WantPlan(plugin.ActionUpdate, "report")
}

func TestAConcurrentPushIsNotOverwritten(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	d.model("2", model("two"))
	d.before = func(r *http.Request) {
		if strings.Contains(r.URL.Path, "/commit/") {
			d.hub.Push("acme/student", "main", map[string]string{"config.json": "theirs"})
		}
	}
	if err := d.Apply(); err == nil || !strings.Contains(err.Error(), "somebody else committed") {
		t.Fatalf("got %v", err)
	}
	d.before = nil
	if got := d.hub.Files("acme/student", "main")["config.json"]; got != "theirs" {
		t.Errorf("the other commit was overwritten: %q", got)
	}
	// The plan has not shown that commit.
	if err := d.Apply(); err == nil || !strings.Contains(err.Error(), "Somebody committed") {
		t.Fatalf("got %v", err)
	}
	d.MustRead()
	d.WantPlan(plugin.ActionUpdate, "artifact", "artifact")
	d.MustApply()
	d.published(model("two"))
}

func TestForeignFilesAreNeitherTakenOverNorDeleted(t *testing.T) {
	d := deploy(t)
	d.hub.Push("acme/student", "main", map[string]string{"theirs.txt": "x"})
	if _, err := d.Plan(); err == nil || !strings.Contains(err.Error(), "did not publish") {
		t.Errorf("the plan says %v", err)
	}
	if err := d.Apply(); err == nil || !strings.Contains(err.Error(), "did not publish") {
		t.Errorf("the apply says %v", err)
	}

	d = deploy(t)
	d.MustApply()
	d.hub.Push("acme/student", "main", map[string]string{"theirs.txt": "x"})
	d.MustRead()
	d.WantPlan(plugin.ActionUpdate, "artifact")
	if err := d.Delete(); err != nil {
		t.Fatal(err)
	}
	if got := d.hub.Files("acme/student", "main"); len(got) != 2 || got["theirs.txt"] != "x" {
		t.Errorf("left are %v", slices.Sorted(maps.Keys(got)))
	}
}

func TestAWrongTokenIsReportedWithoutTheToken(t *testing.T) {
	d := deploy(t)
	d.Set("token", "hf_wrong_0123456789")
	err := d.Apply()
	if err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "hf_wrong") {
		t.Errorf("got %v", err)
	}
	d.Set("token", nil)
	t.Setenv(tokenVariable, "")
	if err := d.Apply(); err == nil || !strings.Contains(err.Error(), "There is no token") {
		t.Errorf("got %v", err)
	}
}

// rows replaces the dataset to deploy, with some rows in each of three files, of which
// the last one has the text.
func (d *deployed) rows(digest, text string) {
	d.t.Helper()
	var rows []map[string]any
	for i := range 300 {
		row := map[string]any{"id": i, "text": strings.Repeat("a long text ", 20)}
		if i == 299 {
			row["text"] = text
		}
		rows = append(rows, row)
	}
	d.Set("dataset", plugintest.Dataset{Rows: rows})
	d.Digests["dataset"] = "sha256:" + strings.Repeat(digest, 64)
}

func deployDataset(t *testing.T) *deployed {
	t.Helper()
	d := deploy(t)
	d.args = map[string]any{"repo": "acme/corpus", "format": "jsonl", "license": "cc-by-4.0"}
	d.Deployed = plugintest.Deploy(t, Plugin("1.0.0"), plugintest.Case{Kind: plugin.KindDeploy, Type: "huggingface", Args: d.args, ShardRows: 100})
	d.rows("1", "one")
	return d
}

func TestADatasetIsPublished(t *testing.T) {
	d := deployDataset(t)
	d.WantPlan(plugin.ActionCreate)
	d.MustApply()
	const repo = "datasets/acme/corpus"
	got := d.hub.Files(repo, "main")
	if len(got) != 6 || strings.Count(got["data/part-00001.jsonl"], "\n") != 100 || !d.hub.Private(repo) {
		t.Errorf("published are %v", slices.Sorted(maps.Keys(got)))
	}
	for _, part := range []string{"---\nlicense: cc-by-4.0\n", "data_files: data/*.jsonl", "quern_artifact: sha256:1111", "# corpus\n", "| rows | 300 |", "| files | 3, jsonl |", "| `text` | `string` |"} {
		if !strings.Contains(got[cardFile], part) {
			t.Errorf("the card does not contain %q:\n%s", part, got[cardFile])
		}
	}
	sums := strings.Split(strings.TrimSpace(got["SHA256SUMS"]), "\n")
	for _, line := range sums {
		sum, name, _ := strings.Cut(line, "  ")
		if is := sha256.Sum256([]byte(got[name])); hex.EncodeToString(is[:]) != sum {
			t.Errorf("the checksum of %s is %s", name, sum)
		}
	}
	if len(sums) != 4 {
		t.Errorf("%d files have checksums", len(sums))
	}
	if url := d.Value().GetAttr("url").AsString(); !strings.HasSuffix(url, "/datasets/acme/corpus") {
		t.Errorf("the address is %s", url)
	}
	d.MustRead()
	d.WantPlan(plugin.ActionNone)
	d.MustApply()
	if got := d.hub.Commits(repo); len(got) != 1 {
		t.Errorf("a push without changes made a commit: %v", got)
	}

	// Only the file whose rows changed is sent.
	d.sent.Store(0)
	d.rows("2", "two")
	d.WantPlan(plugin.ActionUpdate, "dataset")
	d.MustApply()
	last := d.hub.Files(repo, "main")["data/part-00002.jsonl"]
	if got := d.sent.Load(); got != int64(len(last)) || !strings.Contains(last, "two") {
		t.Errorf("sent %d bytes, want %d", got, len(last))
	}

	d.Set("format", "csv")
	d.WantPlan(plugin.ActionUpdate, "format")
	d.MustApply()
	if got := d.hub.Files(repo, "main"); got["data/part-00000.jsonl"] != "" || got["data/part-00000.csv"] == "" || len(got) != 6 {
		t.Errorf("published are %v", slices.Sorted(maps.Keys(got)))
	}
	if err := d.Delete(); err != nil {
		t.Fatal(err)
	}
	if d.hub.Files(repo, "main") != nil {
		t.Error("the repository exists after it was deleted")
	}
}

func TestADeploymentPublishesEitherAModelOrADataset(t *testing.T) {
	d := deployDataset(t)
	d.MustApply()
	delete(d.args, "dataset")
	d.model("3", model("three"))
	d.WantPlan(plugin.ActionReplace, "artifact", "format")
	d.rows("4", "four")
	got, err := plugintest.Prepare(t, Plugin("1.0.0"), plugintest.Case{Kind: plugin.KindDeploy, Type: "huggingface", Args: d.args})
	if err != nil || len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Text, "Set either artifact or dataset") {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestTheHubsClientGetsTheModel proves that the stand-in behaves as
// huggingface_hub expects, and that what quern publishes is what the library
// downloads.
func TestTheHubsClientGetsTheModel(t *testing.T) {
	python := os.Getenv("QUERN_TEST_HUB_PYTHON")
	if python == "" {
		t.Skip(`there is no Python with huggingface_hub: run "make test-train"`)
	}
	d := deploy(t)
	d.hub.PartSize = 1500
	d.MustApply()
	to, from := t.TempDir(), folder(t, model("theirs"))
	cmd := exec.Command(python, "testdata/client.py", to, from, d.Value().GetAttr("commit").AsString())
	cmd.Env = append(os.Environ(), "HF_HUB_DISABLE_XET=1", "HF_HOME="+t.TempDir(), "HF_HUB_DISABLE_PROGRESS_BARS=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, want := range d.hub.Files("acme/student", "main") {
		got, err := os.ReadFile(filepath.Join(to, filepath.FromSlash(name)))
		if err != nil || string(got) != want {
			t.Errorf("%s: downloaded are %d bytes (%v), published %d", name, len(got), err, len(want))
		}
	}
	theirs := d.hub.Files("acme/theirs", "main")
	for name, want := range model("theirs") {
		if theirs[name] != want {
			t.Errorf("%s: the library published %d bytes of %d", name, len(theirs[name]), len(want))
		}
	}
}
