package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
)

// endpoint is a running process of the program in the folder endpoint, against
// which language models are measured.
type endpoint struct {
	url   string
	cmd   *exec.Cmd
	lines *bufio.Reader
}

func (b *bench) endpointProgram() string { return filepath.Join(b.dir, "endpoint") }

// startEndpoint starts an endpoint. The caller ends it.
func (b *bench) startEndpoint(flags ...string) (*endpoint, error) {
	cmd := exec.Command(b.endpointProgram(), flags...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	e := &endpoint{cmd: cmd, lines: bufio.NewReader(out)}
	url, err := e.lines.ReadString('\n')
	if err != nil {
		_, ended := e.end()
		return nil, fmt.Errorf("the endpoint did not start: %w", errors.Join(err, ended))
	}
	e.url = strings.TrimSpace(url)
	return e, nil
}

// end ends the process and returns its total counts. If the endpoint has gone
// away, end waits for the process.
func (e *endpoint) end() (openaitest.Counts, error) {
	var counts openaitest.Counts
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	err := json.NewDecoder(e.lines).Decode(&counts)
	return counts, errors.Join(err, e.cmd.Wait())
}

// close ends the process if it has not ended yet.
func (e *endpoint) close() { _, _ = e.end() }

// reset sets the counts to zero. counts returns them.
func (e *endpoint) reset() error {
	_, err := e.call(http.MethodPost, "/reset")
	return err
}

func (e *endpoint) counts() (openaitest.Counts, error) { return e.call(http.MethodGet, "/counts") }

func (e *endpoint) call(method, path string) (counts openaitest.Counts, err error) {
	req, err := http.NewRequest(method, strings.TrimSuffix(e.url, "/v1")+path, nil)
	if err != nil {
		return counts, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return counts, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(body, &counts)
	}
	return counts, err
}
