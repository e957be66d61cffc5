package provider

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// streams makes requests whose answers are read while they arrive, however long
// they are.
var streams = &http.Client{Transport: transport, CheckRedirect: Client.CheckRedirect}

// Lines gets a file of lines from URL, such as JSON Lines, and yields the lines
// while they arrive. They do not contain the request's credentials. An error is a
// *llm.CallError and ends them.
func (c *Call) Lines(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
		if err != nil {
			yield(nil, &llm.CallError{Message: err.Error()})
			return
		}
		req.Header = c.Header.Clone()
		req.Header.Set("User-Agent", "quern")
		resp, err := streams.Do(req)
		if err != nil || resp.StatusCode >= 300 {
			failure, _ := Failed(ctx, c.Source, c.Key, resp, err)
			yield(nil, failure)
			return
		}
		defer resp.Body.Close()
		for line, err := range lines(resp.Body, credentials(req)) {
			if err != nil {
				failure, _ := Failed(ctx, c.Source, c.Key, resp, err)
				yield(nil, failure)
				return
			}
			if !yield(line, nil) {
				return
			}
		}
	}
}

// lines yields the lines of a body that are not blank, without the keys. A line is
// valid until the next one.
func lines(body io.Reader, keys []string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		s := bufio.NewScanner(body)
		s.Buffer(nil, maxAnswer)
		for s.Scan() {
			line := bytes.TrimSpace(TrimMark(s.Bytes()))
			for _, key := range keys {
				line = bytes.ReplaceAll(line, []byte(key), []byte(hiddenKey))
			}
			if len(line) > 0 && !yield(line, nil) {
				return
			}
		}
		err := s.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("a line is longer than %d MiB", maxAnswer>>20)
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// Upload posts a body of any length and type, which write produces, decodes the
// answer, and returns the failure of the call. An error of write is returned as it
// is.
func (c *Call) Upload(ctx context.Context, contentType string, write func(io.Writer) error, answer any) (failure *llm.CallError, err error) {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(w)
		_ = w.CloseWithError(err)
		written <- err
	}()
	_, failure, _ = c.send(ctx, http.MethodPost, contentType, r, answer)
	// An endpoint may refuse a body before it has read it. The transport may close it
	// before this does.
	_ = r.CloseWithError(errUploaded)
	if err := <-written; err != nil && !errors.Is(err, errUploaded) && !errors.Is(err, io.ErrClosedPipe) {
		return nil, err
	}
	return failure, nil
}

var errUploaded = errors.New("the request has been answered")
