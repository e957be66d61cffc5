package ordering

import (
	"strconv"
	"strings"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Limit is the argument of stages that use this package. Embed it in their
// arguments.
type Limit struct {
	MemoryLimit string `quern:"memory_limit,operational" default:"\"256MB\"" doc:"About how much memory to use for rows, such as \"2GB\". What does not fit is written to temporary files."`
}

var units = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
}

// Bytes returns the limit.
func (l Limit) Bytes() (int64, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(l.MemoryLimit, u.suffix)
		if !ok {
			continue
		}
		if n, err := strconv.ParseFloat(strings.TrimSpace(number), 64); err == nil && n > 0 && n*u.bytes < 1<<62 {
			return int64(n * u.bytes), nil
		}
	}
	return 0, plugin.ArgumentErrorf("memory_limit", "%q is not an amount of memory\nWrite a number and a unit, such as \"500MB\", \"2GB\", or \"1.5GiB\".", l.MemoryLimit)
}

// Check returns an error if the limit is not valid.
func (l Limit) Check() error {
	_, err := l.Bytes()
	return err
}
