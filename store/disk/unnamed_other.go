//go:build !linux

package disk

import (
	"errors"
	"io/fs"
	"os"
)

// namesAreSynced reports whether syncing a file also syncs its name.
const namesAreSynced = false

// openUnnamed creates a file without a name, or returns nil if that is not
// supported.
func openUnnamed(string, fs.FileMode) *os.File { return nil }

func linkUnnamed(*os.File, string) error { return errors.ErrUnsupported }
