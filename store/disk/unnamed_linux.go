package disk

import (
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// namesAreSynced: the journals of Linux's file systems (ext4, XFS, btrfs) hold
// a file's link together with the file, so syncing a file behind its link syncs
// its name too, and half of the waits for the disk are saved. Were a name lost
// all the same, what it stood for would be made again: every file of a store
// is verified.
const namesAreSynced = true

// openUnnamed makes a file without a name; nil where the file system cannot.
func openUnnamed(dir string, mode fs.FileMode) *os.File {
	f, err := os.OpenFile(dir, unix.O_TMPFILE|os.O_WRONLY, mode)
	if err != nil {
		return nil
	}
	return f
}

// linkUnnamed gives such a file a name.
func linkUnnamed(f *os.File, path string) error {
	from := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	err := unix.Linkat(unix.AT_FDCWD, from, unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	if err != nil {
		return &os.LinkError{Op: "link", Old: from, New: path, Err: err}
	}
	return nil
}
