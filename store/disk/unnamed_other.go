//go:build !linux

package disk

import (
	"errors"
	"io/fs"
	"os"
)

// namesAreSynced: syncing a file does not sync its name.
const namesAreSynced = false

// openUnnamed makes a file without a name; nil: it cannot be done here.
func openUnnamed(string, fs.FileMode) *os.File { return nil }

func linkUnnamed(*os.File, string) error { return errors.ErrUnsupported }
