package storage

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/plugins/files"
)

// fakeGCS serves a bucket by the documented JSON API, two objects a page. The
// target test-storage runs the same tests against fake-gcs-server and Azurite.
func fakeGCS(t *testing.T) *service {
	t.Helper()
	t.Setenv(files.CacheVariable, t.TempDir())
	var mu sync.Mutex
	contents, generations, last := map[string]string{}, map[string]int{}, 0
	s := &service{}
	s.put = func(name, content string) {
		mu.Lock()
		defer mu.Unlock()
		contents[name] = content
		last++
		generations[name] = last
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /storage/v1/b/data/o", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		names := slices.DeleteFunc(ordered.Keys(contents), func(n string) bool {
			return !strings.HasPrefix(n, r.FormValue("prefix")) || n <= r.FormValue("pageToken")
		})
		answer := map[string]any{}
		if len(names) > 2 {
			names = names[:2]
			answer["nextPageToken"] = names[1]
		}
		var items []map[string]string
		for _, name := range names {
			sum := md5.Sum([]byte(contents[name])) //nolint:gosec // as the API does
			items = append(items, map[string]string{
				"name": name, "size": strconv.Itoa(len(contents[name])), "md5Hash": base64.StdEncoding.EncodeToString(sum[:]), "generation": strconv.Itoa(generations[name]),
			})
		}
		answer["items"] = items
		_ = json.NewEncoder(w).Encode(answer)
	})
	mux.HandleFunc("GET /storage/v1/b/data/o/{name}", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		content, generation := contents[r.PathValue("name")], generations[r.PathValue("name")]
		mu.Unlock()
		if wanted := r.FormValue("generation"); r.FormValue("alt") != "media" || generation == 0 || wanted != "" && wanted != strconv.Itoa(generation) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("X-Goog-Generation", strconv.Itoa(generation))
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	})
	mux.HandleFunc("POST /upload/storage/v1/b/data/o", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		content, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if wanted := query.Get("ifGenerationMatch"); wanted != "" && wanted != strconv.Itoa(generations[query.Get("name")]) {
			http.Error(w, "conditionNotMet", http.StatusPreconditionFailed)
			return
		}
		last++
		contents[query.Get("name")], generations[query.Get("name")] = string(content), last
	})
	mux.HandleFunc("DELETE /storage/v1/b/data/o/{name}", func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		delete(contents, r.PathValue("name"))
		delete(generations, r.PathValue("name"))
	})
	s.contents = func() map[string]string {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(contents)
	}
	s.Server = httptest.NewServer(s.record(mux))
	t.Cleanup(s.Close)
	return s
}
