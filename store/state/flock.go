package state

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/quern-dev/quern/store/disk"
)

// tryLockFile takes the system's exclusive lock on a file, which is made if
// need be; nil: somebody else has it. The lock ends with the process.
func tryLockFile(path string) (*os.File, error) { return flock(path, unix.LOCK_EX|unix.LOCK_NB) }

// lockFile waits for the lock, which is held for moments only.
func lockFile(path string) (unlock func(), err error) {
	f, err := flock(path, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	return func() { unlockFile(f) }, nil
}

func flock(path string, how int) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, disk.Explain(err)
		}
		err = ignoringInterrupts(func() error { return unix.Flock(int(f.Fd()), how) })
		if errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, nil
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		if isAt(f, path) {
			return f, nil
		}
		// The file was removed in between: the lock on it holds nobody out.
		f.Close()
	}
}

func ignoringInterrupts(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func isAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}

func unlockFile(f *os.File) {
	if f != nil {
		f.Close()
	}
}
