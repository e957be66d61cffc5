package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/store/disk"
)

// replaceFile replaces a file completely or not at all, so that an interruption
// cannot leave half of it.
func replaceFile(path string, mode fs.FileMode, write func(io.Writer) error) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return diag.Failed("cannot write to "+path, "It is a folder. Give the name of a file.")
	}
	f, err := disk.NewTemp(filepath.Dir(path), mode)
	if errors.Is(err, fs.ErrNotExist) {
		return diag.Failed(fmt.Sprintf("folder %s does not exist", filepath.Dir(path)), "Create it first.")
	}
	if err != nil {
		return diag.Failed(fmt.Sprintf("%s cannot be written", path), "%w", err)
	}
	defer f.Close()
	if err := buffered(f, write); err != nil {
		return err
	}
	return f.Publish(path)
}

func buffered(w io.Writer, write func(io.Writer) error) error {
	b := bufio.NewWriterSize(w, 1<<20)
	if err := write(b); err != nil {
		return err
	}
	return b.Flush()
}
