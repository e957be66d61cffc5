package storage

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
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
	contents, generations := map[string]string{}, map[string]int{}
	s := &service{}
	s.put = func(name, content string) {
		mu.Lock()
		defer mu.Unlock()
		contents[name] = content
		generations[name]++
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
		if r.FormValue("alt") != "media" || r.FormValue("generation") != strconv.Itoa(generation) {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	})
	s.Server = httptest.NewServer(s.record(mux))
	t.Cleanup(s.Close)
	return s
}
