package huggingface

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// datasetHub serves a dataset by the Hub's API
// (https://huggingface.co/docs/hub/api), with large files in a storage on
// another server.
type datasetHub struct {
	*httptest.Server
	storage  *httptest.Server
	mu       sync.Mutex
	commit   string
	commits  map[string]map[string]string
	requests []string
	sent     int64
	leaked   bool
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func serveDataset(t *testing.T, contents map[string]string) *datasetHub {
	t.Helper()
	h := &datasetHub{commits: map[string]map[string]string{}}
	h.push(contents)
	h.storage = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.leaked = h.leaked || r.Header.Get("Authorization") != ""
		h.mu.Unlock()
		for _, files := range h.commits {
			for _, content := range files {
				if r.URL.Path == "/"+hash(content) {
					http.ServeContent(&tally{w, h}, r, "", time.Time{}, strings.NewReader(content))
					return
				}
			}
		}
		http.NotFound(w, r)
	}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/datasets/acme/data/revision/{revision}", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"sha": h.commit})
	})
	mux.HandleFunc("GET /api/datasets/acme/data/tree/{commit}", func(w http.ResponseWriter, r *http.Request) {
		tree := h.commits[r.PathValue("commit")]
		list := []map[string]any{{"type": "directory", "path": "data", "oid": "x"}}
		names := ordered.Keys(tree)
		if r.FormValue("cursor") == "" && len(names) > 1 {
			w.Header().Set("Link", fmt.Sprintf(`<%s%s?recursive=true&cursor=1>; rel="next"`, h.URL, r.URL.Path))
			names = names[:1]
		} else if len(names) > 1 {
			names = names[1:]
		}
		for _, name := range names {
			e := map[string]any{"type": "file", "path": name, "size": len(tree[name]), "oid": "git" + hash(tree[name])}
			if name != cardFile {
				e["lfs"] = map[string]any{"oid": hash(tree[name])}
			}
			list = append(list, e)
		}
		_ = json.NewEncoder(w).Encode(list)
	})
	mux.HandleFunc("GET /datasets/acme/data/resolve/{commit}/{path...}", func(w http.ResponseWriter, r *http.Request) {
		content, ok := h.commits[r.PathValue("commit")][r.PathValue("path")]
		switch {
		case !ok:
			http.NotFound(w, r)
		case r.PathValue("path") == cardFile:
			fmt.Fprint(w, content)
		default:
			http.Redirect(w, r, h.storage.URL+"/"+hash(content), http.StatusFound)
		}
	})
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.requests = append(h.requests, r.URL.Path)
		h.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	t.Cleanup(h.storage.Close)
	t.Setenv(tokenVariable, token)
	t.Setenv(endpointVariable, h.URL)
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv(files.CacheVariable, t.TempDir())
	return h
}

func (h *datasetHub) push(contents map[string]string) {
	h.commit = hash(fmt.Sprint(len(h.commits)))[:40]
	h.commits[h.commit] = contents
}

type tally struct {
	http.ResponseWriter
	h *datasetHub
}

func (t *tally) Write(b []byte) (int, error) {
	t.h.mu.Lock()
	t.h.sent += int64(len(b))
	t.h.mu.Unlock()
	return t.ResponseWriter.Write(b)
}

func readDataset(t *testing.T, arguments map[string]any) (*plugintest.ReadResult, error) {
	t.Helper()
	all := map[string]any{"repo": "acme/data"}
	for name, value := range arguments {
		all[name] = value
	}
	return plugintest.Read(t, Plugin("1.0.0"), plugintest.Case{Kind: plugin.KindSource, Type: "huggingface", Args: all})
}

const squad = `---
license: mit
configs:
- config_name: plain
  data_files:
  - split: train
    path: plain/train-*.csv
  - split: test
    path:
    - plain/test.csv
- config_name: other
  data_files: other/*.csv
---
# A dataset
`

func TestSplitsOfADatasetAreThoseOfItsCard(t *testing.T) {
	h := serveDataset(t, map[string]string{
		cardFile: squad, "plain/train-00000.csv": "id\n1\n", "plain/train-00001.csv": "id\n2\n", "plain/test.csv": "id\n3\n", "other/a.csv": "id\n4\n",
	})
	for want, arguments := range map[string]map[string]any{
		"1 2": {"config": "plain", "split": "train"},
		"3":   {"config": "plain", "split": "test"},
		"4":   {"config": "other"},
		"2 3": {"path": "plain/t*[1t].csv"},
	} {
		got, err := readDataset(t, arguments)
		if err != nil {
			t.Fatal(want, err)
		}
		var ids []string
		for _, row := range got.Rows {
			ids = append(ids, fmt.Sprint(row["id"]))
		}
		if strings.Join(ids, " ") != want && !(want == "2 3" && strings.Join(ids, " ") == "3 2") {
			t.Errorf("%v: %v", arguments, ids)
		}
	}
	for want, arguments := range map[string]map[string]any{
		"has several configurations\nSet config to one of plain, other": {},
		`has no configuration "x"`:                                      {"config": "x"},
		"has several splits\nSet split to one of train, test":           {"config": "plain"},
		`No file of acme/data matches "*.parquet"`:                      {"path": "*.parquet"},
		"path cannot be combined":                                       {"path": "*", "split": "train"},
		"is not a dataset":                                              {"repo": "a/b/c"},
		"The dataset or revision does not exist":                        {"repo": "acme/secret"},
	} {
		if _, err := readDataset(t, arguments); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if h.leaked {
		t.Error("the storage got the token")
	}
}

func TestSplitsWithoutACardAreFoundByTheNamesOfFiles(t *testing.T) {
	serveDataset(t, map[string]string{"data/train-00000-of-00001.csv": "id\n1\n", "data/val.csv": "id\n2\n", "dataset_infos.json": "{}"})
	got, err := readDataset(t, map[string]any{"split": "validation"})
	if err != nil || len(got.Rows) != 1 || fmt.Sprint(got.Rows[0]["id"]) != "2" {
		t.Error(got, err)
	}
}

func TestAPinnedDatasetThatWasListedIsRefreshedWithoutARequest(t *testing.T) {
	h := serveDataset(t, map[string]string{"a.csv": "id\n1\n", "b.csv": "id\n2\n"})
	a := &sourceArgs{Repo: "acme/data", Revision: h.commit, Path: "*.csv"}
	first, err := datasets{}.List(t.Context(), a, nil)
	if err != nil || len(first.Objects) != 2 {
		t.Fatal(first, err)
	}
	h.requests = nil
	if _, err := (datasets{}).List(t.Context(), a, nil); err != nil || len(h.requests) != 0 {
		t.Errorf("%v, requests: %v", err, h.requests)
	}
	// Files that another commit has too keep their versions.
	h.push(map[string]string{"a.csv": "id\n1\n", "b.csv": "id\n3\n"})
	second, err := datasets{}.List(t.Context(), &sourceArgs{Repo: "acme/data", Revision: h.commit, Path: "*.csv"}, nil)
	if err != nil || second.Objects[0].Version != first.Objects[0].Version || second.Objects[1].Version == first.Objects[1].Version {
		t.Error(err)
	}
}

func TestADatasetInTheCacheIsReadOffline(t *testing.T) {
	h := serveDataset(t, nil)
	t.Setenv("HF_HUB_OFFLINE", "1")
	if _, err := readDataset(t, nil); err == nil || !strings.Contains(err.Error(), "HF_HUB_OFFLINE is set") {
		t.Error(err)
	}
	root := filepath.Join(os.Getenv("HF_HOME"), "hub", "datasets--acme--data")
	content := "id\n7\n"
	for path, text := range map[string]string{"refs/main": h.commit, "blobs/" + hash(content): content} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	snapshot := filepath.Join(root, "snapshots", h.commit)
	if err := os.MkdirAll(snapshot, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../blobs/"+hash(content), filepath.Join(snapshot, "train.csv")); err != nil {
		t.Fatal(err)
	}
	got, err := readDataset(t, nil)
	if err != nil || len(got.Rows) != 1 || len(h.requests) != 0 {
		t.Errorf("%v, %v, %d requests", got, err, len(h.requests))
	}
}
