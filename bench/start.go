package main

import "time"

// starting measures commands that do nothing but print.
func starting(b *bench) ([]result, error) {
	var results []result
	for _, c := range []string{"version", "-help"} {
		u, err := median(timesShort, func(int) (usage, error) { return b.command(b.dir, c) })
		if err != nil {
			return results, err
		}
		results = append(results, atMost("quern "+c, u.wall, 30*time.Millisecond, seconds))
	}
	return results, nil
}
