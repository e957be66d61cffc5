package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// promptfoo is the peer for language models, if it is installed; see README.md.
// A nil peer has no results.
type promptfoo struct {
	*bench
	program, version string
}

// peer finds promptfoo. It returns nil if promptfoo is not installed.
func (b *bench) peer() (*promptfoo, error) {
	program := b.promptfoo
	if program == "" {
		var err error
		if program, err = exec.LookPath("promptfoo"); err != nil {
			return nil, nil
		}
	}
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	p := &promptfoo{bench: b, program: program}
	out, err := p.output("--version")
	if err != nil {
		return nil, fmt.Errorf("ask promptfoo for its version: %w", err)
	}
	p.version = strings.TrimSpace(out)
	return p, nil
}

func (p *promptfoo) output(args ...string) (string, error) {
	cmd := exec.Command(p.program, args...)
	cmd.Env = append(os.Environ(), p.environment(p.dir)...)
	out, err := cmd.Output()
	return string(out), err
}

// environment keeps promptfoo's files in a folder. A node in the folder of
// promptfoo's program takes precedence, because promptfoo needs a recent one.
func (p *promptfoo) environment(dir string) []string {
	return []string{
		"PATH=" + filepath.Dir(p.program) + string(os.PathListSeparator) + os.Getenv("PATH"),
		"PROMPTFOO_CONFIG_DIR=" + filepath.Join(dir, "promptfoo"), "PROMPTFOO_CACHE_PATH=" + filepath.Join(dir, "cache"),
		"PROMPTFOO_DISABLE_TELEMETRY=1", "PROMPTFOO_DISABLE_UPDATE=1", "PROMPTFOO_DISABLE_REMOTE_GENERATION=1",
		"OPENAI_API_KEY=none",
	}
}

const evaluateTickets = `prompts:
  - file://prompt.json
providers:
  - id: openai:chat:bench
    config:
      apiBaseUrl: %s
      temperature: 0
defaultTest:
  assert:
    - type: contains
      value: "{{text}}"
tests: file://tickets.csv
`

const ticketsPrompt = `[
  {"role": "system", "content": "You sort the messages of a bank's customers."},
  {"role": "user", "content": "Message: {{text}}"}
]
`

// evaluation creates a folder in which the tickets are evaluated.
func (p *promptfoo) evaluation(name string, rows int, e *endpoint) (dir string, err error) {
	dir = filepath.Join(p.dir, "promptfoo-"+name)
	return dir, writeFiles(dir, map[string]string{
		"promptfooconfig.yaml": fmt.Sprintf(evaluateTickets, e.url), "prompt.json": ticketsPrompt, "tickets.csv": tickets(rows),
	})
}

func (p *promptfoo) start(dir string, atOnce int) (*running, error) {
	return start(dir, p.environment(dir), p.program, "eval", "-c", "promptfooconfig.yaml", "-j", strconv.Itoa(atOnce),
		"--no-progress-bar", "--no-table", "-o", "results.json")
}

// rowsFailed is the exit code of an evaluation in which some rows failed.
const rowsFailed = 100

// evaluate runs the evaluation, and counts its requests and the rows that were
// lost to errors.
func (p *promptfoo) evaluate(dir string, atOnce int, e *endpoint) (got asking, lost int, err error) {
	if err := e.reset(); err != nil {
		return got, 0, err
	}
	command, err := p.start(dir, atOnce)
	if err != nil {
		return got, 0, err
	}
	got.usage, err = command.wait()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != rowsFailed) {
		return got, 0, err
	}
	counts, err := e.counts()
	if err != nil {
		return got, 0, err
	}
	got.requests = counts.Requests
	content, err := os.ReadFile(filepath.Join(dir, "results.json"))
	if err != nil {
		return got, 0, err
	}
	var report struct {
		Results struct {
			Stats struct{ Errors int }
		}
	}
	err = json.Unmarshal(content, &report)
	return got, report.Results.Stats.Errors, err
}

func (p *promptfoo) figure(measured string) result {
	return figure("… promptfoo "+p.version, measured)
}

func (p *promptfoo) asked(got asking, lost int) result {
	text := got.String()
	if lost > 0 {
		text += fmt.Sprintf(", %d rows lost", lost)
	}
	return p.figure(text)
}

// once evaluates the given number of rows.
func (p *promptfoo) once(name string, rows, atOnce int, e *endpoint) (result, error) {
	if p == nil {
		return result{}, nil
	}
	dir, err := p.evaluation(name, rows, e)
	if err != nil {
		return result{}, err
	}
	got, lost, err := p.evaluate(dir, atOnce, e)
	return p.asked(got, lost), err
}

// twice evaluates the same rows twice, so that everything is cached the second
// time.
func (p *promptfoo) twice(name string, rows, atOnce int, e *endpoint) (first, second result, err error) {
	if p == nil {
		return first, second, nil
	}
	dir, err := p.evaluation(name, rows, e)
	if err != nil {
		return first, second, err
	}
	one, lost, err := p.evaluate(dir, atOnce, e)
	if err != nil {
		return first, second, err
	}
	two, _, err := p.evaluate(dir, atOnce, e)
	return p.asked(one, lost), p.asked(two, 0), err
}

// dying evaluates with an endpoint that goes away halfway. It is killed if it
// does not notice that in time.
func (p *promptfoo) dying(rows, atOnce int, flags []string) (result, error) {
	if p == nil {
		return result{}, nil
	}
	e, err := p.startEndpoint(flags...)
	if err != nil {
		return result{}, err
	}
	defer e.close()
	dir, err := p.evaluation("dying", rows, e)
	if err != nil {
		return result{}, err
	}
	command, err := p.start(dir, atOnce)
	if err != nil {
		return result{}, err
	}
	late := time.AfterFunc(patience, func() { _ = command.cmd.Process.Kill() })
	u, _ := command.wait()
	if !late.Stop() {
		return p.figure("still running after " + seconds(patience)), nil
	}
	return p.figure(seconds(u.wall)), nil
}
