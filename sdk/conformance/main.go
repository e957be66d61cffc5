// Conformance runs the scenarios of this folder against a program that
// implements the conformance plugin, which README.md specifies:
//
//	go run ./sdk/conformance [-run REGEXP] PROGRAM [ARGUMENT…]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
)

func main() {
	only := flag.String("run", "", "run only the scenarios whose names match this regular expression")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: conformance [-run REGEXP] PROGRAM [ARGUMENT…]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	failed, err := check(program{Path: flag.Arg(0), Args: flag.Args()[1:]}, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

// check runs the scenarios and prints the result of each. It returns how many
// failed.
func check(p program, only string) (failed int, err error) {
	names, err := regexp.Compile(only)
	if err != nil {
		return 0, err
	}
	all, err := scenarios()
	if err != nil {
		return 0, err
	}
	r := &runner{program: p}
	defer r.close()
	for _, s := range all {
		if !names.MatchString(s.Name) {
			continue
		}
		if err := r.run(context.Background(), s); err != nil {
			failed++
			fmt.Printf("FAIL %s\n%s\n", s.Name, err)
			continue
		}
		fmt.Printf("ok   %s\n", s.Name)
	}
	return failed, nil
}
