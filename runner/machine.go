package runner

import (
	"path/filepath"

	"github.com/shirou/gopsutil/v4/mem"
)

// machineMemory is the memory of the machine in bytes; 0: not known, which
// does not limit.
func machineMemory() int64 {
	m, err := mem.VirtualMemory()
	if err != nil {
		return 0
	}
	return int64(m.Total)
}

// machineGPUs counts the devices that NVIDIA's driver shows.
func machineGPUs() int {
	devices, err := filepath.Glob("/dev/nvidia[0-9]*")
	if err != nil {
		return 0
	}
	return len(devices)
}
