package disk

import (
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// namesAreSynced reports whether syncing a file also syncs its name. The
// journals of Linux's file systems (ext4, XFS, btrfs) contain a file's link
// together with the file, so this saves half of the waits for the disk. If a
// name were lost nevertheless, its content would be computed again, because
// every file of a store is verified.
const namesAreSynced = true

// openUnnamed creates a file without a name, or returns nil if the file system
// cannot.
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
