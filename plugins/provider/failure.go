package provider

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Failed returns why a request with a key has no answer, given the HTTP
// response (nil if there was none) and the error. code is the provider's own
// code for the failure, if it has one. Failed closes the response.
func Failed(ctx context.Context, source *Key, key string, resp *http.Response, err error) (failure *llm.CallError, code string) {
	switch {
	case resp == nil, resp.StatusCode < 300 && ctx.Err() != nil:
		failure = Unreached(ctx, err)
	case resp.StatusCode < 300:
		failure = Garbled(resp.StatusCode, err)
		if t := resp.Header.Get("Content-Type"); strings.HasPrefix(t, "text/html") {
			failure.Message = "the endpoint answered with a web page (" + t + ") instead of JSON" + place(resp)
		}
	default:
		failure, code = refused(resp)
		if resp.StatusCode == http.StatusUnauthorized && source.Refused() {
			failure.Temporary = true
		}
	}
	failure.Message = Redact(failure.Message, key)
	return failure, code
}

func refused(resp *http.Response) (*llm.CallError, string) {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	_ = resp.Body.Close()
	text, code := Message(TrimMark(body))
	switch {
	case resp.StatusCode < 400:
		text = "the endpoint redirects" + target(resp) + ", and quern does not follow redirects: correct base_url"
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusMethodNotAllowed:
		text = cmp.Or(strings.TrimRight(text, ". "), http.StatusText(resp.StatusCode)) + place(resp)
	}
	return Refused(resp.StatusCode, resp.Header, text), code
}

// target returns where a response redirects to.
func target(resp *http.Response) string {
	u, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || public(u) == "" {
		return ""
	}
	return " to " + public(u)
}

// place returns what was called, so that users notice a wrong base_url.
func place(resp *http.Response) string {
	if resp.Request == nil || resp.Request.URL == nil {
		return ""
	}
	u := resp.Request.URL
	hint := ""
	if !strings.Contains(u.Path, "/v1") && !strings.Contains(u.Path, "/api/") {
		hint = ", which often ends in /v1"
	}
	return fmt.Sprintf(" (%s %s; check base_url%s)", resp.Request.Method, public(u), hint)
}

// public returns an address without the parts that can contain a key or a token:
// the user, the query, and the fragment.
func public(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// Inside returns the failure that an answer with status 200 reports in its
// body: an "error" instead of the result. It returns nil if the answer reports
// none.
func (c *Call) Inside(body json.RawMessage) *llm.CallError {
	failure := inside(body)
	if failure != nil {
		failure.Message = Redact(failure.Message, c.Key)
	}
	return failure
}

func inside(body json.RawMessage) *llm.CallError {
	var form struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &form) != nil || len(form.Error) == 0 || string(form.Error) == "null" {
		return nil
	}
	var inner struct {
		Code json.Number `json:"code"`
	}
	status := http.StatusOK
	if json.Unmarshal(form.Error, &inner) == nil {
		if n, err := inner.Code.Int64(); err == nil && n >= 400 && n < 600 {
			status = int(n)
		}
	}
	message, _ := Message(body)
	failure := Refused(status, nil, message)
	failure.Temporary = status == http.StatusOK || temporary(status)
	return failure
}

// maxMessage is the maximum length of a provider's message, in bytes.
const maxMessage = 600

// Refused returns the failure for an HTTP status.
func Refused(status int, header http.Header, message string) *llm.CallError {
	message = strings.ToValidUTF8(strings.TrimSpace(message), "�")
	if message == "" {
		message = http.StatusText(status)
	}
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return &llm.CallError{
		Message: message, Status: status, Temporary: temporary(status), RetryAfter: RetryAfter(header, time.Now()),
	}
}

// Message extracts a provider's error message in the usual formats: {"error":
// {"message", "code", "type"}}, {"error": "…"}, {"message": "…"}, and
// {"detail": "…"}. Text that is not JSON is the message itself, unless it is an
// HTML page.
func Message(body []byte) (message, code string) {
	var form struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  any             `json:"detail"`
		Code    any             `json:"code"`
	}
	text := strings.TrimSpace(string(body))
	if json.Unmarshal(body, &form) != nil {
		if strings.HasPrefix(text, "<") {
			return "", ""
		}
		return text, ""
	}
	var inner struct {
		Message    string `json:"message"`
		Code       any    `json:"code"`
		Type       string `json:"type"`
		InnerError struct {
			Code string `json:"code"`
		} `json:"innererror"`
	}
	switch {
	case json.Unmarshal(form.Error, &inner) == nil && inner.Message != "":
		for _, c := range []any{inner.InnerError.Code, inner.Code, inner.Type} {
			if code, _ := c.(string); code != "" {
				return inner.Message, code
			}
		}
		return inner.Message, ""
	case json.Unmarshal(form.Error, &message) == nil && message != "":
		return message, ""
	case form.Message != "":
		code, _ = form.Code.(string)
		return form.Message, code
	case form.Detail != nil:
		return fmt.Sprint(form.Detail), ""
	}
	return text, ""
}

// temporary reports whether another attempt may succeed after a status: a
// timeout, a conflict, too early, too many requests, or a server error.
func temporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return status >= 500
}

// maxWait is the maximum time that a provider can ask to wait.
const maxWait = 24 * time.Hour

// RetryAfter returns how long a provider asks to wait: milliseconds in
// Retry-After-Ms, or seconds or a date in Retry-After. It returns nil if there
// is no valid header.
func RetryAfter(h http.Header, now time.Time) *time.Duration {
	for _, form := range []struct {
		name string
		unit time.Duration
	}{{"Retry-After-Ms", time.Millisecond}, {"Retry-After", time.Second}} {
		text := strings.TrimSpace(h.Get(form.name))
		if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0 && !math.IsInf(n, 0) {
			return wait(time.Duration(min(n*float64(form.unit), float64(maxWait))))
		}
	}
	if at, err := http.ParseTime(strings.TrimSpace(h.Get("Retry-After"))); err == nil {
		return wait(at.Sub(now))
	}
	return nil
}

func wait(d time.Duration) *time.Duration {
	d = max(0, min(d, maxWait))
	return &d
}

// statusBroken is the HTTP status of a gateway whose upstream closed the
// connection.
const statusBroken = http.StatusBadGateway

// Unreached returns the failure of a request that got no answer. An endpoint
// that does not exist may come back, so waiting for it does not count as an
// attempt. If the configuration is wrong, waiting does not help. If the
// endpoint closed the connection, it exists, and the failure is Broken.
func Unreached(ctx context.Context, err error) *llm.CallError {
	if late(ctx, err) {
		// A timeout does not prove that nobody is there.
		return &llm.CallError{Message: "the endpoint did not answer in time", Status: http.StatusRequestTimeout, Temporary: true}
	}
	var u *url.Error
	if errors.As(err, &u) {
		// The message omits the query of the address, because it may contain a
		// key.
		err = fmt.Errorf("%s: %w", host(u.URL), u.Err)
	}
	if misconfigured(err) || isDial(err) {
		return &llm.CallError{Message: "no connection to " + err.Error(), Temporary: !misconfigured(err)}
	}
	return Broken("the connection was closed before a response: " + err.Error())
}

// Broken returns the failure of a request that was accepted before the other
// side went away. The request may be the cause, so it counts as an attempt.
func Broken(message string) *llm.CallError {
	return &llm.CallError{Message: message, Status: statusBroken, Temporary: true}
}

func late(ctx context.Context, err error) bool {
	var timeout interface{ Timeout() bool }
	return ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout() && !isDial(err)
}

func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the endpoint"
	}
	return u.Host
}

// misconfigured reports whether the cause of an error is an address or a
// certificate.
func misconfigured(err error) bool {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		verify    *tls.CertificateVerificationError
	)
	return errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &invalid) ||
		errors.As(err, &record) || errors.As(err, &verify) ||
		strings.Contains(err.Error(), "unsupported protocol scheme") || strings.Contains(err.Error(), "HTTP response to HTTPS client")
}

// Garbled returns the failure of an answer that cannot be parsed because it was
// cut off or violates the protocol.
func Garbled(status int, err error) *llm.CallError {
	return &llm.CallError{Message: "the answer can't be read: " + err.Error(), Status: status, Temporary: true}
}
