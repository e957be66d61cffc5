// Package process reports whether a process that wrote something is still running.
// A process ID alone does not: IDs are used again, and mean nothing on another
// machine.
package process

import (
	"os"
)

// Identity names a process for good: on one boot of one machine, an ID and
// the time at which it started belong to one process only.
type Identity struct {
	Host string `json:"host"`
	Boot string `json:"boot,omitempty"` // of the running system; empty: not known
	PID  int    `json:"pid"`
	// Start is when the process started, in the system's own unit; empty:
	// not known.
	Start string `json:"start,omitempty"`
}

// Self is this process.
func Self() Identity {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	pid := os.Getpid()
	return Identity{Host: host, Boot: bootID(), PID: pid, Start: startOf(pid)}
}

// Gone says that the process surely does not live any more. Of a process on
// another machine it never does.
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
