package runner

import (
	"path/filepath"

	"github.com/shirou/gopsutil/v4/mem"
)

// machineMemory returns the memory of the machine in bytes, or 0 if it is not
// known, which means no limit.
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
