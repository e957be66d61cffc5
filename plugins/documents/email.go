package documents

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // encodings other than UTF-8
	"github.com/emersion/go-message/mail"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/data"
)

type emailArgs struct{ files.Documents }

const emailDoc = `Reads e-mail: a file for each message (.eml), or mailboxes in the mbox format.

Each message is a row with the columns ` + "`path`, `message_id`, `in_reply_to`, `date`, `from`, `to`, `cc`, `subject`, `text`, and `attachments`" + ` (their names, types, and sizes in bytes). Headers are decoded. An address is written as ` + "`Name <address>`" + `. The text comes from the parts that are plain text; if there are none, it is the visible text of those that are HTML. Messages that are attached to a message are attachments.

In a mailbox, a message that cannot be read is set aside by itself if ` + "`on_error`" + ` is "quarantine". Messages that are encrypted have no text.

` + "```hcl" + `
source "email" "archive" {
  path     = "mail/*.mbox"
  on_error = "quarantine"
}
` + "```"

// Check has nothing to check.
func (*emailArgs) Check() error { return nil }

// Columns returns the columns of a message.
func (*emailArgs) Columns() data.Schema {
	return data.Schema{
		{Name: "message_id", Type: "string"}, {Name: "in_reply_to", Type: "string"}, {Name: "date", Type: "timestamp"},
		{Name: "from", Type: "string"}, {Name: "to", Type: "list<string>"}, {Name: "cc", Type: "list<string>"},
		{Name: "subject", Type: "string"}, {Name: "text", Type: "string"},
		{Name: "attachments", Type: "list<struct<name:string,type:string,size:int64>>"},
	}
}

// Recognize refuses what does not begin with a header.
func (*emailArgs) Recognize(head []byte) error {
	if err := notContainer(head); err != nil {
		return err
	}
	line, _, _ := bytes.Cut(bytes.TrimLeft(head, "\r\n"), []byte("\n"))
	name, _, found := bytes.Cut(line, []byte(":"))
	if !isSeparator(line) && (!found || bytes.ContainsAny(name, " \t\x00")) {
		return errors.New("it is not an e-mail message: it does not begin with a header")
	}
	return nil
}

// Parse reads a message or a mailbox.
func (*emailArgs) Parse(ctx context.Context, d *files.Document) error {
	b := bufio.NewReaderSize(d, 64<<10)
	head, err := b.Peek(len("From "))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(head) != "From " {
		content, err := d.Limited(b)
		if err != nil {
			return err
		}
		return addMessage(d, content)
	}
	m := mailbox{Reader: b, max: d.Max()}
	for n := 1; ; n++ {
		content, err := m.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		where := fmt.Sprintf(", message %d", n)
		switch {
		case errors.Is(err, errLarge):
			err = d.Refuse(where, "", d.TooLarge())
		case err != nil:
			return err
		default:
			err = addFrom(d, where, content)
		}
		if err != nil {
			return err
		}
	}
}

// addFrom adds a message of a mailbox, or sets it aside.
func addFrom(d *files.Document, where string, content []byte) (err error) {
	values, err := guarded(func() ([]any, error) { return messageValues(content) })
	if err != nil {
		return d.Refuse(where, string(content), err)
	}
	return d.Row(values...)
}

// guarded calls parse. A panic is an error.
func guarded[T any](parse func() (T, error)) (v T, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("it is damaged, or of a kind that is not supported: %v", problem)
		}
	}()
	return parse()
}

func addMessage(d *files.Document, content []byte) error {
	values, err := messageValues(content)
	if err != nil {
		return err
	}
	return d.Row(values...)
}

// messageValues returns the values of a message's row.
func messageValues(content []byte) ([]any, error) {
	m, err := message.Read(bytes.NewReader(content))
	if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		return nil, fmt.Errorf("it is not a valid message: %w", err)
	}
	if m.Header.Len() == 0 {
		return nil, errors.New("it is not a valid message: it has no header")
	}
	var parts messageParts
	if err := parts.add(m, 0); err != nil {
		return nil, err
	}
	h := mail.Header{Header: m.Header}
	var sent any
	if t, err := h.Date(); err == nil && !t.IsZero() {
		sent = t.In(time.UTC)
	}
	return []any{
		identifier(h, "Message-Id"), identifier(h, "In-Reply-To"), sent, orNil(strings.Join(texts(addresses(h, "From")), ", ")),
		addresses(h, "To"), addresses(h, "Cc"), header(h, "Subject"), orNil(parts.text()), parts.attachments,
	}, nil
}

// header returns the decoded value of a header field, or nil.
func header(h mail.Header, name string) any {
	text, err := h.Text(name)
	if err != nil {
		text = h.Get(name)
	}
	return orNil(oneLine(strings.ToValidUTF8(text, "\ufffd")))
}

// identifier returns a message's identifier without angle brackets, or nil.
func identifier(h mail.Header, name string) any {
	text, ok := header(h, name).(string)
	if !ok {
		return nil
	}
	text, _, _ = strings.Cut(strings.TrimPrefix(text, "<"), ">")
	return orNil(text)
}

// addresses returns the addresses of a header field. What is not a valid list of
// addresses is returned as it is.
func addresses(h mail.Header, name string) []any {
	out := []any{}
	list, err := h.AddressList(name)
	if err != nil {
		if text := header(h, name); text != nil {
			out = append(out, text)
		}
		return out
	}
	for _, a := range list {
		text := a.Address
		if a.Name != "" {
			text = a.Name + " <" + a.Address + ">"
		}
		out = append(out, strings.ToValidUTF8(text, "\ufffd"))
	}
	return out
}

func texts(values []any) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v.(string)
	}
	return out
}

// messageParts are the parts of a message.
type messageParts struct {
	plain, html []string
	attachments []any
	count       int
}

const (
	// maxParts is the maximum number of parts of a message.
	maxParts = 10_000
	// maxPartDepth is how deep parts can be nested.
	maxPartDepth = 100
)

// add adds a part and those inside it.
func (p *messageParts) add(m *message.Entity, depth int) error {
	if p.attachments == nil {
		p.attachments = []any{}
	}
	if p.count++; p.count > maxParts || depth > maxPartDepth {
		return errors.New("it has too many parts, or parts that are nested too deep")
	}
	kind, parameters, err := m.Header.ContentType()
	if err != nil {
		kind = "text/plain"
	}
	if r := m.MultipartReader(); r != nil {
		return p.addAll(r, depth)
	}
	content, err := io.ReadAll(m.Body)
	if err != nil {
		return fmt.Errorf("a part of type %s cannot be read: %w", kind, err)
	}
	disposition, more, _ := m.Header.ContentDisposition()
	name := more["filename"]
	if name == "" {
		name = parameters["name"]
	}
	switch {
	case disposition == "attachment" || name != "" || !strings.HasPrefix(kind, "text/"):
		name = strings.ToValidUTF8(name, "\ufffd")
		p.attachments = append(p.attachments, []any{orNil(name), strings.ToValidUTF8(kind, "\ufffd"), int64(len(content))})
	case kind == "text/html":
		page, err := parsePage(content, "text/html; charset=utf-8")
		if err != nil {
			return err
		}
		p.html = append(p.html, visibleText(page.root))
	case kind == "text/plain":
		text := strings.ReplaceAll(strings.ToValidUTF8(string(content), "\ufffd"), "\r\n", "\n")
		p.plain = append(p.plain, strings.TrimRight(text, "\n"))
	}
	return nil
}

func (p *messageParts) addAll(r message.MultipartReader, depth int) error {
	for {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
			return fmt.Errorf("its parts cannot be read: %w", err)
		}
		if err := p.add(part, depth+1); err != nil {
			return err
		}
	}
}

// text returns the text of the message.
func (p *messageParts) text() string {
	if text := strings.Join(p.plain, "\n\n"); strings.TrimSpace(text) != "" {
		return text
	}
	return strings.Join(p.html, "\n\n")
}
