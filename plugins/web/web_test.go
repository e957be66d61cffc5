package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// TestMain downloads a file if it is started by the test that kills it.
func TestMain(m *testing.M) {
	firstWait = time.Millisecond
	if address := os.Getenv("QUERN_TEST_DOWNLOAD"); address != "" {
		a := &args{URL: address, MaxSize: 1 << 10}
		r, err := a.remote(address)
		if err == nil {
			err = r.transfer(context.Background(), func(int64) {})
		}
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// server serves files as their map says, and records requests.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	contents map[string]string
	requests []*http.Request
	// before, if not nil, answers a request itself if it returns true.
	before func(http.ResponseWriter, *http.Request) bool
	// bare leaves out validators.
	bare bool
}

func serve(t *testing.T, contents map[string]string) *server {
	t.Setenv(files.CacheVariable, t.TempDir())
	s := &server{contents: contents}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	content, ok := s.contents[r.URL.Path]
	before, bare := s.before, s.bare
	s.mu.Unlock()
	switch {
	case before != nil && before(w, r):
	case !ok:
		http.NotFound(w, r)
	case bare:
		_, _ = w.Write([]byte(content))
	default:
		w.Header().Set("ETag", `"`+digest(content)[:16]+`"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	}
}

// take returns the requests since the last call.
func (s *server) take() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.requests
	s.requests = nil
	return out
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func read(t *testing.T, arguments map[string]any) (*plugintest.ReadResult, error) {
	t.Helper()
	p := plugin.Plugin{Name: "builtin", Version: "0.0.1", Types: Types()}
	return plugintest.Read(t, p, plugintest.Case{Kind: plugin.KindSource, Type: "http", Args: arguments})
}

func TestAnUnchangedFileCostsOneRequestAndAChangedOneIsReadAgain(t *testing.T) {
	s := serve(t, map[string]string{"/a.csv": "id,text\n1,a\n2,b\n"})
	address := s.URL + "/a.csv"
	source, err := read(t, map[string]any{"url": address})
	if err != nil || len(source.Rows) != 2 {
		t.Fatal(source, err)
	}
	s.take()
	a := &args{URL: address, MaxSize: 1}
	first, err := (objects{}).List(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.take(); len(got) != 1 || got[0].Header.Get("If-None-Match") == "" {
		t.Errorf("%d requests", len(got))
	}
	// A new checkout has no downloads, but the state has the memo.
	t.Setenv(files.CacheVariable, t.TempDir())
	second, err := (objects{}).List(t.Context(), a, first.Memo)
	if err != nil || second.Objects[0].Version != first.Objects[0].Version {
		t.Error(err)
	}
	if got := s.take(); len(got) != 1 || got[0].Header.Get("If-None-Match") == "" {
		t.Errorf("%d requests", len(got))
	}
	s.contents["/a.csv"] = "id,text\n1,a\n2,c\n"
	third, err := (objects{}).List(t.Context(), a, second.Memo)
	if err != nil || third.Objects[0].Version == first.Objects[0].Version {
		t.Error("the change was not noticed", err)
	}
}

func TestAFileWithoutValidatorsIsComparedByItsDigest(t *testing.T) {
	s := serve(t, map[string]string{"/a.jsonl": "{\"id\": 1}\n"})
	s.bare = true
	a := &args{URL: s.URL + "/a.jsonl", MaxSize: 1}
	first, err := (objects{}).List(t.Context(), a, nil)
	if err != nil || first.Objects[0].Version != digest("{\"id\": 1}\n") {
		t.Fatal(first, err)
	}
	s.contents["/a.jsonl"] = "{\"id\": 2}\n"
	second, err := (objects{}).List(t.Context(), a, first.Memo)
	if err != nil || second.Objects[0].Version != digest("{\"id\": 2}\n") {
		t.Error(second, err)
	}
}

func TestRedirectsToAnotherServerGetNoHeaders(t *testing.T) {
	other := serve(t, map[string]string{"/a.csv": "id\n1\n"})
	s := serve(t, nil)
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL+"/a.csv", http.StatusFound)
		return true
	}
	if _, err := read(t, map[string]any{"url": s.URL + "/a.csv", "headers": map[string]any{"Authorization": "Bearer hidden", "X-Api-Key": "hidden"}}); err != nil {
		t.Fatal(err)
	}
	if got := s.take(); len(got) == 0 || got[0].Header.Get("X-Api-Key") != "hidden" {
		t.Error("the server itself did not get the header")
	}
	for _, r := range other.take() {
		if r.Header.Get("Authorization") != "" || r.Header.Get("X-Api-Key") != "" {
			t.Errorf("the other server got %v", r.Header)
		}
	}
}

func TestTemporaryFailuresAreRepeatedAndOthersExplained(t *testing.T) {
	s := serve(t, map[string]string{"/a.csv": "id\n1\n"})
	left := 2
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if left--; left < 0 {
			return false
		}
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	if source, err := read(t, map[string]any{"url": s.URL + "/a.csv"}); err != nil || len(source.Rows) != 1 {
		t.Error(source, err)
	}
	s.before = nil
	for name, c := range map[string]struct {
		args map[string]any
		want string
	}{
		"missing":  {map[string]any{"url": s.URL + "/b.csv?token=hidden"}, "HTTP status 404 Not Found"},
		"checksum": {map[string]any{"url": s.URL + "/a.csv", "checksum": "sha256:" + digest("")}, "has the checksum sha256:" + digest("id\n1\n")},
		"neither":  {map[string]any{}, "Set either url or urls"},
		"twice":    {map[string]any{"urls": []any{s.URL + "/a.csv", s.URL + "/a.csv"}}, "is listed twice"},
		"user":     {map[string]any{"url": "https://me:hidden@example.com/a.csv"}, "contains a user name or password"},
		"short":    {map[string]any{"url": s.URL + "/a.csv", "checksum": "sha256:12"}, "is not a valid checksum"},
		"nowhere":  {map[string]any{"url": "ftp://example.com/a.csv"}, "is not a valid address"},
		"foreign":  {map[string]any{"url": s.URL + "/a.csv", "field": "x"}, `The format "csv" has no argument field`},
	} {
		_, err := read(t, c.args)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFileThatIsTooLargeIsRefused(t *testing.T) {
	s := serve(t, map[string]string{"/a.csv": "id\n" + strings.Repeat("1\n", 1<<20)})
	if _, err := read(t, map[string]any{"url": s.URL + "/a.csv", "max_size": 1}); err == nil || !strings.Contains(err.Error(), "is larger than 1 MiB") {
		t.Error(err)
	}
}

// large is a CSV file of some sync intervals.
func large() string {
	var b bytes.Buffer
	b.WriteString("id,text\n")
	for i := 0; b.Len() < 3*syncEvery; i++ {
		fmt.Fprintf(&b, "%d,%s\n", i, strings.Repeat("x", 100_000))
	}
	return b.String()
}

func TestADownloadThatBreaksOffContinues(t *testing.T) {
	content := large()
	s := serve(t, map[string]string{"/a.csv": content})
	var sent []string
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		asked := r.Header.Get("Range")
		if r.Header.Get("If-None-Match") != "" || asked != "" && !strings.HasSuffix(asked, "-") {
			return false
		}
		if sent = append(sent, asked); len(sent) > 6 {
			return false
		}
		// The connection ends after half of what is left.
		w.Header().Set("ETag", `"`+digest(content)[:16]+`"`)
		w.Header().Set("Accept-Ranges", "bytes")
		start := 0
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &start); err == nil {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(content)-1, len(content)))
			w.Header().Set("Content-Length", fmt.Sprint(len(content)-start))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		}
		_, _ = w.Write([]byte(content[start : start+(len(content)-start)/2]))
		panic(http.ErrAbortHandler)
	}
	source, err := read(t, map[string]any{"url": s.URL + "/a.csv", "checksum": "sha256:" + digest(content)})
	if err != nil || len(source.Rows) != strings.Count(content, "\n")-1 {
		t.Fatal(err)
	}
	resumed := 0
	for _, r := range sent {
		if strings.HasSuffix(r, "-") && r != "bytes=0-" {
			resumed++
		}
	}
	if resumed < 2 {
		t.Errorf("requests: %q", sent)
	}
}

func TestAKilledDownloadContinuesInTheMiddle(t *testing.T) {
	content := large()
	s := serve(t, map[string]string{"/a.csv": content})
	reached, kill := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != "" || r.Header.Get("If-None-Match") != "" {
			return false
		}
		w.Header().Set("ETag", `"`+digest(content)[:16]+`"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write([]byte(content[:2*syncEvery+syncEvery/2]))
		w.(http.Flusher).Flush()
		once.Do(func() { close(reached) })
		<-kill
		return true
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "QUERN_TEST_DOWNLOAD="+s.URL+"/a.csv")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	<-reached
	r, err := (&args{MaxSize: 1 << 10}).remote(s.URL + "/a.csv")
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); r.begun().Synced < 2*syncEvery; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the download does not proceed")
		}
	}
	if err := child.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	close(kill)
	s.take()
	source, err := read(t, map[string]any{"url": s.URL + "/a.csv"})
	if err != nil || len(source.Rows) != strings.Count(content, "\n")-1 {
		t.Fatal(err)
	}
	resumed := false
	for _, request := range s.take() {
		start := 0
		if _, err := fmt.Sscanf(request.Header.Get("Range"), "bytes=%d-", &start); err == nil && start >= 2*syncEvery && strings.HasSuffix(request.Header.Get("Range"), "-") {
			resumed = true
		}
	}
	if !resumed {
		t.Error("the download began again")
	}
}

func TestOneChangedFileOfManyIsTheOnlyOneTransferred(t *testing.T) {
	contents := map[string]string{}
	var urls []any
	s := serve(t, contents)
	for i := range 50 {
		path := fmt.Sprintf("/day=%02d/a.csv", i)
		contents[path] = fmt.Sprintf("id\n%d\n", i)
		urls = append(urls, s.URL+path)
	}
	source, err := read(t, map[string]any{"urls": urls})
	if err != nil || len(source.Rows) != 50 {
		t.Fatal(err)
	}
	s.take()
	contents["/day=07/a.csv"] = "id\n700\n"
	if source, err = read(t, map[string]any{"urls": urls}); err != nil || len(source.Rows) != 50 {
		t.Fatal(err)
	}
	transferred := 0
	seen := map[string]bool{}
	for _, r := range s.take() {
		if r.Header.Get("If-None-Match") == `"`+digest(contents[r.URL.Path])[:16]+`"` {
			continue // 304
		}
		if transferred++; !seen[r.URL.Path] {
			seen[r.URL.Path] = true
		}
	}
	if transferred != 1 || !seen["/day=07/a.csv"] {
		t.Errorf("transferred %d: %v", transferred, seen)
	}
}
