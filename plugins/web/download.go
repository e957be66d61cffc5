package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"

	"github.com/quern-dev/quern/plugins/provider"
)

// partial describes the beginning of a file that is being downloaded.
type partial struct {
	Version version `json:"version"`
	// Synced is how much of it is certainly on disk, in bytes.
	Synced int64 `json:"synced"`
}

// syncEvery is how much is downloaded before it is certainly on disk, in bytes. So
// much is downloaded again at most after a crash.
const syncEvery = 8 << 20

// transfer downloads the version that refresh found, unless it is on disk.
// progress is told how many bytes are there.
func (r *remote) transfer(ctx context.Context, progress func(int64)) error {
	defer r.place.lock()()
	if r.place.has(r.now.Digest, r.now.Size) {
		return nil
	}
	var here version
	if r.place.read("version.json", &here) && here.same(r.now) && r.place.has(here.Digest, here.Size) {
		r.now = here
		return r.right(here.Digest)
	}
	wanted := r.now
	if err := r.resume(ctx, progress); err != nil {
		return err
	}
	if wanted.validated() && !wanted.same(r.now) {
		return r.changed()
	}
	return nil
}

// resume downloads the file, after the part of it that is already on disk.
func (r *remote) resume(ctx context.Context, progress func(int64)) error {
	for failures := 0; ; {
		header := http.Header{}
		before := r.begun()
		if before.Synced > 0 {
			header.Set("Range", fmt.Sprintf("bytes=%d-", before.Synced))
			header.Set("If-Range", before.Version.strong())
		}
		resp, err := r.get(ctx, header)
		if provider.StatusOf(err) == http.StatusRequestedRangeNotSatisfiable && before.Synced > 0 {
			if err := os.Remove(r.place.file("partial.json")); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		err = r.receive(resp, progress)
		resp.Body.Close()
		if broken := (*brokenOff)(nil); !errors.As(err, &broken) || ctx.Err() != nil {
			return err
		}
		// A download that makes progress may break off any number of times.
		if r.begun().Synced > before.Synced {
			failures = 0
		}
		if failures++; failures == attempts {
			return fmt.Errorf("download %s: %w", r.name, err)
		}
	}
}

// begun returns what is on disk of a download that can be continued.
func (r *remote) begun() partial {
	var p partial
	info, err := os.Stat(r.place.file("partial"))
	if err != nil || !r.place.read("partial.json", &p) || p.Version.strong() == "" || info.Size() < p.Synced {
		return partial{}
	}
	return p
}

// brokenOff is an error of a connection that ended too early.
type brokenOff struct{ err error }

func (b *brokenOff) Error() string { return b.err.Error() }
func (b *brokenOff) Unwrap() error { return b.err }

// receive writes an answer to disk, after what is there if it is a part, and
// sets the version to that of the whole file.
func (r *remote) receive(resp *http.Response, progress func(int64)) error {
	v := versionOf(resp)
	start := int64(0)
	if resp.StatusCode == http.StatusPartialContent {
		before := r.begun()
		var total int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &start); err != nil || start != before.Synced || !v.same(before.Version) {
			return fmt.Errorf("download %s: the server sent another part than requested (%s)", r.name, resp.Header.Get("Content-Range"))
		}
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", new(int64), new(int64), &total); err != nil {
			total = before.Version.Size
		}
		v.Size, v.Ranges = total, true
	}
	f, err := os.OpenFile(r.place.file("partial"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.CopyN(sum, f, start); err != nil {
		return err
	}
	if err := f.Truncate(start); err != nil {
		return err
	}
	d := &download{remote: r, version: v, file: f, sum: sum, size: start, progress: progress}
	if err := d.copy(resp.Body); err != nil {
		return err
	}
	return d.finish()
}

// download is a download that is under way.
type download struct {
	*remote
	version  version
	file     *os.File
	sum      hash.Hash
	size     int64 // on disk
	synced   int64
	progress func(int64)
}

// copy writes the rest of the file.
func (d *download) copy(body io.Reader) error {
	buf := make([]byte, 256<<10)
	for {
		n, err := body.Read(buf)
		if _, err := d.file.Write(buf[:n]); err != nil {
			return err
		}
		d.sum.Write(buf[:n])
		d.size += int64(n)
		if err := d.fits(d.size); err != nil {
			return err
		}
		if d.progress != nil {
			d.progress(d.size)
		}
		ended := errors.Is(err, io.EOF)
		if d.size-d.synced >= syncEvery || err != nil && !ended {
			if err := d.sync(); err != nil {
				return err
			}
		}
		switch {
		case ended && d.version.Size >= 0 && d.size < d.version.Size:
			return &brokenOff{io.ErrUnexpectedEOF}
		case ended:
			return nil
		case err != nil:
			return &brokenOff{err}
		}
	}
}

// sync makes sure that what was written is on disk, and says so.
func (d *download) sync() error {
	if err := d.file.Sync(); err != nil {
		return err
	}
	d.synced = d.size
	return d.place.write("partial.json", partial{d.version, d.synced})
}

// finish checks the file, and gives it its name.
func (d *download) finish() error {
	digest := hex.EncodeToString(d.sum.Sum(nil))
	if err := d.right(digest); err != nil {
		return errors.Join(err, os.Remove(d.file.Name()))
	}
	if err := d.file.Sync(); err != nil {
		return err
	}
	d.version.Size, d.version.Digest = d.size, digest
	if err := os.Rename(d.file.Name(), d.place.data(digest)); err != nil {
		return err
	}
	_ = os.Remove(d.place.file("partial.json"))
	if err := d.place.write("version.json", d.version); err != nil {
		return err
	}
	d.place.keep(digest)
	d.now = d.version
	return nil
}
