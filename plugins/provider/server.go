package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Server is a server of models that a deployment changes.
type Server struct {
	URL    string // without a slash at the end
	Header http.Header
	Source *Key
}

// Call makes a request and decodes the JSON of its answer, unless answer is
// nil. The body is sent as JSON, or as it is if it is an *Upload; nil sends
// none. The error is *llm.CallError if the server did not answer, or refused
// the request.
func (s *Server) Call(ctx context.Context, method, path string, body, answer any) error {
	resp, err := s.Send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && answer != nil {
		err = json.Unmarshal(TrimMark(text), answer)
	}
	if err != nil {
		failure, _ := Failed(ctx, s.Source, "", resp, err)
		return failure
	}
	return nil
}

// Upload is the body of a request that is not JSON.
type Upload struct {
	Content io.Reader
	Size    int64 // in bytes
}

// Send makes a request and returns its answer, whose body the caller closes. The
// body and the error are those of Call.
func (s *Server) Send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	req, err := s.request(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	key, err := s.Source.Get(ctx)
	if err != nil {
		return nil, err
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := Client.Do(req)
	if err != nil || resp.StatusCode >= 300 {
		failure, _ := Failed(ctx, s.Source, key, resp, err)
		return nil, failure
	}
	return resp, nil
}

func (s *Server) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var content io.Reader
	size, form := int64(0), ""
	switch b := body.(type) {
	case nil:
	case *Upload:
		content, size, form = b.Content, b.Size, "application/octet-stream"
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, fmt.Errorf("write the request: %w", err)
		}
		content, size, form = bytes.NewReader(text), int64(len(text)), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, content)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	for name, values := range s.Header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "quern")
	if form != "" {
		req.Header.Set("Content-Type", form)
	}
	return req, nil
}

// NewServer returns the server at an address.
func NewServer(address string, headers Headers, key *Key) *Server {
	s := &Server{URL: strings.TrimRight(address, "/"), Header: http.Header{}, Source: key}
	headers.Add(s.Header)
	return s
}

// Absent reports whether an error says that the server has no such thing.
func Absent(err error) bool {
	var failure *llm.CallError
	return errors.As(err, &failure) && failure.Status == http.StatusNotFound
}
