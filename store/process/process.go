// Package process reports whether a process that wrote something is still
// running. A process ID alone is not enough: IDs are reused, and mean nothing
// on another machine.
package process

import (
	"os"
)

// Identity identifies a process permanently: on one boot of one machine, only
// one process has a given ID and start time.
type Identity struct {
	Host string `json:"host"`
	Boot string `json:"boot,omitempty"` // ID of the boot; empty if not known
	PID  int    `json:"pid"`
	// Start is when the process started, in the system's own unit, or empty if
	// it is not known.
	Start string `json:"start,omitempty"`
}

// Self returns the identity of this process.
func Self() Identity {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	pid := os.Getpid()
	return Identity{Host: host, Boot: bootID(), PID: pid, Start: startOf(pid)}
}

// Gone reports whether the process is known to have ended. For a process on
// another machine, this is never known.
func (id Identity) Gone() bool {
	self := Self()
	if id.Host != self.Host {
		return false
	}
	if id.Boot != self.Boot {
		return id.Boot != "" && self.Boot != ""
	}
	if !exists(id.PID) {
		return true
	}
	start := startOf(id.PID)
	return id.Start != "" && start != "" && start != id.Start
}
