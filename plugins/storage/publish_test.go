package storage

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// publicationTest is a deployment of a dataset to a bucket.
type publicationTest struct {
	*plugintest.Deployed
	*service
	t    *testing.T
	args map[string]any
}

func publishTo(t *testing.T, typ string, start func(*testing.T) *service) *publicationTest {
	t.Helper()
	d := &publicationTest{t: t, service: start(t)}
	d.args = map[string]any{"bucket": "data", "endpoint": d.URL, "path": "corpora/tickets", "format": "jsonl", "license": "cc-by-4.0"}
	d.Deployed = d.another(typ)
	d.rows("1", "one")
	return d
}

func (d *publicationTest) another(typ string) *plugintest.Deployed {
	return plugintest.Deploy(d.t, Plugin("1.0.0"), plugintest.Case{Kind: plugin.KindDeploy, Type: typ, Args: d.args, ShardRows: 100})
}

// rows replaces the dataset with 300 rows in three shards, of which the last one has
// the text.
func (d *publicationTest) rows(digest, text string) {
	var rows []map[string]any
	for i := range 300 {
		rows = append(rows, map[string]any{"id": i, "text": "a text"})
	}
	rows[299]["text"] = text
	d.Set("dataset", plugintest.Dataset{Rows: rows})
	d.Digests["dataset"] = "sha256:" + strings.Repeat(digest, 64)
}

func (d *publicationTest) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// served returns the rows that a reader gets who starts from the manifest. It fails the test if an object is missing or another one.
func served(t *testing.T, all map[string]string) (rows string) {
	t.Helper()
	const at = "corpora/tickets/"
	text, ok := all[at+manifestFile]
	if !ok {
		return ""
	}
	var m manifest
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Files {
		content := all[at+f.Name]
		if sum := sha256.Sum256([]byte(content)); hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(content)) != f.Size {
			t.Fatalf("%s has %d bytes, not %d", f.Name, len(content), f.Size)
		}
		rows += content
	}
	return rows
}

// writes returns the names in the requests that change something.
func writes(requests []string) []string {
	var out []string
	for _, r := range requests {
		if method, name, _ := strings.Cut(r, " "); method != http.MethodGet && method != http.MethodHead {
			out = append(out, method+" "+name[strings.LastIndexByte(name, '/')+1:])
		}
	}
	return out
}

var buckets = map[string]func(*testing.T) *service{"gcs": fakeGCS, "s3": fakeS3}

func TestTheLifeOfAPublishedDataset(t *testing.T) {
	for typ, start := range buckets {
		t.Run(typ, func(t *testing.T) {
			d := publishTo(t, typ, start)
			d.put("other/object", "x")
			d.WantPlan(plugin.ActionCreate)
			d.must(d.Apply())
			all := d.contents()
			rows := served(t, all)
			if strings.Count(rows, "\n") != 300 || !strings.HasPrefix(rows, `{"id":0,`) {
				t.Errorf("served are %d bytes", len(rows))
			}
			card, sums := all["corpora/tickets/README.md"], all["corpora/tickets/SHA256SUMS"]
			if len(all) != 7 || !strings.Contains(card, "| rows | 300 |") || !strings.Contains(card, "license: cc-by-4.0") || strings.Count(sums, "\n") != 4 {
				t.Errorf("%v, the card is\n%s\nthe checksums are\n%s", slices.Sorted(maps.Keys(all)), card, sums)
			}
			d.must(d.Read())
			d.WantPlan(plugin.ActionNone)
			d.take()
			d.must(d.Apply())
			if requests, _ := d.take(); len(writes(requests)) > 0 {
				t.Errorf("an apply without changes wrote %v", writes(requests))
			}

			// Only what has new rows is sent. The objects of the former dataset stay.
			d.rows("2", "two")
			d.WantPlan(plugin.ActionUpdate, "dataset")
			d.must(d.Apply())
			requests, _ := d.take()
			if got := writes(requests); len(got) != 4 {
				t.Errorf("an apply with one new shard wrote %v", got)
			}
			if rows := served(t, d.contents()); !strings.Contains(rows, `"two"`) || len(d.contents()) != 8 {
				t.Errorf("served are %d bytes of %d objects", len(rows), len(d.contents()))
			}
			d.rows("3", "three")
			d.must(d.Apply())
			if all := d.contents(); len(all) != 8 {
				t.Errorf("there are %v", slices.Sorted(maps.Keys(all)))
			}
			d.Set("description", "Tickets.")
			d.WantPlan(plugin.ActionUpdate, "description")
			for path, want := range map[string]bool{"corpora": false, "corpora/tickets/all": false, "corpora/tick": true, "corpora/others": true} {
				d.Set("path", path)
				if p := d.WantPlan(plugin.ActionReplace, "path", "description"); p.Coexists != want {
					t.Errorf("a dataset in %s can exist together with one in corpora/tickets: %v", path, p.Coexists)
				}
			}
			d.Set("path", "corpora/others")
			d.Set("endpoint", "http://127.0.0.1:1") // the state says where it is
			d.must(d.Read())
			d.must(d.Delete())
			if all := d.contents(); len(all) != 1 {
				t.Errorf("after it was destroyed, there are %v", slices.Sorted(maps.Keys(all)))
			}
		})
	}
}

func TestAPublishedDatasetIsImported(t *testing.T) {
	for typ, start := range buckets {
		t.Run(typ, func(t *testing.T) {
			d := publishTo(t, typ, start)
			url := map[string]string{"s3": "s3://data/corpora/tickets", "gcs": "gs://data/corpora/tickets"}[typ]
			if found, err := d.another(typ).Import(url); found || err != nil {
				t.Fatalf("imported from an empty bucket: %v", err)
			}
			d.must(d.Apply())
			rows := served(t, d.contents())
			state := d.Value()

			other := d.another(typ)
			if _, err := other.Import("corpora/tickets"); err == nil || !strings.Contains(err.Error(), "its address: \""+url+"\"") {
				t.Errorf("got %v", err)
			}
			found, err := other.Import(url)
			if !found || err != nil || !other.Value().RawEquals(state) {
				t.Fatalf("imported %t, %#v, %v; want %#v", found, other.Value(), err, state)
			}
			// The plan shows only what the manifest does not say.
			d.Deployed = other
			d.rows("1", "one")
			d.WantPlan(plugin.ActionUpdate, "license")
			d.take()
			d.must(d.Apply())
			if requests, _ := d.take(); len(writes(requests)) > 0 || served(t, d.contents()) != rows {
				t.Errorf("the apply after an import wrote %v", writes(requests))
			}
			d.must(d.Read())
			d.WantPlan(plugin.ActionNone)

			// An object that is gone is drift.
			names := slices.Sorted(maps.Keys(d.contents()))
			name := names[slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, "/data/") })]
			d.put(name, "theirs")
			again := d.another(typ)
			if _, err := again.Import(url); err != nil || !strings.HasSuffix(again.Value().GetAttr("drift").AsString(), "was changed") {
				t.Errorf("the drift is %#v, %v", again.Value(), err)
			}
			d.must(d.Delete())
			if len(d.contents()) > 0 {
				t.Errorf("after it was destroyed, there are %v", slices.Sorted(maps.Keys(d.contents())))
			}
		})
	}
}

func TestChangesByOthersAreSeenAndRestored(t *testing.T) {
	for typ, start := range buckets {
		t.Run(typ, func(t *testing.T) {
			d := publishTo(t, typ, start)
			d.must(d.Apply())
			for _, name := range slices.Sorted(maps.Keys(d.contents())) { // the manifest is the last one
				d.put(name, "theirs")
				if name == "corpora/tickets/"+manifestFile {
					if err := d.Read(); err == nil || !strings.Contains(err.Error(), "quern did not write") {
						t.Errorf("%s: %v", name, err)
					}
					return
				}
				d.must(d.Read())
				d.WantPlan(plugin.ActionUpdate, "dataset")
				d.must(d.Apply())
				if d.contents()[name] == "theirs" {
					t.Errorf("%s was not restored", name)
				}
			}
		})
	}
}

func TestAFolderOfSomebodyElseIsNotTakenOver(t *testing.T) {
	d := publishTo(t, "s3", fakeS3)
	d.put("corpora/tickets/theirs.txt", "x")
	if _, err := d.Plan(); err == nil || !strings.Contains(err.Error(), "quern did not write") {
		t.Errorf("the plan says %v", err)
	}
	if err := d.Apply(); err == nil || !strings.Contains(err.Error(), "theirs.txt") {
		t.Errorf("the apply says %v", err)
	}

	// Another deployment of quern can take it over.
	d = publishTo(t, "s3", fakeS3)
	d.must(d.Apply())
	other := d.another("s3")
	d.must(other.Apply())
	d.must(d.Read())
	if drift := d.Value().GetAttr("drift").AsString(); drift != "another deployment has taken over the path" {
		t.Errorf("the drift is %q", drift)
	}
	d.must(d.Delete())
	if served(t, d.contents()) == "" {
		t.Error("what the other deployment published was deleted")
	}
}

func TestAConcurrentPublicationIsNotOverwritten(t *testing.T) {
	for typ, start := range buckets {
		t.Run(typ, func(t *testing.T) {
			d := publishTo(t, typ, start)
			d.must(d.Apply())
			d.rows("2", "two")
			d.before = func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodGet && strings.Contains(r.URL.String(), "manifest.json") {
					d.put("corpora/tickets/"+manifestFile, `{"format": "quern.published-dataset/v1", "deployment": "theirs"}`)
				}
				return false
			}
			if err := d.Apply(); err == nil || !strings.Contains(err.Error(), "somebody else published") {
				t.Errorf("got %v", err)
			}
			if text := d.contents()["corpora/tickets/"+manifestFile]; !strings.Contains(text, "theirs") {
				t.Errorf("the manifest is %s", text)
			}
		})
	}
}

// Whichever request is the last one, a reader gets the old or the new dataset, and
// the next apply finishes the work.
func TestAnInterruptedPublicationLeavesTheOldOrTheNewDataset(t *testing.T) {
	for typ, start := range buckets {
		t.Run(typ, func(t *testing.T) {
			for last := 0; ; last++ {
				d := publishTo(t, typ, start)
				d.must(d.Apply())
				old := served(t, d.contents())
				d.rows("2", "two")
				done := 0
				d.before = func(w http.ResponseWriter, r *http.Request) bool {
					if done++; done <= last {
						return false
					}
					_, _ = io.Copy(io.Discard, r.Body)
					w.WriteHeader(http.StatusForbidden)
					return true
				}
				err := d.Apply()
				d.before = nil
				rows := served(t, d.contents())
				if rows != old && !strings.Contains(rows, `"two"`) || err == nil && rows == old {
					t.Fatalf("after %d requests, served are %d bytes", last, len(rows))
				}
				d.must(d.Apply())
				if rows := served(t, d.contents()); !strings.Contains(rows, `"two"`) {
					t.Fatalf("the apply after %d requests did not finish the work", last)
				}
				if err == nil {
					if last < 7 {
						t.Errorf("an apply makes only %d requests", last)
					}
					return
				}
			}
		})
	}
}

// publishedToEmulator publishes a dataset twice, and destroys it.
func publishedToEmulator(t *testing.T, typ string, args map[string]any) {
	t.Helper()
	d := &publicationTest{t: t, args: maps.Clone(args)}
	d.args["path"], d.args["format"] = "corpora/tickets", "jsonl"
	d.Deployed = d.another(typ)
	d.rows("1", "one")
	d.WantPlan(plugin.ActionCreate)
	d.must(d.Apply())
	d.must(d.Read())
	d.WantPlan(plugin.ActionNone)
	d.rows("2", "two")
	d.must(d.Apply())
	d.must(d.Read())
	d.WantPlan(plugin.ActionNone)
	d.Set("path", "corpora/others")
	if p := d.WantPlan(plugin.ActionReplace, "path"); !p.Coexists {
		t.Error("a dataset at another path cannot exist together with this one")
	}
	d.Set("path", "corpora/tickets")
	if files := d.Value().GetAttr("files").AsBigFloat().String(); files != "3" {
		t.Errorf("%s files are published", files)
	}
	other := d.another(typ)
	d.must(other.Apply())
	d.must(d.Read())
	if drift := d.Value().GetAttr("drift").AsString(); drift != "another deployment has taken over the path" {
		t.Errorf("the drift is %q", drift)
	}
	for range 2 {
		d.must(other.Delete())
	}
	d.must(d.Read())
	if d.Value() != cty.NilVal {
		t.Error("it is published after it was destroyed")
	}
}

func TestMistakesInADestinationAreExplained(t *testing.T) {
	for want, arguments := range map[string]map[string]any{
		"is not a path in a bucket":   {"path": "/corpora"},
		"is not the name of a bucket": {"bucket": "s3://data"},
		"is not a valid address":      {"endpoint": "example"},
	} {
		args := map[string]any{"bucket": "data", "path": "a", "dataset": plugintest.Dataset{Rows: []map[string]any{{"id": 1}}}}
		maps.Copy(args, arguments)
		got, err := plugintest.Prepare(t, Plugin("1.0.0"), plugintest.Case{Kind: plugin.KindDeploy, Type: "s3", Args: args})
		if err != nil || len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Text, want) {
			t.Errorf("%s: %+v, %v", want, got, err)
		}
	}
	if !bytes.Contains([]byte(contentType("a/b.parquet")), []byte("parquet")) {
		t.Error("Parquet files have no type of their own")
	}
}
