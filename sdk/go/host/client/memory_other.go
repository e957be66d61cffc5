//go:build !linux

package client

// outOfMemoryKills is not known here.
func outOfMemoryKills() int64 { return 0 }

func memoryLimit() int64 { return 0 }
