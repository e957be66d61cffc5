package blob

import (
	"os"
	"syscall"

	"github.com/quern-dev/quern/store/disk"
)

func identify(path string) (identity, error) {
	info, err := os.Stat(path)
	if err != nil {
		return identity{}, err
	}
	if !info.Mode().IsRegular() {
		return identity{}, disk.Irregular(path, info.Mode())
	}
	id := identity{size: info.Size(), modified: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		id.inode, id.changed = st.Ino, st.Ctim.Nano()
	}
	return id, nil
}
