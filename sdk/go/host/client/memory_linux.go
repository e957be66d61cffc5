package client

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroups returns the folders that may contain this process's memory control
// group, the most likely first: the one in /proc, or the root, in a container
// whose groups are mounted there.
func cgroups() []string {
	var out []string
	b, _ := os.ReadFile("/proc/self/cgroup")
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		parts := strings.SplitN(lines.Text(), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[1] == "":
			out = append(out, filepath.Join("/sys/fs/cgroup", parts[2]), filepath.Join("/sys/fs/cgroup/unified", parts[2]))
		case strings.Contains(","+parts[1]+",", ",memory,"):
			out = append(out, filepath.Join("/sys/fs/cgroup/memory", parts[2]), "/sys/fs/cgroup/memory")
		}
	}
	return append(out, "/sys/fs/cgroup")
}

// OutOfMemoryKills is how many processes of this process's control group, or
// else of the machine, the kernel has ended for want of memory.
func OutOfMemoryKills() int64 {
	for _, dir := range cgroups() {
		for _, name := range []string{"memory.events", "memory.oom_control"} {
			if n, ok := field(filepath.Join(dir, name), "oom_kill"); ok {
				return n
			}
		}
	}
	n, _ := field("/proc/vmstat", "oom_kill")
	return n
}

// memoryLimit is how much memory the control group may have; 0: not known.
func memoryLimit() int64 {
	for _, dir := range cgroups() {
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				continue
			}
			n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
			if err != nil || n > 1<<50 { // none
				return 0
			}
			return n
		}
	}
	return 0
}

// field reads a number from a file with a name and a number on each line.
func field(path, name string) (int64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && key == name {
			n, err := strconv.ParseInt(value, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
