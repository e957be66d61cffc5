package python

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quern-dev/quern/internal/printable"
)

// settings are the variables of the user that installers get. Everything else
// stays out: an active virtual environment, PYTHONPATH, and options such as
// PIP_USER or PIP_TARGET, which would change where and what is installed.
var settings = []string{
	"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
	"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC",
	"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_TRUSTED_HOST", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY",
	"PIP_KEYRING_PROVIDER", "PIP_CONFIG_FILE", "PIP_CACHE_DIR", "PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT", "PIP_RETRIES",
	"UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX", "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS",
	"UV_CONFIG_FILE", "UV_CACHE_DIR", "UV_OFFLINE", "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES", "UV_LINK_MODE", "UV_CONCURRENT_DOWNLOADS",
	"UV_PYTHON_INSTALL_DIR", "UV_PYTHON_DOWNLOADS", "UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_PREFERENCE",
}

// environment returns the environment of an installer. temp is for its temporary
// files.
func environment(temp string) []string {
	env := []string{"TMPDIR=" + temp, "PYTHONNOUSERSITE=1", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_INPUT=1", "UV_NO_PROGRESS=1", "NO_COLOR=1"}
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		// UV_INDEX lists indexes; UV_INDEX_NAME_PASSWORD and the like open them.
		if slices.Contains(settings, name) || strings.HasPrefix(name, "UV_INDEX") {
			env = append(env, v)
		}
	}
	return env
}

// runner runs installers for one virtual environment.
type runner struct {
	temp string
	// log receives each line that they print. It may be nil.
	log func(line string)
}

// Failure is the end of an installer that failed.
type Failure struct {
	// Step says what was being done.
	Step string
	// Lines are the last lines that it printed, safe for a terminal.
	Lines []string
	// Advice says what to do about it. It may be empty.
	Advice string
	Err    error
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s failed (%v): %s", f.Step, f.Err, strings.Join(f.Lines, "; "))
}

func (f *Failure) Unwrap() error { return f.Err }

// run runs a program in dir and returns what it printed to stdout. When ctx ends,
// the program and everything that it started are killed, and the error is the
// context's.
func (r *runner) run(ctx context.Context, step, dir string, argv ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, environment(r.temp), attributes()
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = 5 * time.Second
	var stdout bytes.Buffer
	out, problems := &tail{log: r.log}, &tail{log: r.log}
	cmd.Stdout, cmd.Stderr = &both{&stdout, out}, problems
	err := onOneThread(cmd.Run)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		lines := append(out.lines(), problems.lines()...) // errors are in the second
		lines = lines[max(0, len(lines)-maxLines):]
		return nil, &Failure{Step: step, Lines: lines, Advice: advice(strings.Join(lines, "\n")), Err: err}
	}
	return stdout.Bytes(), nil
}

// both passes what is written on to the result, within bounds, and to the tail.
type both struct {
	result *bytes.Buffer
	tail   *tail
}

// maxOutput is the maximum size of what a program prints as its result.
const maxOutput = 64 << 20

func (b *both) Write(p []byte) (int, error) {
	if b.result.Len()+len(p) <= maxOutput {
		b.result.Write(p)
	}
	return b.tail.Write(p)
}

const (
	maxLines = 12
	maxLine  = 300
)

// tail keeps the last lines that are written.
type tail struct {
	log func(string)

	mu      sync.Mutex
	last    []string
	pending []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range p {
		if c != '\n' && c != '\r' {
			if len(t.pending) < 4*maxLine {
				t.pending = append(t.pending, c)
			}
			continue
		}
		t.flush()
	}
	return len(p), nil
}

func (t *tail) flush() {
	line := printable.Line(withoutCredentials(string(t.pending)))
	t.pending = t.pending[:0]
	if line == "" {
		return
	}
	if t.log != nil {
		t.log(line)
	}
	if runes := []rune(line); len(runes) > maxLine {
		line = string(runes[:maxLine]) + "…"
	}
	if t.last = append(t.last, line); len(t.last) > maxLines {
		t.last = t.last[1:]
	}
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	return t.last
}

var credentials = regexp.MustCompile(`://[^/@\s"']+@`)

// withoutCredentials removes user names and passwords from URLs.
func withoutCredentials(text string) string { return credentials.ReplaceAllString(text, "://") }

// advices say what to do about common failures, by what an installer prints. The
// patterns are compiled when an installation fails: every start of quern would
// pay for them.
var advices = []struct{ pattern, text string }{
	{`(?i)no space left on device|os error 28|disk quota exceeded`,
		"The disk is full. Free some space, and run \"quern init\" again."},
	{`(?i)must have a hash`,
		"The lock file has no hash of this package. The index that it was made with publishes none: lock the dependencies with another index, such as PyPI."},
	{`(?i)do not match the hashes|hash mismatch|hashes? (are|is) (missing|required)`,
		"The index has a different file than the lock file, or the lock file has no wheel for this platform. Lock the dependencies again: with uv, \"uv lock\" covers all platforms."},
	{`(?i)requires a different python|requires-python|does not satisfy Python|incompatible with the .*requires`,
		"Install a Python that the plugin supports, or name one in QUERN_PYTHON."},
	{`(?i)connection refused|connection error|failed to establish|name resolution|dns error|tcp connect|timed out|network is unreachable|max retries|Failed to fetch|error sending request`,
		"Check the connection and the settings of the index (PIP_INDEX_URL, UV_DEFAULT_INDEX, HTTPS_PROXY). Without a network, quern installs what an earlier installation left in the cache."},
	{`(?i)no matching distribution|no wheels with a matching|has no wheels|no (usable )?wheels|marked as .?--no-build|building source distributions is disabled|unsatisfiable|no solution found`,
		"The index has no wheel of this version for this platform and this Python. quern installs dependencies only from wheels. Lock a version that has one, or use another Python with QUERN_PYTHON."},
	{`(?i)ensurepip|python3-venv`,
		"Install the venv module of this Python (on Debian and Ubuntu, the package python3-venv), or install uv."},
}

func advice(output string) string {
	for _, a := range advices {
		if regexp.MustCompile(a.pattern).MatchString(output) {
			return a.text
		}
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// pythonIn returns the interpreter of a virtual environment.
func pythonIn(venv string) string { return filepath.Join(venv, "bin", "python") }
