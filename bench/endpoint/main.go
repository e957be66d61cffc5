// Program endpoint serves an OpenAI-compatible endpoint for tests and
// benchmarks. Flags set its latency and faults; see package openaitest. It is
// not a language model. Its first line of output is its address. GET /counts,
// next to /v1, returns what it has done.
//
//	endpoint -latency=50ms -too-many-every=10 -retry-after=1s
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
)

func main() {
	o := openaitest.Options{}
	flag.StringVar(&o.Address, "address", "127.0.0.1:0", "where to listen")
	flag.StringVar(&o.Key, "key", "", "the key that requests must have")
	flag.DurationVar(&o.Latency, "latency", 0, "how long an answer takes")
	flag.Int64Var(&o.DieAfter, "die-after", 0, "go away after this number of requests")
	flag.Int64Var(&o.TooManyEvery, "too-many-every", 0, "answer every Nth request with 429")
	flag.DurationVar(&o.RetryAfter, "retry-after", 0, "how long a 429 asks to wait")
	flag.BoolVar(&o.RetryAfterDate, "retry-after-date", false, "send -retry-after as a date")
	flag.Int64Var(&o.FailEvery, "fail-every", 0, "answer every Nth request with 500")
	flag.Int64Var(&o.CutEvery, "cut-every", 0, "cut every Nth answer off")
	flag.Int64Var(&o.MalformedEvery, "malformed-every", 0, "answer every Nth request with something that is not JSON")
	flag.Int64Var(&o.HangEvery, "hang-every", 0, "never answer every Nth request")
	flag.Int64Var(&o.SlowEvery, "slow-every", 0, "answer every Nth request more slowly")
	flag.DurationVar(&o.Slow, "slow", 0, "how much longer a slow answer takes")
	flag.Int64Var(&o.RefuseEvery, "refuse-every", 0, "make the model refuse every Nth request")
	flag.Int64Var(&o.FilterEvery, "filter-every", 0, "make a filter reject every Nth request")
	flag.Int64Var(&o.MaxConcurrent, "max-concurrent", 0, "answer 429 to more than this number of concurrent requests (0: no limit)")
	flag.Parse()
	// It shares the processor with the program that is measured, and uses very
	// little memory.
	debug.SetGCPercent(400)
	if err := serve(o); err != nil {
		fmt.Fprintln(os.Stderr, "endpoint:", err)
		os.Exit(1)
	}
}

// serve serves until a signal arrives or the endpoint goes away. It then prints
// its counts.
func serve(o openaitest.Options) error {
	e, err := openaitest.Start(o)
	if err != nil {
		return err
	}
	fmt.Println(e.URL())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	select {
	case <-stop:
	case <-e.Dead():
	}
	e.Close()
	return json.NewEncoder(os.Stdout).Encode(e.Counts())
}
