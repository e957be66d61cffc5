package storage

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// service is a service with a bucket "data", which records requests.
type service struct {
	*httptest.Server
	put      func(name, content string)
	contents func() map[string]string
	mu       sync.Mutex
	requests []string
	bytes    int64
	// before, if not nil, answers a request itself if it returns true.
	before func(http.ResponseWriter, *http.Request) bool
}

func (s *service) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.Path)
		before := s.before
		s.mu.Unlock()
		if before == nil || !before(w, r) {
			next.ServeHTTP(&counter{w, s}, r)
		}
	})
}

type counter struct {
	http.ResponseWriter
	s *service
}

func (c *counter) Write(b []byte) (int, error) {
	c.s.mu.Lock()
	c.s.bytes += int64(len(b))
	c.s.mu.Unlock()
	return c.ResponseWriter.Write(b)
}

// take returns the requests and bytes since the last call.
func (s *service) take() ([]string, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, n := s.requests, s.bytes
	s.requests, s.bytes = nil, 0
	return requests, n
}

func fakeS3(t *testing.T) *service {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "hidden", "AWS_REGION": "us-east-1", "AWS_CONFIG_FILE": "/nonexistent",
		"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true", files.CacheVariable: t.TempDir(),
	} {
		t.Setenv(name, value)
	}
	backend := s3mem.New()
	if err := backend.CreateBucket("data"); err != nil {
		t.Fatal(err)
	}
	s := &service{}
	s.put = func(name, content string) {
		if _, err := backend.DeleteObject("data", name); err != nil { // with its checksums
			t.Fatal(err)
		}
		if _, err := backend.PutObject("data", name, map[string]string{}, strings.NewReader(content), int64(len(content)), nil); err != nil {
			t.Fatal(err)
		}
	}
	s.contents = func() map[string]string {
		list, err := backend.ListBucket("data", nil, gofakes3.ListBucketPage{})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, c := range list.Contents {
			o, err := backend.GetObject("data", c.Key, nil)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(o.Contents)
			if err != nil {
				t.Fatal(err)
			}
			out[c.Key] = string(text)
		}
		return out
	}
	s.Server = httptest.NewServer(s.record(gofakes3.New(backend).Server()))
	t.Cleanup(s.Close)
	return s
}

func (s *service) read(t *testing.T, typ string, arguments map[string]any) (*plugintest.ReadResult, error) {
	t.Helper()
	all := map[string]any{"bucket": "data", "endpoint": s.URL}
	for name, value := range arguments {
		all[name] = value
	}
	return plugintest.Read(t, Plugin("0.0.1"), plugintest.Case{Kind: plugin.KindSource, Type: typ, Args: all})
}

func TestObjectsOfABucketAreReadLikeFiles(t *testing.T) {
	for typ, start := range map[string]func(*testing.T) *service{"s3": fakeS3, "gcs": fakeGCS} {
		t.Run(typ, func(t *testing.T) {
			s := start(t)
			s.put("tickets/lang=en/a.csv", "id,text\n1,one\n2,two\n")
			s.put("tickets/lang=de/b.csv", "id,text,extra\n3,drei,x\n")
			s.put("tickets/notes.md", "no rows")
			s.put("other/a.csv", "id\n9\n")
			got, err := s.read(t, typ, map[string]any{"path": "tickets/*/*.csv"})
			if err != nil {
				t.Fatal(err)
			}
			if text := fmt.Sprint(got.Columns.Names(), got.Rows); text != "[id text extra lang] [map[extra:x id:3 lang:de text:drei] map[extra:<nil> id:1 lang:en text:one] map[extra:<nil> id:2 lang:en text:two]]" &&
				text != "[id text lang extra] [map[extra:x id:3 lang:de text:drei] map[extra:<nil> id:1 lang:en text:one] map[extra:<nil> id:2 lang:en text:two]]" {
				if len(got.Rows) != 3 || got.Rows[0]["lang"] != "de" || got.Rows[2]["text"] != "two" {
					t.Error(text)
				}
			}
			s.put("a.jsonl", "{\"a\": 1}\nbroken\n{\"a\": 2}\n")
			got, err = s.read(t, typ, map[string]any{"path": "a.jsonl", "on_error": "quarantine"})
			if err != nil || len(got.Rows) != 2 || len(got.Quarantined) != 1 || got.Quarantined[0].Origin != "a.jsonl:2" {
				t.Error(got, err)
			}
		})
	}
}

func TestMistakesInABucketAreExplained(t *testing.T) {
	s := fakeS3(t)
	s.put("a.csv", "id\n1\n")
	s.put("a.bin", "id\n1\n")
	for want, arguments := range map[string]map[string]any{
		"No object of s3://data matches \"b*.csv\"": {"path": "b*.csv"},
		"is a folder": {"path": "tickets/"},
		"neither the bucket nor a / at its start":        {"path": "s3://data/a.csv"},
		"is not a valid pattern":                         {"path": "a[.csv"},
		"NoSuchBucket":                                   {"path": "a.csv", "bucket": "absent"},
		"is not the name of a bucket":                    {"path": "a.csv", "bucket": "s3://data"},
		"The name of a.bin does not show its format":     {"path": "a.bin"},
		"a.bin is a text file, not a Parquet file":       {"path": "a.bin", "format": "parquet"},
		`The format "parquet" has no argument delimiter`: {"path": "a.csv", "format": "parquet", "delimiter": ";"},
		"No column is named \"x\"":                       {"path": "a.csv", "columns": []any{"x"}},
	} {
		_, err := s.read(t, "s3", arguments)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// A daily growing source of 1,000 objects lists them, and requests the new one.
func TestOfAThousandObjectsOnlyTheNewOneIsRequested(t *testing.T) {
	s := fakeS3(t)
	for i := range 1000 {
		s.put(fmt.Sprintf("day/%04d.csv", i), fmt.Sprintf("id,text\n%d,x\n", i))
	}
	a := &s3Args{S3: S3{Bucket: "data", Endpoint: s.URL}, Pattern: Pattern{"day/*.csv"}}
	known := map[string]bool{}
	listing := func() (fresh int) {
		list, err := objects[s3Args, *s3Args]{}.List(t.Context(), a, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Objects {
			if !known[o.Version] {
				known[o.Version] = true
				fresh++
			}
		}
		return fresh
	}
	if listing() != 1000 {
		t.Fatal("objects are missing")
	}
	if requests, _ := s.take(); len(requests) != 1 {
		t.Errorf("a refresh took %d requests", len(requests))
	}
	if _, err := s.read(t, "s3", map[string]any{"path": "day/*.csv"}); err != nil {
		t.Fatal(err)
	}
	s.take()
	s.put("day/1000.csv", "id,text\n1000,x\n")
	got, err := s.read(t, "s3", map[string]any{"path": "day/*.csv"})
	if err != nil || len(got.Rows) != 1001 {
		t.Fatal(err)
	}
	requests, _ := s.take()
	content := 0
	for _, r := range requests {
		if !strings.HasSuffix(r, "/data") && !strings.HasSuffix(r, "/data/") {
			if content++; r != "GET /data/day/1000.csv" {
				t.Errorf("requested %s", r)
			}
		}
	}
	if content == 0 || content > 2 {
		t.Errorf("%d requests for content", content)
	}
	if listing() != 1 {
		t.Error("one object is new")
	}
}

// wide is a Parquet file with a small and a large column.
func wide(t *testing.T, rows int) string {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "blob", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	noise := uint32(1)
	for i := range rows {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		text := make([]byte, 1000)
		for k := range text {
			noise = noise*1664525 + 1013904223
			text[k] = 'a' + byte(noise>>24)%26
		}
		b.Field(1).(*array.StringBuilder).Append(string(text))
	}
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(parquet.WithDictionaryDefault(false)), pqarrow.DefaultWriterProps())
	if err == nil {
		err = w.Write(b.NewRecordBatch())
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestOnlyTheChosenColumnsOfAParquetObjectAreTransferred(t *testing.T) {
	s := fakeS3(t)
	content := wide(t, 10_000)
	s.put("a.parquet", content)
	if _, err := s.read(t, "s3", map[string]any{"path": "a.parquet", "columns": []any{"id"}}); err != nil {
		t.Fatal(err)
	}
	// The test reads twice.
	if _, n := s.take(); n > int64(len(content))/10 {
		t.Errorf("%d of %d bytes were transferred", n, len(content))
	}
}

func TestAnObjectThatChangesWhileItIsReadIsAnError(t *testing.T) {
	s := fakeS3(t)
	s.put("a.csv", "id\n"+strings.Repeat("1\n", 1<<20))
	changed := false
	s.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.Header.Get("Range"), "bytes=65536-") && !changed {
			changed = true
			s.put("a.csv", "id\n"+strings.Repeat("2\n", 1<<20))
		}
		return false
	}
	if _, err := s.read(t, "s3", map[string]any{"path": "a.csv"}); err == nil || !strings.Contains(err.Error(), "a.csv changed while it was read") {
		t.Error(err)
	}
}

func TestTransfersThatBreakOffAreRepeated(t *testing.T) {
	s := fakeS3(t)
	s.put("a.csv", "id\n"+strings.Repeat("1234567\n", 1<<18))
	broken := 0
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") == "" || broken >= 5 {
			return false
		}
		broken++
		if broken%2 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		panic(http.ErrAbortHandler)
	}
	got, err := s.read(t, "s3", map[string]any{"path": "a.csv"})
	if err != nil || len(got.Rows) != 1<<18 {
		t.Fatal(err)
	}
}
