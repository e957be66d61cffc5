package provider

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Client makes requests to endpoints. It keeps as many connections open as
// there are concurrent requests, because opening one costs more than a small
// request. It does not follow redirects, which would take a key to another
// place.
var Client = &http.Client{
	Transport:     bounded{transport},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

var transport = &http.Transport{
	Proxy:                 http.ProxyFromEnvironment,
	DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
	ForceAttemptHTTP2:     true,
	MaxIdleConns:          1024,
	MaxIdleConnsPerHost:   1024,
	IdleConnTimeout:       90 * time.Second,
	TLSHandshakeTimeout:   10 * time.Second,
	ExpectContinueTimeout: time.Second,
}

// maxAnswer is the maximum length of an answer, in bytes, after decompression.
const maxAnswer = 64 << 20

// limited is a body that fails if it is longer than an answer may be.
type limited struct {
	body io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	// One extra byte distinguishes a body that ends at the limit from a longer
	// one.
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.body.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n - 1, fmt.Errorf("it is longer than %d MiB", maxAnswer>>20)
	}
	return n, err
}

// bounded limits the length of answers.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = discreet(struct {
		io.Reader
		io.Closer
	}{&limited{resp.Body, maxAnswer}, resp.Body}, credentials(r))
	return resp, nil
}

// broken is the error if the rest of an answer could not be received.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// credentials returns the values of a request's headers that only its endpoint
// may see.
func credentials(r *http.Request) []string {
	var found []string
	for _, name := range []string{"Authorization", "Proxy-Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key"} {
		for _, text := range r.Header.Values(name) {
			if _, key, ok := strings.Cut(text, " "); ok {
				text = key
			}
			if len(text) >= shortestEchoed {
				found = append(found, text)
			}
		}
	}
	return found
}

// discreet returns the body of a response without the credentials of its
// request, which some endpoints echo.
func discreet(body io.ReadCloser, keys []string) io.ReadCloser {
	if len(keys) == 0 {
		return body
	}
	return &redacting{body: body, keys: keys}
}

// redacting reads the whole body before it returns any of it, because a key may
// be split between two reads. A response is read as a whole anyway.
type redacting struct {
	body io.ReadCloser
	keys []string
	rest io.Reader // nil: nothing has been read yet
}

func (r *redacting) Read(p []byte) (int, error) {
	if r.rest == nil {
		text, err := io.ReadAll(r.body)
		for _, key := range r.keys {
			text = bytes.ReplaceAll(text, []byte(key), []byte(hiddenKey))
		}
		r.rest = bytes.NewReader(text)
		if err != nil {
			r.rest = io.MultiReader(r.rest, broken{err})
		}
	}
	return r.rest.Read(p)
}

func (r *redacting) Close() error { return r.body.Close() }

// isDial reports whether an error occurred while connecting to the endpoint or
// to a proxy.
func isDial(err error) bool {
	var op *net.OpError
	for errors.As(err, &op) {
		if op.Op == "dial" {
			return true
		}
		err = op.Err
	}
	return false
}
