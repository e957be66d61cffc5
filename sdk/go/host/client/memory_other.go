//go:build !linux

package client

// OutOfMemoryKills is not known here.
func OutOfMemoryKills() int64 { return 0 }

func memoryLimit() int64 { return 0 }
