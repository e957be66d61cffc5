package modules

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"sync"
	"time"

	"github.com/hashicorp/go-version"
)

// maxArchive is the maximum size of an archive, in bytes.
const maxArchive = maxBytes

// archive is a file over HTTP. What it contains may change: the digest of its
// files in the lock file says which content is meant.
type archive struct {
	url *url.URL
	// checksum is the SHA-256 that the source demands, in hexadecimal, or empty.
	checksum string
	// sign adds credentials to a request, if there are any.
	sign func(ctx context.Context, r *http.Request) error
}

func newArchive(u *url.URL, query url.Values) (origin, error) {
	checksum, err := takeChecksum(query)
	if err != nil {
		return nil, err
	}
	if u.Host == "" || u.Path == "" || u.Path == "/" {
		return nil, fmt.Errorf("%q is not the address of an archive", Redact(u.String()))
	}
	at := *u
	at.RawQuery = query.Encode()
	return &archive{url: &at, checksum: checksum, sign: fromNetrc}, nil
}

var sha256Hex = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^sha256:[0-9a-f]{64}$`) })

// takeChecksum removes checksum=sha256:… from a query.
func takeChecksum(query url.Values) (string, error) {
	if !query.Has("checksum") {
		return "", nil
	}
	checksum := query.Get("checksum")
	if !sha256Hex().MatchString(checksum) {
		return "", fmt.Errorf("the checksum %q must be sha256: and 64 hexadecimal digits", checksum)
	}
	query.Del("checksum")
	return checksum, nil
}

func (a *archive) address() string {
	at := *a.url
	at.RawQuery, at.User = "", nil
	return at.String()
}

func (a *archive) versioned() error {
	return errors.New("an archive has no versions to choose from; remove version")
}

func (a *archive) choose(context.Context, version.Constraints) (Release, error) {
	return Release{}, nil
}

func (a *archive) fetch(ctx context.Context, _ Release, to *writer) error {
	file, err := os.CreateTemp("", "quern-module-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := a.download(ctx, file); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return unpack(file, to)
}

// attempts is how often a request is made if the server or the network fails.
const attempts = 3

// download writes the archive to a file and checks it.
func (a *archive) download(ctx context.Context, file *os.File) error {
	for i := 1; ; i++ {
		again, err := a.try(ctx, file)
		if err == nil || !again || i == attempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(i) * 500 * time.Millisecond):
		}
	}
}

// client never goes from https to http, and waits for servers for a limited time.
var client = &http.Client{
	Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   30 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		ForceAttemptHTTP2:     true,
	},
	CheckRedirect: func(r *http.Request, via []*http.Request) error {
		switch {
		case len(via) >= 10:
			return errors.New("too many redirects")
		case via[0].URL.Scheme == "https" && r.URL.Scheme != "https":
			return errors.New("it redirects from https to http")
		}
		return nil
	},
}

// try makes one attempt. again reports whether another one may succeed.
func (a *archive) try(ctx context.Context, file *os.File) (again bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url.String(), nil)
	if err != nil {
		return false, err
	}
	r.Header.Set("User-Agent", "quern")
	r.Header.Set("Accept-Encoding", "identity") // the archive as it is
	if err := a.sign(ctx, r); err != nil {
		return false, err
	}
	response, err := client.Do(r)
	if err != nil {
		return true, reason(err)
	}
	defer response.Body.Close()
	switch code := response.StatusCode; {
	case code == http.StatusUnauthorized && r.Header.Get("Authorization") == "":
		return false, fmt.Errorf("the server answered %s; the file .netrc can contain a login and a password for %s", response.Status, r.URL.Hostname())
	case code != http.StatusOK:
		return code >= 500 || code == http.StatusTooManyRequests, fmt.Errorf("the server answered %s", response.Status)
	}
	return a.save(response.Body, file)
}

// reason returns an error of a request without its address.
func reason(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func (a *archive) save(body io.Reader, file *os.File) (again bool, err error) {
	if err := file.Truncate(0); err != nil {
		return false, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(file, h), io.LimitReader(body, maxArchive+1))
	switch {
	case err != nil:
		return true, fmt.Errorf("read the archive: %w", err)
	case n > maxArchive:
		return false, fmt.Errorf("the archive has more than %d MB", maxArchive>>20)
	}
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); a.checksum != "" && got != a.checksum {
		return false, fmt.Errorf("the archive has the checksum %s, but the source demands %s", got, a.checksum)
	}
	return false, nil
}
