package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/quern-dev/quern/plugins/provider"
)

// transport requests files as they are stored, not compressed for the way.
var transport = func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true
	t.ResponseHeaderTimeout = 2 * time.Minute
	return t
}()

// redirects is how many redirects are followed.
const redirects = 10

// client returns a client that follows redirects, but does not pass the headers
// on to other servers.
func client(secret http.Header) *http.Client {
	return &http.Client{Transport: transport, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		first := via[0].URL
		switch {
		case len(via) > redirects:
			return fmt.Errorf("it redirects more than %d times", redirects)
		case first.Scheme == "https" && next.URL.Scheme != "https":
			return fmt.Errorf("it redirects from https to %s, which is not encrypted", public(next.URL))
		case first.Scheme != next.URL.Scheme || first.Host != next.URL.Host:
			for name := range secret {
				next.Header.Del(name)
			}
		}
		return nil
	}}
}

// advised adds to an error what may help.
func advised(err error) error {
	switch provider.StatusOf(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w\nThe server wants credentials, or does not accept these. Set headers = { Authorization = ... }.", err)
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%w\nNo file has this address. Check url.", err)
	}
	return err
}

const (
	// attempts is how often a request is made, if it fails temporarily.
	attempts = 5
	// longestWait is the longest time that a server can make quern wait.
	longestWait = 10 * time.Minute
)

// firstWait is the time before the second attempt, which doubles with each one.
var firstWait = 500 * time.Millisecond

// get requests a file, with additional headers. An answer that is not a success
// or 304 is an error.
func (r *remote) get(ctx context.Context, extra http.Header) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		resp, err := r.once(ctx, extra)
		refused := (*provider.Refusal)(nil)
		isRefused := errors.As(err, &refused)
		if err == nil || ctx.Err() != nil || isRefused && !refused.Temporary() || attempt == attempts {
			return resp, r.explain(ctx, err)
		}
		wait := firstWait << (attempt - 1)
		if isRefused {
			wait = max(wait, retryAfter(refused.Header))
		}
		if wait > longestWait {
			return nil, fmt.Errorf("%s: %w\nThe server asks to try again in %s. Apply again later.", r.name, err, wait.Round(time.Second))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// explain adds the name of the file to an error, and removes its full address.
func (r *remote) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if at := (*url.Error)(nil); errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("get %s: %w", r.name, advised(err))
}

func (r *remote) once(ctx context.Context, extra http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "quern")
	req.Header.Set("Accept-Encoding", "identity")
	for _, header := range []http.Header{r.header, extra} {
		for name, values := range header {
			req.Header[name] = values
		}
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusNotModified:
		return resp, nil
	}
	return nil, provider.RefusalOf(resp)
}

// retryAfter returns how long a server asks to wait: seconds, or a date.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 1e6) * float64(time.Second))
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
