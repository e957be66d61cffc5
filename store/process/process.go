// Package process reports whether a process that wrote something is still
// running. A process ID alone is not enough: IDs are reused, and mean nothing
// on another machine or in another container.
package process

import (
	"os"
)

// Identity identifies a process permanently: on one boot of one machine, in one
// namespace of process IDs, only one process has a given ID and start time. Fields
// are empty if the system does not report them.
type Identity struct {
	Host string `json:"host"`
	// Machine is the ID of the installation of the operating system. Several
	// machines can have the same host name.
	Machine string `json:"machine,omitempty"`
	Boot    string `json:"boot,omitempty"` // ID of the boot
	// Namespace is the namespace of process IDs: a container usually has its own.
	Namespace string `json:"namespace,omitempty"`
	PID       int    `json:"pid"`
	// Start is when the process started, in the system's own unit.
	Start string `json:"start,omitempty"`
}

// Self returns the identity of this process.
func Self() Identity {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	pid := os.Getpid()
	return Identity{Host: host, Machine: machineID(), Boot: bootID(), Namespace: namespace(), PID: pid, Start: startOf(pid)}
}

// Gone reports whether the process is known to have ended. For a process on
// another machine or in another container, this is never known.
func (id Identity) Gone() bool {
	self := Self()
	if id.rebooted(self) {
		return true
	}
	if !id.visible(self) {
		return false
	}
	if !exists(id.PID) {
		return true
	}
	start := startOf(id.PID)
	return id.Start != "" && start != "" && start != id.Start
}

// Visible reports whether this process can see the one with this identity, if that
// still runs.
func (id Identity) Visible() bool { return id.visible(Self()) }

func (id Identity) visible(self Identity) bool {
	return id.Host == self.Host && id.Boot == self.Boot && id.Namespace == self.Namespace
}

// rebooted reports whether this machine has been restarted since the process ran on
// it. An image of a container can contain a machine ID, so in different namespaces,
// equal IDs prove nothing.
func (id Identity) rebooted(self Identity) bool {
	return id.Host == self.Host && id.Namespace == self.Namespace &&
		self.Machine != "" && id.Machine == self.Machine &&
		id.Boot != "" && self.Boot != "" && id.Boot != self.Boot
}
