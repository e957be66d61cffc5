package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The number of rows in each case, and the time that the endpoint takes for an
// answer.
const (
	someRows   = 1_000
	moreRows   = 5_000
	manyLabels = 100_000
	latency    = "-latency=50ms"
)

const labelTickets = `
source "csv" "tickets" {
  path = "tickets.csv"
}

model "openai" "bench" {
  name            = "bench"
  base_url        = "http://endpoint.invalid/v1"
  address         = "%s"
  max_concurrency = %d
  temperature     = 0
}

prompt "intent" {
  system = "You sort the messages of a bank's customers."
  user   = "Message: ${row.text}"
}

label "llm" "intent" {
  input   = source.tickets
  model   = model.bench
  prompt  = prompt.intent
  classes = ["card", "cash", "rate", "transfer"]
}
`

// languageModels labels rows with a model that the endpoint simulates. If
// promptfoo is installed, it evaluates the same number of rows.
func languageModels(b *bench) ([]result, error) {
	if err := b.build(b.endpointProgram(), "./bench/endpoint"); err != nil {
		return nil, err
	}
	peer, err := b.peer()
	if err != nil {
		return nil, err
	}
	cases := []func(*bench, *promptfoo) ([]result, error){
		labelSome, labelMore, labelKilled, relabelOne, labelLimited, labelFailing, labelDying,
	}
	var results []result
	var failed error
	for _, measure := range cases {
		got, err := measure(b, peer)
		results, failed = append(results, got...), errors.Join(failed, err)
	}
	if peer == nil {
		results = append(results, figure("promptfoo", "is not installed"))
	}
	return results, failed
}

// labeling is a folder in which tickets are labeled.
type labeling struct {
	*bench
	*endpoint
	dir string
}

// labeling creates the folder. It makes a plan first, so that what quern caches
// about its plugins is not measured.
func (b *bench) labeling(name string, rows, atOnce int, e *endpoint) (labeling, error) {
	l := labeling{b, e, filepath.Join(b.dir, name)}
	err := writeFiles(l.dir, map[string]string{"tickets.csv": tickets(rows)})
	if err == nil {
		err = l.ask(e, atOnce)
	}
	if err == nil {
		_, err = b.command(l.dir, "plan")
	}
	return l, err
}

// ask configures the endpoint to call.
func (l *labeling) ask(e *endpoint, atOnce int) error {
	l.endpoint = e
	return writeFiles(l.dir, map[string]string{"main.quern.hcl": fmt.Sprintf(labelTickets, e.url, atOnce)})
}

// tickets returns rows that are all different.
func tickets(rows int) string {
	g := newGenerator(7)
	var b strings.Builder
	b.WriteString("id,text\n")
	for id := range rows {
		fmt.Fprintf(&b, "%d,%s %d\n", id, g.text(80), id)
	}
	return b.String()
}

// asking is what a command that called the endpoint took.
type asking struct {
	usage
	requests int64
}

func (a asking) String() string {
	return fmt.Sprintf("%s, %s, %s", seconds(a.wall), megabytes(a.peak()), requests(a.requests))
}

func requests(n int64) string {
	if n == 1 {
		return "1 request"
	}
	return thousands(n) + " requests"
}

// most is the maximum that an asking may take. If peak is 0, any amount of
// memory is allowed.
type most struct {
	wall     time.Duration
	peak     int64
	requests int64
}

func (m most) String() string {
	text := "≤ " + seconds(m.wall) + ", "
	if m.peak > 0 {
		text += megabytes(m.peak) + ", "
	}
	return text + requests(m.requests)
}

func (m most) result(what string, got asking) result {
	ok := got.wall <= m.wall && (m.peak == 0 || got.peak() <= m.peak) && got.requests <= m.requests
	return result{what, m.String(), got.String(), judge(ok)}
}

// apply labels the rows, and counts the requests. If it returns no error, each
// row has its label.
func (l labeling) apply() (asking, error) {
	if err := l.reset(); err != nil {
		return asking{}, err
	}
	u, err := l.command(l.dir, "apply", "-auto-approve")
	if err != nil {
		return asking{usage: u}, err
	}
	counts, err := l.counts()
	return asking{u, counts.Requests}, err
}

// labelRepeatedly labels rows several times, each time in a new folder. The
// first is NAME-0. It returns the median time, and the maximum memory and
// number of requests.
func (b *bench) labelRepeatedly(name string, rows, atOnce int, e *endpoint) (asking, error) {
	var requests int64
	u, err := median(timesLong, func(i int) (usage, error) {
		l, err := b.labeling(fmt.Sprintf("%s-%d", name, i), rows, atOnce, e)
		if err != nil {
			return usage{}, err
		}
		got, err := l.apply()
		requests = max(requests, got.requests)
		return got.usage, err
	})
	return asking{u, requests}, err
}

// labelSome labels some rows, and labels them again with a store that contains
// only the answers.
func labelSome(b *bench, peer *promptfoo) ([]result, error) {
	const atOnce = 32
	e, err := b.startEndpoint(latency)
	if err != nil {
		return nil, err
	}
	defer e.close()
	first, err := b.labelRepeatedly("llm-some", someRows, atOnce, e)
	if err != nil {
		return nil, err
	}
	again, err := b.labeling("llm-again", someRows, atOnce, e)
	if err != nil {
		return nil, err
	}
	kept := filepath.Join(".quern", "responses")
	if err := os.CopyFS(filepath.Join(again.dir, kept), os.DirFS(filepath.Join(b.dir, "llm-some-0", kept))); err != nil {
		return nil, err
	}
	second, err := again.apply()
	if err != nil {
		return nil, err
	}
	peerFirst, peerSecond, err := peer.twice("some", someRows, atOnce, e)
	return flatten(
		most{2 * time.Second, 0, someRows}.result("1,000 rows, 50 ms latency, 32 at once (ideal: 1.56 s)", first),
		peerFirst,
		most{700 * time.Millisecond, 0, 0}.result("the same 1,000 rows again, all answers cached", second),
		peerSecond,
	), err
}

func labelMore(b *bench, peer *promptfoo) ([]result, error) {
	const atOnce = 128
	e, err := b.startEndpoint(latency)
	if err != nil {
		return nil, err
	}
	defer e.close()
	got, err := b.labelRepeatedly("llm-more", moreRows, atOnce, e)
	if err != nil {
		return nil, err
	}
	peers, err := peer.once("more", moreRows, atOnce, e)
	return flatten(
		most{2600 * time.Millisecond, 250e6, moreRows}.result("5,000 rows, 50 ms latency, 128 at once (ideal: 1.95 s)", got),
		figure("… peak memory by program", largest(got.usage)), peers,
	), err
}

// labelKilled kills quern halfway, and labels again.
func labelKilled(b *bench, _ *promptfoo) ([]result, error) {
	const atOnce = 32
	e, err := b.startEndpoint(latency)
	if err != nil {
		return nil, err
	}
	defer e.close()
	l, err := b.labeling("llm-killed", someRows, atOnce, e)
	if err != nil {
		return nil, err
	}
	if err := l.kill(someRows / 2); err != nil {
		return nil, err
	}
	before, err := e.counts()
	if err != nil {
		return nil, err
	}
	again, err := l.apply()
	if err != nil {
		return nil, err
	}
	all := before.Requests + again.requests
	return []result{{
		what:     fmt.Sprintf("kill -9 after %s, then again", requests(before.Requests)),
		limit:    fmt.Sprintf("≤ %s in all: the rows and those in flight", requests(someRows+atOnce)),
		measured: fmt.Sprintf("%s in all; again %s", requests(all), again), verdict: judge(all <= someRows+atOnce),
	}}, nil
}

// kill kills an apply after the given number of requests.
func (l labeling) kill(after int64) error {
	p, err := start(l.dir, nil, l.quern, "apply", "-auto-approve")
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { _, err := p.wait(); ended <- err }()
	tick := time.NewTicker(firstSampling)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("the apply was over before it could be killed: %w", err)
		case <-tick.C:
		}
		counts, err := l.counts()
		if err == nil && counts.Requests < after {
			continue
		}
		err = errors.Join(err, p.cmd.Process.Kill())
		if killed := <-ended; killed == nil {
			return errors.New("the apply was over before it was killed")
		}
		return err
	}
}

// relabelOne changes one of many labeled rows.
func relabelOne(b *bench, _ *promptfoo) ([]result, error) {
	e, err := b.startEndpoint()
	if err != nil {
		return nil, err
	}
	defer e.close()
	l, err := b.labeling("llm-many", manyLabels, 256, e)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(l.dir)
	all, err := l.apply()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(l.dir, "tickets.csv")
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	row := fmt.Appendf(nil, " %d\n", manyLabels/2)
	if err := os.WriteFile(file, bytes.Replace(content, row, []byte(" and more"+string(row)), 1), 0o644); err != nil {
		return nil, err
	}
	one, err := l.apply()
	if err != nil {
		return nil, err
	}
	return []result{
		figure("100,000 rows, no latency, 256 at once", all.String()),
		most{2 * time.Second, 0, 1}.result("1 row changed of 100,000 labeled rows", one),
	}, nil
}

func labelLimited(b *bench, peer *promptfoo) ([]result, error) {
	return b.labelFaulty("every 10th answer 429 with Retry-After 1 s", "limited", peer, latency, "-too-many-every=10", "-retry-after=1s")
}

func labelFailing(b *bench, peer *promptfoo) ([]result, error) {
	return b.labelFaulty("every 10th answer 500", "failing", peer, latency, "-fail-every=10")
}

// labelFaulty labels rows with an endpoint that has faults. No row may be lost,
// and no answered request may be repeated.
func (b *bench) labelFaulty(what, name string, peer *promptfoo, flags ...string) ([]result, error) {
	const atOnce = 32
	e, err := b.startEndpoint(flags...)
	if err != nil {
		return nil, err
	}
	defer e.close()
	l, err := b.labeling("llm-"+name, someRows, atOnce, e)
	if err != nil {
		return nil, err
	}
	got, err := l.apply()
	if err != nil {
		return nil, err
	}
	counts, err := e.counts()
	if err != nil {
		return nil, err
	}
	lost := someRows - counts.Distinct
	peers, err := peer.once(name, someRows, atOnce, e)
	return flatten(result{
		what: what, limit: "no row lost, no answered request repeated",
		measured: fmt.Sprintf("%s, %d lost, %d repeated", got, lost, counts.Repeated),
		verdict:  judge(lost == 0 && counts.Repeated == 0),
	}, peers), err
}

// patience is the maximum time in which a command must notice that its endpoint
// is gone.
const patience = time.Minute

// labelDying makes the endpoint go away halfway, and then labels the rest with
// another one.
func labelDying(b *bench, peer *promptfoo) ([]result, error) {
	const atOnce = 32
	dying := []string{latency, fmt.Sprint("-die-after=", someRows/2)}
	e, err := b.startEndpoint(dying...)
	if err != nil {
		return nil, err
	}
	defer e.close()
	l, err := b.labeling("llm-dying", someRows, atOnce, e)
	if err != nil {
		return nil, err
	}
	u, gone := l.command(l.dir, "apply", "-auto-approve")
	counts, err := e.end()
	if err != nil {
		return nil, err
	}
	if gone == nil {
		return nil, errors.New("an apply whose endpoint went away half way reported no error")
	}
	other, err := b.startEndpoint(latency)
	if err != nil {
		return nil, err
	}
	defer other.close()
	if err := l.ask(other, atOnce); err != nil {
		return nil, err
	}
	rest, err := l.apply()
	if err != nil {
		return nil, err
	}
	lost := counts.Distinct + rest.requests - someRows
	peers, err := peer.dying(someRows, atOnce, dying)
	return flatten(result{
		what: "the endpoint dies halfway", limit: "≤ " + seconds(patience) + ", no answer lost",
		measured: fmt.Sprintf("%s, %d of %d answers lost", seconds(u.wall), lost, counts.Distinct),
		verdict:  judge(u.wall <= patience && lost == 0),
	}, peers), err
}

// flatten drops empty results, which come from a peer that is not installed.
func flatten(results ...result) []result {
	var out []result
	for _, r := range results {
		if r.what != "" {
			out = append(out, r)
		}
	}
	return out
}
