package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Lock takes the system's exclusive lock on a file, which it creates if
// necessary, and waits for it. The lock ends with the process, however that
// ends.
func Lock(path string) (unlock func(), err error) {
	f, err := flock(path, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

// TryLock is Lock without waiting. unlock is nil if another process has the
// lock.
func TryLock(path string) (unlock func(), err error) {
	f, err := flock(path, unix.LOCK_EX|unix.LOCK_NB)
	if err != nil || f == nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

// LockShared waits until no process has the exclusive lock on a file, and keeps
// others from taking it. Any number of processes can share it.
func LockShared(path string) (unlock func(), err error) {
	f, err := flock(path, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

func flock(path string, how int) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, Explain(err)
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
		// The file was removed in the meantime, so locking it keeps nobody out.
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
