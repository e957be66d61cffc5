// Package document defines the form of the small JSON files in a store that are
// not found by their digest: action entries, memo parts, states, and runs. Each
// contains a checksum of its own text, so that damage is detected, and a format
// name with a version, so that an older quern does not misread it.
//
// A document is a JSON object whose first member is "checksum". Its value is
// the SHA-256 of all bytes of the file after that member's comma.
package document

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/quern-dev/quern/store/backend"

	// It behaves as encoding/json, which is to become this package, and takes two thirds of
	// the time.
	fastjson "github.com/go-json-experiment/json/v1"
)

const (
	head    = "{\n  \"checksum\": \"sha256:"
	headLen = len(head) + 2*sha256.Size + len("\",")
)

// Damaged is the error for a file whose content has changed since it was
// written.
type Damaged struct {
	Path   string // where it was found
	Aside  string // where it is now; empty if it was left in place
	Reason string
}

func (e *Damaged) Error() string {
	moved := ""
	if e.Aside != "" {
		moved = "; it was set aside as " + e.Aside
	}
	return fmt.Sprintf("%s is damaged: %s%s", e.Path, e.Reason, moved)
}

// Newer is the error for a file that was written by a later version of quern.
type Newer struct{ Path, Format, Known string }

func (e *Newer) Error() string {
	return fmt.Sprintf("%s has the format %q, but this version of quern supports %q: update quern", e.Path, e.Format, e.Known)
}

// Encode encodes v as a document. v must be a struct that encodes at least one
// field.
func Encode(v any) ([]byte, error) {
	text, err := fastjson.Marshal(v)
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(lines(text), []byte("{"))
	if !ok || len(rest) < 2 || rest[0] != '\n' {
		return nil, fmt.Errorf("%T is not an object with members", v)
	}
	return Seal(append(rest, '\n')), nil
}

// lineDepth is the number of levels whose members have lines of their own. More
// lines would be more white space than text.
const lineDepth = 2

// lines adds line breaks and indentation to a JSON text without white space.
func lines(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/8)
	depth, copied := 0, 0
	breakAt := func(i, depth int) {
		out = append(out, text[copied:i]...)
		out = append(out, '\n')
		out = append(out, "    "[:2*depth]...)
		copied = i
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = endOfString(text, i)
		case '{', '[':
			if depth++; depth <= lineDepth && text[i+1] != '}' && text[i+1] != ']' {
				breakAt(i+1, depth)
			}
		case '}', ']':
			if depth--; depth < lineDepth && text[i-1] != '{' && text[i-1] != '[' {
				breakAt(i, depth)
			}
		case ',':
			if depth <= lineDepth {
				breakAt(i+1, depth)
			}
		case ':':
			if depth <= lineDepth {
				out = append(append(out, text[copied:i+1]...), ' ')
				copied = i + 1
			}
		}
	}
	return append(out, text[copied:]...)
}

// endOfString returns the position of the quote that ends the string that begins at
// a position.
func endOfString(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}

// Seal adds the opening brace and the checksum to the rest of an object's text.
func Seal(rest []byte) []byte {
	sum := sha256.Sum256(rest)
	out := make([]byte, 0, headLen+len(rest))
	out = append(out, head...)
	out = hex.AppendEncode(out, sum[:])
	out = append(out, "\","...)
	return append(out, rest...)
}

// Decode reads a document in the given format into v. path is for messages.
// Errors are *Damaged or *Newer.
func Decode(path, format string, content []byte, v any) error {
	damaged := func(reason string) error { return &Damaged{Path: path, Reason: reason} }
	if len(content) < headLen || string(content[:len(head)]) != head {
		return damaged("it does not begin with a checksum")
	}
	sum := sha256.Sum256(content[headLen:])
	want := head + hex.EncodeToString(sum[:]) + "\","
	if string(content[:headLen]) != want {
		return damaged("its checksum does not match its content")
	}
	is, err := formatOf(content)
	if err != nil {
		return damaged(err.Error())
	}
	if is != format {
		return &Newer{Path: path, Format: is, Known: format}
	}
	if err := fastjson.Unmarshal(content, v); err != nil {
		return damaged(err.Error())
	}
	return nil
}

// formatOf returns the member "format" of an object. Documents have it near their
// beginning, so it does not read the rest.
func formatOf(content []byte) (format string, err error) {
	d := json.NewDecoder(bytes.NewReader(content))
	if _, err := d.Token(); err != nil {
		return "", err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return "", err
		}
		if name == "format" {
			err := d.Decode(&format)
			return format, err
		}
		if err := d.Decode(&json.RawMessage{}); err != nil {
			return "", err
		}
	}
	return "", nil
}

// Read reads the document under key. If it does not exist, the error is
// fs.ErrNotExist.
func Read(ctx context.Context, b backend.Backend, key, format string, v any) error {
	content, _, err := b.Get(ctx, key)
	if err != nil {
		return err
	}
	return Decode(b.Place(key), format, content, v)
}

// AsidePrefix is the key prefix of damaged documents that were set aside.
const AsidePrefix = "damaged/"

// SetAside moves the damaged document under key away, so that it no longer
// interferes but can still be examined. It returns err with the new location.
// If err is not *Damaged, SetAside returns it unchanged.
func SetAside(ctx context.Context, b backend.Backend, key string, err error) error {
	var damaged *Damaged
	if !errors.As(err, &damaged) {
		return err
	}
	to := AsidePrefix + time.Now().UTC().Format("20060102T150405.000000000") + "-" + path.Base(key)
	moveErr := b.Copy(ctx, key, backend.Any, to)
	if moveErr == nil {
		moveErr = b.Delete(ctx, key, backend.Any)
	}
	if errors.Is(moveErr, fs.ErrNotExist) {
		return err // another process was faster
	}
	if moveErr != nil {
		return errors.Join(err, moveErr)
	}
	damaged.Aside = b.Place(to)
	return err
}
