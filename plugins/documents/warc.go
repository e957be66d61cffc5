package documents

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/nlnwa/gowarc/v3"
	"golang.org/x/net/html/charset"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type warcArgs struct {
	files.Documents
	Engine  string   `quern:"engine" oneof:"readability,trafilatura,markdown,text" doc:"How the text of web pages is found, as in the source 'html'. Rows then have a column 'text' instead of 'body', which is null for records that are not web pages or plain text. By default, rows have the body as it was sent."`
	Records []string `quern:"records" default:"[\"response\",\"resource\",\"conversion\"]" doc:"The types of records that become rows. Of responses, only those of HTTP do."`
}

const warcDoc = `Reads web archives (WARC), such as those of Common Crawl and of browsers and crawlers: what servers have answered.

Each record is a row with the columns ` + "`path`, `url`, `date`, `record` (its type), `id`, `status` (of HTTP), `content_type`" + `, and ` + "`body`" + ` (binary) or, with ` + "`engine`, `text`" + `. Transfer and content encodings, such as gzip and br, are undone. Files may be compressed as a whole or record by record. A record that cannot be read is set aside by itself if ` + "`on_error`" + ` is "quarantine"; what comes after damaged bytes is lost, and the rest of the file is set aside as one row.

` + "```hcl" + `
source "warc" "crawl" {
  path     = "crawl/*.warc.gz"
  engine   = "trafilatura"
  on_error = "quarantine"
}
` + "```"

// recordTypes are the types of records that can become rows.
var recordTypes = []string{"response", "resource", "conversion"}

// Check checks the types of records.
func (a *warcArgs) Check() error {
	for _, r := range a.Records {
		if !slices.Contains(recordTypes, r) {
			return plugin.ArgumentErrorf("records", "%q is not a type of record with content\nUse one of %s.", r, strings.Join(recordTypes, ", "))
		}
	}
	if len(a.Records) == 0 {
		return plugin.ArgumentErrorf("records", "records is empty\nUse one or more of %s.", strings.Join(recordTypes, ", "))
	}
	return nil
}

// Columns returns the columns of a record.
func (a *warcArgs) Columns() data.Schema {
	columns := data.Schema{
		{Name: "url", Type: "string"}, {Name: "date", Type: "timestamp"}, {Name: "record", Type: "string"}, {Name: "id", Type: "string"},
		{Name: "status", Type: "int64"}, {Name: "content_type", Type: "string"},
	}
	if a.Engine != "" {
		return append(columns, data.Column{Name: "text", Type: "string"})
	}
	return append(columns, data.Column{Name: "body", Type: "binary"})
}

// Recognize refuses what does not begin with a record.
func (*warcArgs) Recognize(head []byte) error {
	if !bytes.HasPrefix(head, []byte("WARC/")) {
		return errors.New("it is not a web archive: it does not begin with a record")
	}
	return nil
}

// Parse reads the records.
func (a *warcArgs) Parse(_ context.Context, d *files.Document) error {
	in := bufio.NewReaderSize(d, 64<<10)
	// Without ErrWarn, the unmarshaler skips the content of records.
	u := gowarc.NewUnmarshaler(gowarc.WithSkipParseBlock(), gowarc.WithSyntaxErrorPolicy(gowarc.ErrWarn), gowarc.WithSpecViolationPolicy(gowarc.ErrWarn),
		gowarc.WithUnknownRecordTypePolicy(gowarc.ErrIgnore), gowarc.WithFixContentLength(false), gowarc.WithFixDigest(false), gowarc.WithBufferMaxMemBytes(16<<20))
	for n := 1; ; n++ {
		record, _, _, err := u.Unmarshal(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("record %d cannot be read: %w", n, err)
		}
		err = a.add(d, record, fmt.Sprintf(", record %d", n))
		if closeErr := record.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("record %d cannot be read: %w", n, closeErr)
		}
		if err != nil {
			return err
		}
	}
}

// add adds a record as a row, or sets it aside.
func (a *warcArgs) add(d *files.Document, record gowarc.WarcRecord, where string) error {
	header, kind := record.WarcHeader(), record.Type().String()
	overHTTP := strings.HasPrefix(header.Get(gowarc.ContentType), "application/http")
	if !slices.Contains(a.Records, kind) || kind == "response" && !overHTTP {
		return nil
	}
	raw, err := record.Block().RawBytes()
	if err != nil {
		return err
	}
	values, err := guarded(func() ([]any, error) { return a.values(d, record, raw, kind == "response") })
	if err != nil {
		return d.Refuse(where+", "+header.Get(gowarc.WarcTargetURI), "", err)
	}
	return d.Row(values...)
}

// values returns the values of a record's row.
func (a *warcArgs) values(d *files.Document, record gowarc.WarcRecord, raw io.Reader, overHTTP bool) ([]any, error) {
	header := record.WarcHeader()
	content, err := d.Limited(raw)
	if err != nil {
		return nil, err
	}
	if n, err := record.ContentLength(); err == nil && int64(len(content)) < n {
		return nil, errors.New("the file ends in the middle of the record")
	}
	var status any
	contentType, body := header.Get(gowarc.ContentType), content
	if overHTTP {
		r, err := parseResponse(content, d.Limited)
		if err != nil {
			return nil, err
		}
		status, contentType, body = int64(r.status), r.contentType, r.body
	}
	var date any
	if t, err := record.Date(); err == nil {
		date = t
	}
	url := strings.Trim(header.Get(gowarc.WarcTargetURI), "<>")
	out := []any{valid(url), date, record.Type().String(), valid(strings.Trim(record.RecordId(), "<>")), status, valid(contentType)}
	if a.Engine == "" {
		return append(out, body), nil
	}
	text, err := webText(body, contentType, a.Engine)
	return append(out, orNil(text)), err
}

// webText returns the text of what a server has sent, or "" if it has none.
func webText(body []byte, contentType, engine string) (string, error) {
	kind, parameters, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "text/html", "application/xhtml+xml":
		p, err := parsePage(body, contentType)
		if err != nil {
			return "", err
		}
		return p.text(engine)
	case "text/plain":
		r, err := charset.NewReaderLabel(cmp.Or(parameters["charset"], "utf-8"), bytes.NewReader(body))
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(r)
		return strings.TrimSpace(strings.ToValidUTF8(string(text), "\ufffd")), err
	}
	return "", nil
}

// response is the response of a web server.
type response struct {
	status      int
	contentType string
	body        []byte
}

// parseResponse reads a response, and undoes the encodings of its body. limited
// reads the body up to the maximum size.
func parseResponse(content []byte, limited func(io.Reader) ([]byte, error)) (*response, error) {
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(content)), nil)
	if err != nil {
		return nil, fmt.Errorf("it is not a response of a web server: %w", err)
	}
	defer r.Body.Close()
	_, rest, _ := bytes.Cut(content, []byte("\r\n\r\n"))
	// Many crawlers store a body without its transfer encoding, but with the
	// header that names it, or with the length that it had before.
	body := rest
	if slices.Contains(r.TransferEncoding, "chunked") {
		if plain, err := io.ReadAll(r.Body); err == nil {
			body = plain
		}
	}
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	body, err = decoded(body, encoding, limited)
	if err != nil {
		return nil, err
	}
	return &response{r.StatusCode, r.Header.Get("Content-Type"), body}, nil
}

// decoded undoes a content encoding. A body that is not in that encoding, because
// the crawler has undone it, is returned as it is.
func decoded(body []byte, encoding string, limited func(io.Reader) ([]byte, error)) ([]byte, error) {
	var plain io.Reader
	var err error
	packed := bytes.NewReader(body)
	switch encoding {
	case "gzip", "x-gzip":
		if !bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
			return body, nil
		}
		plain, err = gzip.NewReader(packed)
	case "deflate":
		if plain, err = zlib.NewReader(packed); err != nil {
			plain, err = flate.NewReader(bytes.NewReader(body)), nil
		}
	case "br":
		plain = brotli.NewReader(packed)
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(packed, zstd.WithDecoderConcurrency(1)); err == nil {
			defer d.Close()
			plain = d
		}
	default:
		return body, nil
	}
	if err == nil {
		body, err = limited(plain)
	}
	if err != nil {
		return nil, fmt.Errorf("its body cannot be decompressed (%s): %w", encoding, err)
	}
	return body, nil
}

// valid returns a text from a header, or nil if it is empty.
func valid(text string) any { return orNil(strings.ToValidUTF8(text, "\ufffd")) }
