package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
)

// Entry is a file, a link, or a submodule of a commit.
type Entry struct {
	// Mode is 100644, 100755 (executable), 120000 (a link, whose content is its
	// target), or 160000 (a submodule).
	Mode string
	// ID identifies the content. Entries with the same ID have the same content.
	ID   string
	Name string // with slashes
	Size int64  // in bytes; 0 for a submodule
}

// Link reports whether an entry is a symbolic link.
func (e *Entry) Link() bool { return e.Mode == "120000" }

// Submodule reports whether an entry is a commit of another repository.
func (e *Entry) Submodule() bool { return e.Mode == "160000" }

// Tree returns the entries of a commit that the repository in a folder has, by name.
func Tree(ctx context.Context, dir, commit string) ([]Entry, error) {
	listing, err := Output(ctx, dir, "ls-tree", "-r", "-z", "--full-tree", "--long", commit)
	if err != nil {
		return nil, err
	}
	return parseTree(listing)
}

// parseTree parses the output of git ls-tree -r -z --long: "MODE TYPE ID SIZE\tNAME"
// with NUL after each entry. Submodules have the size "-".
func parseTree(listing []byte) ([]Entry, error) {
	var entries []Entry
	for text := range strings.SplitSeq(strings.TrimSuffix(string(listing), "\x00"), "\x00") {
		if text == "" {
			continue // the tree is empty
		}
		about, name, ok := strings.Cut(text, "\t")
		fields := strings.Fields(about)
		if !ok || len(fields) != 4 {
			return nil, fmt.Errorf("git ls-tree printed %q", text)
		}
		e := Entry{Mode: fields[0], ID: fields[2], Name: name}
		if !e.Submodule() {
			var err error
			if e.Size, err = strconv.ParseInt(fields[3], 10, 64); err != nil {
				return nil, fmt.Errorf("git ls-tree printed %q", text)
			}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Blobs reads contents from a repository with one process, which ends when Close is
// called or the context ends. Only one goroutine can use it at a time.
type Blobs struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// OpenBlobs starts to read from the repository in a folder.
func OpenBlobs(ctx context.Context, dir string) (*Blobs, error) {
	cmd := command(ctx, dir, "cat-file", "--batch")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			err = ErrNotFound
		}
		return nil, err
	}
	return &Blobs{cmd, in, bufio.NewReaderSize(out, 1<<16)}, nil
}

// Read passes the content of a blob to use, and skips what that does not read.
func (b *Blobs) Read(id string, use func(content io.Reader, size int64) error) error {
	if _, err := io.WriteString(b.in, id+"\n"); err != nil {
		return fmt.Errorf("git cat-file: %w", err)
	}
	// "ID TYPE SIZE\n", the content, and "\n"
	head, err := b.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("git cat-file: %w", err)
	}
	fields := strings.Fields(head)
	if len(fields) != 3 || fields[0] != id {
		return fmt.Errorf("git cat-file printed %q", head)
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return fmt.Errorf("git cat-file printed %q", head)
	}
	content := io.LimitReader(b.out, size)
	used := use(content, size)
	if _, err := io.Copy(io.Discard, content); err != nil {
		return errors.Join(used, err)
	}
	if _, err := b.out.Discard(1); err != nil {
		return errors.Join(used, err)
	}
	return used
}

// Close ends the process.
func (b *Blobs) Close() error {
	err := b.in.Close()
	return errors.Join(err, b.cmd.Wait())
}
