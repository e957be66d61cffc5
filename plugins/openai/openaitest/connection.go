package openaitest

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// connectionFaults returns faults below HTTP, or at its edge.
func connectionFaults() []Fault {
	return []Fault{
		{"a reset before the status line", true, true, "closed before a response", onConnection(func(c *net.TCPConn, _ string) { reset(c) })},
		{"a reset in the body", true, true, "can't be read", onConnection(func(c *net.TCPConn, body string) {
			respond(c, "HTTP/1.1", fmt.Sprintf("Content-Length: %d", len(body)), body[:len(body)/2])
			reset(c)
		})},
		{"a reset in a chunked body", true, true, "can't be read", onConnection(func(c *net.TCPConn, body string) {
			part := body[:len(body)/2]
			respond(c, "HTTP/1.1", "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n", len(part), part))
			reset(c)
		})},
		{"too short a Content-Length", true, true, "can't be read", onConnection(func(c *net.TCPConn, body string) {
			respond(c, "HTTP/1.1", fmt.Sprintf("Content-Length: %d", len(body)-20), body)
		})},
		{"too long a Content-Length", true, true, "can't be read", onConnection(func(c *net.TCPConn, body string) {
			respond(c, "HTTP/1.1", fmt.Sprintf("Content-Length: %d", len(body)+20), body)
		})},
		{"HTTP/1.0", false, false, "", onConnection(func(c *net.TCPConn, body string) {
			respond(c, "HTTP/1.0", "Connection: close", body)
		})},
	}
}

// strikesEmbeddings reports whether the fault does not depend on the content of
// an answer, so that a request for embeddings can have it, too.
func (f *Fault) strikesEmbeddings() bool {
	return strings.HasPrefix(f.Name, "status ") || strings.HasPrefix(f.Name, "a reset") || strings.Contains(f.Name, "Content-Length") ||
		f.Name == "HTTP/1.0" || f.Name == "a page" || f.Name == "half a body"
}

// EmbeddingFaults returns the faults that requests for embeddings can have,
// too.
func EmbeddingFaults() []Fault {
	var out []Fault
	for _, f := range Faults() {
		if f.strikesEmbeddings() {
			out = append(out, f)
		}
	}
	return out
}

// onConnection serves on the bare connection, and closes it afterwards.
func onConnection(serve func(c *net.TCPConn, body string)) func(http.ResponseWriter, map[string]any) {
	return func(w http.ResponseWriter, good map[string]any) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		serve(conn.(*net.TCPConn), encoded(good))
	}
}

func respond(w io.Writer, protocol, header, body string) {
	_, _ = fmt.Fprintf(w, "%s 200 OK\r\nContent-Type: application/json\r\n%s\r\n\r\n%s", protocol, header, body)
}

// reset ends a connection like a host that does not know it.
func reset(c *net.TCPConn) {
	time.Sleep(20 * time.Millisecond) // what was written arrives first
	_ = c.SetLinger(0)
	_ = c.Close()
}

// Redirect returns a fault that redirects to an address.
func Redirect(status int, to string) Fault {
	return Fault{fmt.Sprintf("a redirect with status %d to %s", status, to), true, false, "quern does not follow redirects", func(w http.ResponseWriter, _ map[string]any) {
		w.Header().Set("Location", to)
		w.WriteHeader(status)
	}}
}

// Drip returns a fault that answers one byte at a time, with a pause after
// each.
func Drip(pause time.Duration) Fault {
	return Fault{"a drip", true, true, "no answer within", onConnection(func(c *net.TCPConn, body string) {
		respond(c, "HTTP/1.1", fmt.Sprintf("Content-Length: %d", len(body)), "")
		for i := range len(body) {
			time.Sleep(pause)
			if _, err := io.WriteString(c, body[i:i+1]); err != nil {
				return
			}
		}
	})}
}

// Floods returns faults whose answers would fill any memory. For endless
// answers, sent is called with the number of bytes sent.
func Floods(sent func(int64)) []Fault {
	const most = 1 << 30
	return []Fault{
		{"an endless answer", true, true, "longer than", onConnection(func(c *net.TCPConn, _ string) {
			respond(c, "HTTP/1.1", "Connection: close", `{"id": "`)
			n, _ := io.CopyN(c, spaces{}, most)
			sent(n)
		})},
		{"a gzip bomb", true, true, "longer than", onConnection(func(c *net.TCPConn, _ string) {
			b := bufio.NewWriter(c)
			respond(b, "HTTP/1.1", "Content-Encoding: gzip\r\nConnection: close", "")
			z := gzip.NewWriter(b)
			_, err := io.CopyN(z, spaces{}, most)
			if err == nil && z.Close() == nil {
				_ = b.Flush()
			}
		})},
	}
}

// spaces is an endless reader.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
