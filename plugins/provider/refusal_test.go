package provider

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAnswersThatAreNotASuccessAreErrors(t *testing.T) {
	for _, c := range []struct {
		status    int
		body      string
		want      string
		temporary bool
	}{
		{404, `{"error": "no such dataset"}`, "HTTP status 404 Not Found: no such dataset", false},
		{403, `{"error": {"message": "not yours", "code": 403}}`, "HTTP status 403 Forbidden: not yours", false},
		{503, "<html>Busy</html>", "HTTP status 503 Service Unavailable", true},
		{429, "slow down, your token is abc", "HTTP status 429 Too Many Requests", true},
		{501, "", "HTTP status 501 Not Implemented", false},
		{302, "", "HTTP status 302 Found", false},
	} {
		resp := &http.Response{StatusCode: c.status, Body: io.NopCloser(strings.NewReader(c.body))}
		got, err := Successful(resp, nil) //nolint:bodyclose // a refusal has no body
		if got != nil || err == nil || err.Error() != c.want || StatusOf(fmt.Errorf("get: %w", err)) != c.status {
			t.Errorf("%d: %v", c.status, err)
		}
		if r, ok := err.(*Refusal); !ok || r.Temporary() != c.temporary {
			t.Errorf("%d: temporary is not %t", c.status, c.temporary)
		}
	}
	ok := &http.Response{StatusCode: http.StatusPartialContent, Body: http.NoBody}
	got, err := Successful(ok, nil)
	if got != ok || err != nil {
		t.Fatalf("%v, %v", got, err)
	}
	_ = got.Body.Close()
	_, err = Successful(nil, io.EOF) //nolint:bodyclose // there is no response
	if err != io.EOF || StatusOf(err) != 0 {
		t.Errorf("%v", err)
	}
}
