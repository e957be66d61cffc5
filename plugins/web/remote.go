package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/plugins/files"
)

// remote is a file of a server.
type remote struct {
	address string
	name    string // its address as users see it
	place   place
	max     int64
	// want is the digest that the user gave, or "".
	want   string
	client *http.Client
	header http.Header
	// now is the current version, after refresh.
	now version
}

// version describes the content of a file.
type version struct {
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"`
	Size     int64  `json:"size"`
	// Ranges says that the server sends parts of the file on request.
	Ranges bool `json:"ranges,omitempty"`
	// Digest is the SHA-256, if the file was downloaded.
	Digest string `json:"digest,omitempty"`
}

func versionOf(resp *http.Response) version {
	return version{
		ETag: resp.Header.Get("ETag"), Modified: resp.Header.Get("Last-Modified"), Size: resp.ContentLength,
		Ranges: resp.Header.Get("Accept-Ranges") == "bytes",
	}
}

// validated reports whether the server says when the content changes.
func (v version) validated() bool { return v.ETag != "" || v.Modified != "" }

// strong returns what a request for a range must match, or "" if the version does
// not determine each byte.
func (v version) strong() string {
	if v.ETag != "" && !strings.HasPrefix(v.ETag, "W/") {
		return v.ETag
	}
	return v.Modified
}

// same reports whether two answers have the same content, as far as they say.
func (v version) same(other version) bool {
	return v.strong() != "" && v.ETag == other.ETag && v.Modified == other.Modified
}

// key identifies the file in the memo, where its address, which may contain a
// secret, must not be.
func (r *remote) key() string {
	sum := sha256.Sum256([]byte(r.address))
	return hex.EncodeToString(sum[:16])
}

// identity identifies the content. Servers compute an ETag from the size and
// time of a file, so that files with different addresses can have the same one.
func (r *remote) identity() string {
	if r.want != "" {
		return r.want
	}
	if !r.now.validated() {
		return r.now.Digest
	}
	sum := sha256.Sum256([]byte(r.key() + "\n" + r.now.ETag + "\n" + r.now.Modified + "\n" + strconv.FormatInt(r.now.Size, 10)))
	return hex.EncodeToString(sum[:])
}

// smallFile is the size up to which a file is downloaded when planning, in bytes.
const smallFile = 16 << 20

// refresh finds out the current version with one request. before is the last
// version known elsewhere, if any. The place must be locked.
func (r *remote) refresh(ctx context.Context, before version) error {
	var here version
	if r.place.read("version.json", &here) && (here.Ranges || r.place.has(here.Digest, here.Size)) {
		before = here
	}
	if r.want != "" && before.Digest == r.want {
		r.now = before
		return nil
	}
	header := http.Header{}
	if before.validated() {
		if before.ETag != "" {
			header.Set("If-None-Match", before.ETag)
		}
		if before.Modified != "" {
			header.Set("If-Modified-Since", before.Modified)
		}
	}
	resp, err := r.get(ctx, header)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified {
		r.now = before
		return r.right(before.Digest)
	}
	r.now = versionOf(resp)
	if err := r.fits(r.now.Size); err != nil {
		return err
	}
	if r.now.Size > smallFile && r.now.Ranges && r.now.strong() != "" {
		return r.place.write("version.json", r.now)
	}
	err = r.receive(resp, nil)
	if broken := (*brokenOff)(nil); errors.As(err, &broken) && ctx.Err() == nil {
		return r.resume(ctx, nil)
	}
	return err
}

// fits refuses a file that is too large.
func (r *remote) fits(size int64) error {
	if size > r.max {
		return fmt.Errorf("%s is larger than %d MiB\nRaise max_size to read it.", r.name, r.max>>20)
	}
	return nil
}

// right refuses a digest that is not the one that the user gave. It accepts "", of
// a file that was not downloaded.
func (r *remote) right(digest string) error {
	if r.want == "" || digest == "" || digest == r.want {
		return nil
	}
	return fmt.Errorf("%s has the checksum sha256:%s, not sha256:%s\nThe file has changed, or something replaced it on the way. If the new content is right, correct checksum.", r.name, digest, r.want)
}

// open opens the content: that on disk, or ranges of the file on its server.
func (r *remote) open(ctx context.Context) (files.Content, error) {
	if !r.place.has(r.now.Digest, r.now.Size) && r.now.Ranges && r.now.strong() != "" {
		return files.Ranged(ctx, "http "+r.identity(), r.now.Size, r.fetch), nil
	}
	if err := r.transfer(ctx, func(int64) {}); err != nil {
		return nil, err
	}
	return os.Open(r.place.data(r.now.Digest))
}

// fetch requests a range of the version that refresh found.
func (r *remote) fetch(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	resp, err := r.get(ctx, http.Header{
		"Range": {fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)}, "If-Range": {r.now.strong()},
	})
	if err != nil {
		return nil, files.Permanent(err)
	}
	if resp.StatusCode != http.StatusPartialContent || !r.now.same(versionOf(resp)) {
		resp.Body.Close()
		return nil, files.Permanent(r.changed())
	}
	return resp.Body, nil
}

func (r *remote) changed() error {
	return fmt.Errorf("%s changed while it was read\nMake a new plan.", r.name)
}
