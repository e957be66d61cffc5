//go:build !linux

package blob

import (
	"io/fs"
	"os"
)

func identify(path string) (identity, error) {
	info, err := os.Stat(path)
	if err != nil {
		return identity{}, err
	}
	if !info.Mode().IsRegular() {
		return identity{}, &fs.PathError{Op: "read", Path: path, Err: fs.ErrInvalid}
	}
	return identity{size: info.Size(), modified: info.ModTime().UnixNano()}, nil
}
