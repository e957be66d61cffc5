package modules

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// entry is an entry of an archive: a file with a content, or a link to a target.
type entry struct{ name, content, target string }

var plain = []entry{{name: "pkg/clean/main.quern.hcl", content: "text"}, {name: "pkg/data.csv", content: "a\n1\n"}}

func tarOf(t *testing.T, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.content)), Typeflag: tar.TypeReg}
		if e.target != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.target
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipOf(t *testing.T, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(0o644)
		content := e.content
		if e.target != "" {
			h.SetMode(0o777 | os.ModeSymlink)
			content = e.target
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// compressed returns a text in a format that a function writes.
func compressed(t *testing.T, text []byte, to func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := to(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t *testing.T, text []byte) []byte {
	t.Helper()
	return compressed(t, text, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
}

// serve serves one file under every address.
func serve(t *testing.T, body []byte) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(body) }))
	t.Cleanup(server.Close)
	return server.URL + "/pkg"
}

func TestThePackageIsTheSameInEveryFormat(t *testing.T) {
	flat := tarOf(t, plain)
	// The digest as docs/formats.md defines it.
	sum := func(text string) string { s := sha256.Sum256([]byte(text)); return hex.EncodeToString(s[:]) }
	want := "sha256:" + sum("pkg/clean/main.quern.hcl\x00sha256:"+sum("text")+"\npkg/data.csv\x00sha256:"+sum("a\n1\n")+"\n")
	for format, archive := range map[string][]byte{
		"zip":     zipOf(t, plain),
		"tar":     flat,
		"tar.gz":  gzipped(t, flat),
		"tar.zst": compressed(t, flat, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }),
		"tar.xz":  compressed(t, flat, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }),
	} {
		dir, _, err := get(t, serve(t, archive), "")
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if got, err := Digest(dir); got != want {
			t.Errorf("%s: digest %s %v, want %s", format, got, err, want)
		}
		inner, err := Within(dir, "*/clean")
		if err != nil || textOf(t, inner, "main.quern.hcl") != "text" {
			t.Errorf("%s: %s %v", format, inner, err)
		}
	}
}

func TestAFolderInAPackageMustExist(t *testing.T) {
	dir, _, err := get(t, serve(t, zipOf(t, append(plain, entry{name: "other/x", content: "x"}))), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Within(dir, "pkg/nowhere")
	wantError(t, err, `the package has no folder "pkg/nowhere"`)
	_, err = Within(dir, "pkg/data.csv")
	wantError(t, err, `the package has no folder "pkg/data.csv"`)
	_, err = Within(dir, "*/clean")
	wantError(t, err, "* stands for the only folder at its place, but there are 2")
}

// Both formats refuse the same, and nothing is written outside of the folder.
func TestArchivesThatQuernRefuses(t *testing.T) {
	file := func(name string) entry { return entry{name: name, content: "x"} }
	link := func(name, target string) entry { return entry{name: name, target: target} }
	for name, c := range map[string]struct {
		entries []entry
		want    string
	}{
		"a path that leads out":     {[]entry{file("../evil")}, "leads out of the package"},
		"a path that leads far out": {[]entry{file("a/../../evil")}, "leads out of the package"},
		"an absolute path":          {[]entry{file("/etc/evil")}, "leads out of the package"},
		"a backslash":               {[]entry{file(`..\evil`)}, "leads out of the package"},
		"a link that leads out":     {[]entry{link("a", "../evil")}, `link "a" leads out of the package, to "../evil"`},
		"an absolute link":          {[]entry{link("a", "/etc")}, `link "a" leads out of the package, to "/etc"`},
		"a file through a link":     {[]entry{file("d/x"), link("a", "d"), file("a/evil")}, `both a folder "a" and a file of that name`},
		"links that lead out together": {
			[]entry{file("d/d/x"), link("a", "d/d"), link("b", "a/../../..")}, `link "b" leads out of the package`,
		},
		"a file twice":   {[]entry{file("a"), file("a")}, `contains "a" twice`},
		"no file at all": {nil, ""},
		"a long path":    {[]entry{file(strings.Repeat("a/", 600) + "x")}, "has more than 1024 bytes"},
	} {
		for format, archive := range map[string][]byte{"tar": gzipped(t, tarOf(t, c.entries)), "zip": zipOf(t, c.entries)} {
			dir, _, err := get(t, serve(t, archive), "")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s in a %s: got %v, want %q", name, format, err, c.want)
			}
			for _, evil := range []string{filepath.Join(filepath.Dir(dir), "evil"), filepath.Join(filepath.Dir(filepath.Dir(dir)), "evil")} {
				if _, err := os.Lstat(evil); dir != "" && err == nil {
					t.Errorf("%s in a %s: wrote %s", name, format, evil)
				}
			}
		}
	}
}

func TestEntriesThatAreNoFilesAreRefused(t *testing.T) {
	for _, flag := range []byte{tar.TypeChar, tar.TypeFifo, tar.TypeLink} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Name: "a", Typeflag: flag, Linkname: "/etc/passwd"}); err != nil {
			t.Fatal(err)
		}
		w.Close()
		_, _, err := get(t, serve(t, b.Bytes()), "")
		wantError(t, err, `"a" is neither a file, a folder, nor a symbolic link`)
	}
}

// zeros is a reader without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAnArchiveThatExplodesIsRefused(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: "zeros", Mode: 0o644, Size: 2 * maxBytes, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, zeros{}, maxBytes+10); err != nil {
		t.Fatal(err)
	}
	z.Close()
	if b.Len() > 1<<20 {
		t.Fatalf("the archive has %d bytes", b.Len())
	}
	_, _, err := get(t, serve(t, b.Bytes()), "")
	wantError(t, err, "it has more than 256 MB")

	many := make([]entry, maxFiles+1)
	for i := range many {
		many[i].name = fmt.Sprint(i)
	}
	_, _, err = get(t, serve(t, gzipped(t, tarOf(t, many))), "")
	wantError(t, err, "it has more than 20000 files")
}

func TestWhatIsNoArchiveIsRefused(t *testing.T) {
	for _, body := range []string{"", "<html>Sign in</html>", "PK\x03\x04 broken", "\x1f\x8b broken"} {
		_, _, err := get(t, serve(t, []byte(body)), "")
		wantError(t, err, "archive")
	}
	whole := gzipped(t, tarOf(t, []entry{{name: "a", content: strings.Repeat("text", 10_000)}}))
	_, _, err := get(t, serve(t, whole[:len(whole)/2]), "")
	wantError(t, err, "unexpected EOF")
}

func TestAChecksumIsChecked(t *testing.T) {
	archive := zipOf(t, plain)
	at := serve(t, archive)
	sum := sha256.Sum256(archive)
	if _, _, err := get(t, at+"?checksum=sha256:"+hex.EncodeToString(sum[:]), ""); err != nil {
		t.Error(err)
	}
	_, _, err := get(t, at+"?checksum=sha256:"+strings.Repeat("0", 64), "")
	wantError(t, err, "but the source demands sha256:0000")
	_, _, err = get(t, at, "~> 1.0")
	wantError(t, err, "an archive has no versions")
}

func TestAFailingServerIsAskedAgain(t *testing.T) {
	var asked []string
	failures := 2
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RequestURI())
		if failures--; failures >= 0 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		w.Write(zipOf(t, plain))
	}))
	defer server.Close()
	if _, _, err := get(t, server.URL+"/a.zip?token=secret", ""); err != nil || len(asked) != 3 || asked[0] != "/a.zip?token=secret" {
		t.Errorf("%v, asked %q", err, asked)
	}
	failures, asked = 10, nil
	_, _, err := get(t, server.URL+"/a.zip?token=secret", "")
	wantError(t, err, server.URL+"/a.zip: the server answered 503")
	if strings.Contains(err.Error(), "secret") || len(asked) != 3 {
		t.Errorf("%v, asked %q", err, asked)
	}
}

func TestAMissingArchiveIsAskedForOnce(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked++; http.NotFound(w, r) }))
	defer server.Close()
	_, _, err := get(t, server.URL+"/a.zip", "")
	wantError(t, err, "the server answered 404")
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestNoRedirectGoesFromHTTPSToHTTP(t *testing.T) {
	at := serve(t, zipOf(t, plain))
	secure := httptest.NewTLSServer(http.RedirectHandler(at, http.StatusFound))
	defer secure.Close()
	was := client.Transport
	client.Transport = secure.Client().Transport
	defer func() { client.Transport = was }()
	_, _, err := get(t, secure.URL+"/a.zip", "")
	wantError(t, err, "it redirects from https to http")
}

// Whatever an archive contains, nothing appears next to the package's folder.
func FuzzUnpackStaysInItsFolder(f *testing.F) {
	t := &testing.T{}
	for _, entries := range [][]entry{plain, {{name: "../x", content: "x"}}, {{name: "a", target: ".."}, {name: "a/x", content: "x"}}} {
		f.Add(tarOf(t, entries))
		f.Add(zipOf(t, entries))
		f.Add(gzipped(t, tarOf(t, entries)))
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		outer := t.TempDir()
		file := filepath.Join(outer, "archive")
		if err := os.WriteFile(file, archive, 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		w, err := newWriter(filepath.Join(outer, "package"))
		if err != nil {
			t.Fatal(err)
		}
		defer w.close(false)
		if unpack(in, w) == nil {
			_ = w.check()
		}
		left, err := os.ReadDir(outer)
		if err != nil || len(left) != 2 {
			t.Errorf("%v %v", left, err)
		}
	})
}
