package registry

import (
	"os"
	"syscall"
)

// inode returns a file's number in its file system, or 0 if it has none.
func inode(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
