#!/bin/sh
# Runs each fuzz target of the module for the given time: fuzz.sh 20s
set -eu
time=${1:-20s}
cd "$(dirname "$0")/.."
grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do
	package=$(dirname "$file")
	tags=$(sed -n 's|^//go:build \([a-z_]*\)$|-tags=\1|p' "$file" | head -n 1)
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
		echo "$package $target"
		# Where goroutines run differently each time, Go would spend all of the time on
		# making inputs shorter.
		go test ${tags:+"$tags"} -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1x "$package"
	done
done
