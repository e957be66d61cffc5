package git

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/quern-dev/quern/internal/git"
	"github.com/quern-dev/quern/plugins/files"
)

// repositoryOf returns the bare repository in which the commits of an address are kept.
func repositoryOf(address string) string {
	return filepath.Join(files.TransferDir("git", address), "repository")
}

// commitOf returns the entries of a commit. It fetches the commit if it is not here.
func commitOf(ctx context.Context, address, commit string) ([]git.Entry, error) {
	dir := repositoryOf(address)
	defer files.Lock(filepath.Dir(dir))()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	now := time.Now()
	_ = os.Chtimes(dir, now, now) // says when it was last used
	// A ref marks a commit that is here completely. With it, Git also knows what
	// need not be transferred for another commit.
	ref := "refs/quern/" + commit
	if _, err := git.Output(ctx, dir, "rev-parse", "--verify", "--quiet", ref); err != nil {
		if err := git.Init(ctx, dir, commit); err != nil {
			return nil, err
		}
		if err := git.Fetch(ctx, dir, address, commit); err != nil {
			return nil, err
		}
		if _, err := git.Output(ctx, dir, "update-ref", ref, commit); err != nil {
			return nil, err
		}
	}
	return git.Tree(ctx, dir, commit)
}

// inMemory is the maximum size of a file that is read into memory, in bytes. Larger
// ones are written to a temporary file.
const inMemory = 32 << 20

// contents opens the files of a repository, with one process for all of them.
type contents struct {
	ctx context.Context
	dir string

	mu    sync.Mutex
	blobs *git.Blobs
}

func (c *contents) open(e git.Entry) (files.Content, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blobs == nil {
		blobs, err := git.OpenBlobs(c.ctx, c.dir)
		if err != nil {
			return nil, err
		}
		c.blobs = blobs
		context.AfterFunc(c.ctx, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			_ = blobs.Close() // it was killed
		})
	}
	var content files.Content
	err := c.blobs.Read(e.ID, func(from io.Reader, size int64) (err error) {
		if size > inMemory {
			content, err = spooled(from)
			return err
		}
		text, err := io.ReadAll(from)
		if err == nil && bytes.HasPrefix(text, []byte(files.LFSPointer)) {
			err = fmt.Errorf("it is in Git LFS, and the repository contains only a pointer to it\nRead it from a checkout, after git lfs pull, or add it to exclude.")
		}
		content = memory{bytes.NewReader(text)}
		return err
	})
	if err != nil {
		return nil, err
	}
	return content, nil
}

// memory is a file that is in memory.
type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// spooled writes a file to a temporary one, which has no name.
func spooled(from io.Reader) (files.Content, error) {
	f, err := os.CreateTemp("", "quern-git-")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(f.Name())
	if _, err = io.Copy(f, from); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
