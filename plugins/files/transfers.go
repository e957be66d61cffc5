package files

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// CacheVariable is the environment variable with the folder in which sources keep
// what they transferred. Everything in it can be transferred again.
const CacheVariable = "QUERN_TRANSFERS"

// TransferDir returns the folder for what a source transfers from an address. kind is
// the name of the source. Without a folder for transfers, it is in the system's
// folder for temporary files.
func TransferDir(kind, address string) string {
	root := os.Getenv(CacheVariable)
	if root == "" {
		root = filepath.Join(os.TempDir(), "quern-transfers")
	}
	sum := sha256.Sum256([]byte(address))
	return filepath.Join(root, kind, hex.EncodeToString(sum[:16]))
}

// locks are the folders that this process uses. A lock on a file does not keep out
// the process that has it.
var locks sync.Map

// Lock waits until nothing else uses a folder for transfers, makes the folder, and
// returns how to unlock it. If the folder cannot be made or locked, what is written
// there fails later.
func Lock(dir string) (unlock func()) {
	m, _ := locks.LoadOrStore(dir, &sync.Mutex{})
	m.(*sync.Mutex).Lock()
	unlock = m.(*sync.Mutex).Unlock
	if os.MkdirAll(dir, 0o700) != nil {
		return unlock
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return unlock
	}
	_ = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	return func() { f.Close(); m.(*sync.Mutex).Unlock() }
}
