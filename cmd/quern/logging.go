package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/quern-dev/quern/lang/diag"
)

// logs are the logs of quern and its plugins. Everything goes to the log file
// of the run, if this command is one. The levels in the variables QUERN_LOG
// (quern and plugins), QUERN_LOG_CORE (only quern), and QUERN_LOG_PLUGIN (only
// plugins) select what also goes to stderr, or is appended to the file
// QUERN_LOG_PATH.
type logs struct {
	hclog.Logger
	run runLog
}

// errLevel lists the levels.
var errLevel = errors.New("the levels are trace, debug, info, warn, error, off, and json (trace as JSON Lines)")

func newLogs(stderr io.Writer, redact func(string) string) (*logs, error) {
	l := &logs{}
	all := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "quern", Level: hclog.Trace, Output: io.Discard})
	l.Logger = all
	all.RegisterSink(&logSink{core: hclog.Debug, plugins: hclog.Trace, redact: redact, to: &l.run})
	shown := &logSink{core: hclog.Off, plugins: hclog.Off, redact: redact, to: stderr}
	for _, v := range []struct {
		name   string
		levels []*hclog.Level
	}{
		{"QUERN_LOG", []*hclog.Level{&shown.core, &shown.plugins}},
		{"QUERN_LOG_CORE", []*hclog.Level{&shown.core}},
		{"QUERN_LOG_PLUGIN", []*hclog.Level{&shown.plugins}},
	} {
		text := os.Getenv(v.name)
		if text == "" {
			continue
		}
		level := hclog.LevelFromString(text)
		if strings.EqualFold(text, "json") {
			level, shown.json = hclog.Trace, true
		}
		if level == hclog.NoLevel {
			return nil, diag.Failed(fmt.Sprintf("%s is %q, which is not a log level", v.name, text), "%w", errLevel)
		}
		for _, to := range v.levels {
			*to = level
		}
	}
	if path := os.Getenv("QUERN_LOG_PATH"); path != "" {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, diag.Failed("the log file of QUERN_LOG_PATH cannot be written", "%w", err)
		}
		shown.to = f
	}
	if shown.core != hclog.Off || shown.plugins != hclog.Off {
		all.RegisterSink(shown)
	}
	return l, nil
}

// logSink writes lines of a minimum level.
type logSink struct {
	core, plugins hclog.Level
	json          bool
	redact        func(string) string

	mu sync.Mutex
	to io.Writer
}

// Accept implements hclog.SinkAdapter.
func (s *logSink) Accept(name string, level hclog.Level, message string, args ...any) {
	least := s.core
	name = strings.TrimPrefix(name, "quern.")
	if strings.HasPrefix(name, "plugin.") {
		least = s.plugins
	}
	if least == hclog.Off || level < least {
		return
	}
	var line bytes.Buffer
	hclog.New(&hclog.LoggerOptions{
		Name: name, Level: hclog.Trace, Output: &line, JSONFormat: s.json, TimeFormat: "2006-01-02T15:04:05.000Z07:00",
		TimeFn: func() time.Time { return time.Now().UTC() },
	}).Log(level, message, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	// A log that cannot be written must not stop the work.
	_, _ = io.WriteString(s.to, s.redact(line.String()))
}

// mostBacklog bounds the log from before a run that is kept, in bytes.
const mostBacklog = 1 << 20

// runLog is the log file of a run. It buffers the log until the run begins.
type runLog struct {
	mu      sync.Mutex
	backlog []byte
	file    *os.File
}

func (l *runLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		return l.file.Write(b)
	}
	if len(l.backlog)+len(b) <= mostBacklog {
		l.backlog = append(l.backlog, b...)
	}
	return len(b), nil
}

// begin writes the log to a file from now on.
func (l *runLog) begin(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if l.file != nil {
		_ = l.file.Close() // that of an earlier run of the same command
	}
	l.file = f
	_, err = f.Write(l.backlog)
	l.backlog = nil
	return err
}
