// Program endpoint serves an OpenAI-compatible endpoint for tests and
// benchmarks, with latency and faults as the flags say: see package openaitest.
// It is no model. Its first line says where it is; GET /counts beside /v1 says
// what it did.
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
	flag.StringVar(&o.Key, "key", "", "the key that requests have to carry")
	flag.DurationVar(&o.Latency, "latency", 0, "how long an answer takes")
	flag.Int64Var(&o.DieAfter, "die-after", 0, "go away after so many requests")
	flag.Int64Var(&o.TooManyEvery, "too-many-every", 0, "answer every Nth request with 429")
	flag.DurationVar(&o.RetryAfter, "retry-after", 0, "what a 429 asks to wait")
	flag.BoolVar(&o.RetryAfterDate, "retry-after-date", false, "ask for it as a date")
	flag.Int64Var(&o.FailEvery, "fail-every", 0, "answer every Nth request with 500")
	flag.Int64Var(&o.CutEvery, "cut-every", 0, "cut every Nth answer off")
	flag.Int64Var(&o.MalformedEvery, "malformed-every", 0, "answer every Nth request with what is no JSON")
	flag.Int64Var(&o.HangEvery, "hang-every", 0, "never answer every Nth request")
	flag.Int64Var(&o.SlowEvery, "slow-every", 0, "answer every Nth request more slowly")
	flag.DurationVar(&o.Slow, "slow", 0, "how much more slowly")
	flag.Int64Var(&o.RefuseEvery, "refuse-every", 0, "decline every Nth request")
	flag.Int64Var(&o.FilterEvery, "filter-every", 0, "have a filter refuse every Nth request")
	flag.Int64Var(&o.MaxConcurrent, "max-concurrent", 0, "answer 429 to more than so many at the same time")
	flag.Parse()
	// It shares the processor with what is measured, and holds next to nothing.
	debug.SetGCPercent(400)
	if err := serve(o); err != nil {
		fmt.Fprintln(os.Stderr, "endpoint:", err)
		os.Exit(1)
	}
}

// serve serves until a signal comes or the endpoint goes away by itself, and
// writes its counts then.
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
