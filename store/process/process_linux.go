package process

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func machineID() string {
	b, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func namespace() string {
	name, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return name
}

// startOf returns the 22nd field of /proc/PID/stat: the start time in clock
// ticks since the boot. The second field, the program's name, may contain
// spaces and parentheses, so fields are counted after it. A zombie counts as
// gone: it has no start.
func startOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	text := string(b)
	rest := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(rest) < 20 {
		return ""
	}
	if rest[0] == "Z" || rest[0] == "X" {
		return "ended"
	}
	return rest[19]
}

func exists(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
