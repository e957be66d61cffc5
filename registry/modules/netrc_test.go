package modules

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEntriesOfNetrc(t *testing.T) {
	const text = `
# a comment: machine example.com login no password no
machine other.example.com login a password b
macdef init
machine example.com login macro password macro

machine example.com
  login ada
  account ignored
  password pass#word
machine example.com login second password second
default login anonymous password guest
machine after.example.com login x password y
`
	for host, want := range map[string]string{
		"example.com": "ada pass#word", "EXAMPLE.com": "ada pass#word", "other.example.com": "a b",
		"elsewhere.org": "anonymous guest", "after.example.com": "anonymous guest",
	} {
		login, password, ok := netrcOf(text, host)
		if got := login + " " + password; !ok || got != want {
			t.Errorf("%s: %s, %v", host, got, ok)
		}
	}
	for _, text := range []string{"", "machine", "machine other login a password b", "login a password b", "macdef x\nmachine example.com login a"} {
		if login, password, ok := netrcOf(text, "example.com"); ok {
			t.Errorf("%q gives %s %s", text, login, password)
		}
	}
	if login, _, ok := netrcOf("machine example.com login", "example.com"); !ok || login != "" {
		t.Errorf("an entry that ends early gives %q, %v", login, ok)
	}
}

func TestPrivateArchivesAreFetchedWithNetrc(t *testing.T) {
	archive := zipOf(t, plain)
	// Another server, which the archive's redirects to, must not get the credentials.
	var leaked string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked = r.Header.Get("Authorization")
		_, _ = w.Write(archive)
	}))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		login, password, _ := r.BasicAuth()
		switch {
		case login != "ada" || password != "s3cret":
			http.Error(w, "who are you?", http.StatusUnauthorized)
		case strings.HasPrefix(r.URL.Path, "/moved"):
			http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+"/a.zip", http.StatusFound)
		default:
			_, _ = w.Write(archive)
		}
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "netrc")
	t.Setenv("NETRC", file)

	_, _, err := get(t, server.URL+"/a.zip", "")
	if err == nil || !strings.Contains(err.Error(), "401") || !strings.Contains(err.Error(), ".netrc can contain a login and a password for 127.0.0.1") {
		t.Errorf("without credentials: %v", err)
	}
	if err := os.WriteFile(file, []byte("machine 127.0.0.1 login ada password s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/a.zip", "/moved.zip"} {
		if _, _, err := get(t, server.URL+path, ""); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if leaked != "" {
		t.Errorf("another server got %q", leaked)
	}
	r, err := http.NewRequest(http.MethodGet, "http://example.com/a.zip", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("default login ada password s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fromNetrc(t.Context(), r); err != nil || r.Header.Get("Authorization") != "" {
		t.Errorf("a password is sent in clear text: %v", err)
	}
}
