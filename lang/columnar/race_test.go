//go:build race

package columnar

// slowdown is how much longer a computation takes because the race detector
// watches it.
const slowdown = 10
