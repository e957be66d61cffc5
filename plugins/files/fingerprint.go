package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// settled is how long a file must be unchanged before its size and time are
// trusted to show whether it changed. File systems store times with limited
// precision, so a change right after the last fingerprint may leave both the
// same.
const settled = 2 * time.Second

// fingerprintOf hashes files that were found, except those whose size and time
// have not changed. The result depends on their contents in the order of their
// names, and on the names of folders that are partitions, but not on other
// names unless rows contain them.
func fingerprintOf(ctx context.Context, list []file, a format, former []byte, now time.Time) (plugin.Fingerprint, error) {
	partitions, names := a.located().Partitions != "none", isNamed(a)
	digests, err := decodeMemo(former).digests(ctx, list)
	if err != nil {
		return plugin.Fingerprint{}, err
	}
	fresh := newMemoWriter()
	all := sha256.New()
	var size int64
	var line []byte
	for i, f := range list {
		digest := digests[i]
		if f.version == "" && now.Sub(time.Unix(0, f.modified)) > settled {
			fresh.add(f.name, seen{f.size, f.modified, digest})
		}
		line = append(line[:0], partFingerprint(f, digest, partitions)...)
		if names {
			line = append(line, nameText(f.name)...)
		}
		all.Write(append(line, '\n'))
		size += f.size
	}
	return plugin.Fingerprint{
		Value:   "sha256:" + hex.EncodeToString(all.Sum(nil)),
		Memo:    fresh.text,
		Summary: summary(len(list), size),
	}, nil
}

// partFingerprint identifies the rows of a file: its bytes and, if they matter,
// its partitions.
func partFingerprint(f file, digest string, partitions bool) string {
	if text := partitionText(f); partitions && text != "" {
		return digest + " " + text
	}
	return digest
}

func hash(ctx context.Context, f file) (string, error) {
	opened, err := f.content()
	if err != nil {
		return "", fmt.Errorf("open %s: %w", f.name, withoutPath(err))
	}
	defer opened.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, interruptible{ctx, opened}, make([]byte, f.buffer(1<<20))); err != nil {
		return "", fmt.Errorf("read %s: %w", f.name, withoutPath(err))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(b)
}

func summary(files int, size int64) string {
	noun := "files"
	if files == 1 {
		noun = "file"
	}
	units := []string{"B", "kB", "MB", "GB", "TB"}
	value, unit := float64(size), 0
	for value >= 1000 && unit < len(units)-1 {
		value /= 1000
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d %s, %d B", files, noun, size)
	}
	return fmt.Sprintf("%d %s, %.1f %s", files, noun, value, units[unit])
}
