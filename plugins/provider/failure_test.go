package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRetryAfterIsReadInAllItsForms(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, value string
		want        string
	}{
		{"Retry-After", "2", "2s"},
		{"Retry-After", "0.25", "250ms"},
		{"Retry-After", "0", "0s"},
		{"Retry-After", "Tue, 24 Nov 2026 12:01:30 GMT", "1m30s"},
		{"Retry-After", "Tue, 24 Nov 2026 11:00:00 GMT", "0s"},
		{"Retry-After", "1e300", "24h0m0s"},
		{"Retry-After-Ms", "1500", "1.5s"},
		{"Retry-After", "-1", "nothing"},
		{"Retry-After", "soon", "nothing"},
		{"Retry-After", "NaN", "nothing"},
		{"X-Other", "2", "nothing"},
	} {
		got := "nothing"
		if d := RetryAfter(http.Header{c.name: {c.value}}, now); d != nil {
			got = d.String()
		}
		if got != c.want {
			t.Errorf("%s: %s: got %s, want %s", c.name, c.value, got, c.want)
		}
	}
}

func TestTemporaryStatuses(t *testing.T) {
	for status, want := range map[int]bool{
		400: false, 401: false, 403: false, 404: false, 408: true, 409: true, 413: false, 422: false, 425: true, 429: true,
		500: true, 501: false, 502: true, 503: true, 504: true, 529: true,
	} {
		if got := Refused(status, nil, ""); got.Temporary != want || got.Message == "" && status != 529 {
			t.Errorf("%d: got %#v", status, got)
		}
	}
}

func TestMessagesOfProvidersAreFound(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":{"message":"m","code":"c"}}`:                                     "m|c",
		`{"error":{"message":"m","type":"t","code":400}}`:                          "m|t",
		`{"error":{"message":"m","code":"c","innererror":{"code":"Responsible"}}}`: "m|Responsible",
		`{"error":"m"}`:                 "m|",
		`{"message":"m","code":"c"}`:    "m|c",
		`{"detail":"m"}`:                "m|",
		`upstream connect error`:        "upstream connect error|",
		`<!doctype html><p>Bad gateway`: "|",
		``:                              "|",
		`{"error":null,"message":"m"}`:  "m|",
		`{"something":"else entirely"}`: `{"something":"else entirely"}|`,
	} {
		message, code := Message([]byte(body))
		if got := message + "|" + code; got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}

func TestALongMessageIsCut(t *testing.T) {
	if got := Refused(400, nil, strings.Repeat("ä", 5000)); len(got.Message) > maxMessage+4 {
		t.Errorf("it has %d bytes", len(got.Message))
	}
}

func TestConnectionFailuresAreClassified(t *testing.T) {
	gone := &url.Error{Op: "Post", URL: "http://127.0.0.1:9/v1?key=secret", Err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}}
	got := Unreached(t.Context(), gone)
	if !got.Unreachable() || strings.Contains(got.Message, "secret") || !strings.Contains(got.Message, "127.0.0.1:9") {
		t.Errorf("got %#v", got)
	}
	proxy := &url.Error{Op: "Post", URL: "http://127.0.0.1:9", Err: &net.OpError{Op: "proxyconnect", Err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}}}
	if got := Unreached(t.Context(), proxy); !got.Unreachable() {
		t.Errorf("a proxy that is gone: got %#v", got)
	}
	for _, broken := range []error{io.EOF, &net.OpError{Op: "read", Err: syscall.ECONNRESET}, &net.OpError{Op: "write", Err: syscall.EPIPE}} {
		got := Unreached(t.Context(), &url.Error{Op: "Post", URL: "http://127.0.0.1:9", Err: broken})
		if got.Unreachable() || !got.Temporary || got.Status != statusBroken || !strings.Contains(got.Message, "127.0.0.1:9") {
			t.Errorf("%v: got %#v", broken, got)
		}
	}
	if got := Unreached(t.Context(), fmt.Errorf("x: %w", context.DeadlineExceeded)); got.Unreachable() || !got.Temporary {
		t.Errorf("a time-out: got %#v", got)
	}
	if got := Unreached(t.Context(), &url.Error{Op: "Post", URL: "ftp://x", Err: errors.New(`unsupported protocol scheme "ftp"`)}); got.Temporary {
		t.Errorf("a wrong address: got %#v", got)
	}
}

func TestTheKeyOfACommandIsFetchedAgainIfItIsRefused(t *testing.T) {
	k := (&Secret{APIKeyCommand: []string{"date", "+%s%N"}}).Key("")
	first, err := k.Get(t.Context())
	if err != nil || first == "" {
		t.Fatal(first, err)
	}
	if again, _ := k.Get(t.Context()); again != first {
		t.Error("it was fetched twice")
	}
	if k.Refused() {
		t.Error("a key that was just fetched is fetched again")
	}
	k.fetched = k.fetched.Add(-keyAge)
	if !k.Refused() {
		t.Error("an old key is not fetched again")
	}
	if again, _ := k.Get(t.Context()); again == first {
		t.Error("the old key is still there")
	}
}

func TestPricesAreFoundForDatedModelNames(t *testing.T) {
	for name, want := range map[string]string{
		"gpt-4o-2024-08-06": "gpt-4o", "claude-haiku-4-5-20251001": "claude-haiku-4-5", "claude-x-latest": "claude-x", "o3": "o3", "gpt-5.4-mini": "gpt-5.4-mini",
	} {
		if got := Base(name); got != want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}
