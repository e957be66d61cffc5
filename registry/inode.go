package registry

import (
	"os"
	"syscall"
)

// inode is a file's number in its file system; 0: it has none.
func inode(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
