package plugin

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quern-dev/quern/sdk/go/host/wire"
)

// The kernel kills a plugin when quern ends, but not the processes that the
// plugin started. A plugin of this SDK asks for a signal that it can handle
// instead. The setting belongs to the main thread, and only init is sure to run
// on it.
func init() {
	if os.Getenv(wire.Handshake.MagicCookieKey) != wire.Handshake.MagicCookieValue {
		return
	}
	var set int32
	err := unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&set)), 0, 0, 0)
	if err == nil && syscall.Signal(set) == syscall.SIGKILL {
		_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0)
	}
}
