package provider

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Secret contains the arguments that a key comes from.
type Secret struct {
	APIKey        string   `quern:"api_key,sensitive,operational" doc:"The API key for the endpoint, from a variable with sensitive = true. Without api_key and api_key_command, the key comes from the environment."`
	APIKeyCommand []string `quern:"api_key_command,operational" doc:"A command that prints the API key, such as [\"pass\", \"show\", \"openai\"]. It runs when the key is first needed, and again if the endpoint rejects the key."`
}

// Key gets a model's key when it is needed. Errors never contain the key.
type Key struct {
	fixed   string
	command []string

	mu      sync.Mutex
	value   string
	fetched time.Time
}

// keyAge is the minimum age at which a command's key is fetched again if the
// endpoint refuses it. When a key expires, many calls fail at once.
const keyAge = 30 * time.Second

// Key returns the source of the key: the arguments or else an environment
// variable.
func (s *Secret) Key(variable string) *Key {
	k := &Key{fixed: s.APIKey, command: s.APIKeyCommand}
	if k.fixed == "" && len(k.command) == 0 {
		k.fixed = os.Getenv(variable)
	}
	return k
}

// Get returns the key, or "" if there is none.
func (k *Key) Get(ctx context.Context) (string, error) {
	if len(k.command) == 0 || k.fixed != "" {
		return k.fixed, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.value != "" {
		return k.value, nil
	}
	value, err := run(ctx, k.command)
	if err != nil {
		return "", err
	}
	k.value, k.fetched = value, time.Now()
	return value, nil
}

// Missing reports whether there is no source for a key.
func (k *Key) Missing() bool { return k.fixed == "" && len(k.command) == 0 }

// run runs the command for a key. Errors do not contain what it prints, because
// that may be a key.
func run(ctx context.Context, command []string) (string, error) {
	limited, cancel := context.WithTimeout(ctx, keyPatience)
	defer cancel()
	cmd := exec.CommandContext(limited, command[0], command[1:]...)
	cmd.WaitDelay = time.Second
	out := &keyOutput{end: cancel}
	cmd.Stdout = out
	err := cmd.Run()
	switch {
	case out.full:
		return "", &llm.CallError{Message: fmt.Sprintf("api_key_command %q printed more than %d bytes; it must print the key on a single line", command[0], mostKey)}
	case limited.Err() != nil && ctx.Err() == nil:
		return "", &llm.CallError{Message: fmt.Sprintf("api_key_command %q did not finish within %s", command[0], keyPatience)}
	case err != nil:
		return "", &llm.CallError{Message: fmt.Sprintf("api_key_command %q failed: %s", command[0], err)}
	}
	value := strings.TrimSpace(string(out.text))
	if value == "" || strings.ContainsAny(value, "\r\n") {
		return "", &llm.CallError{Message: fmt.Sprintf("api_key_command %q must print the key on a single line", command[0])}
	}
	return value, nil
}

// keyPatience is the maximum time for a command that returns a key. Somebody
// may have to touch a device.
const keyPatience = time.Minute

// mostKey is the maximum length of what the command may print, in bytes.
const mostKey = 64 << 10

// keyOutput collects what the command prints, and kills a command that prints
// too much.
type keyOutput struct {
	text []byte
	end  func()
	full bool
}

func (o *keyOutput) Write(b []byte) (int, error) {
	if len(o.text)+len(b) > mostKey {
		o.full = true
		o.end()
		return 0, io.ErrShortWrite
	}
	o.text = append(o.text, b...)
	return len(b), nil
}

// Refused records that the endpoint refused the key. It returns true if another
// attempt makes sense because there may be a new key.
func (k *Key) Refused() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fixed != "" || len(k.command) == 0 || k.value == "" {
		return false
	}
	if time.Since(k.fetched) < keyAge {
		return false
	}
	k.value = ""
	return true
}

const (
	// hiddenKey replaces a key.
	hiddenKey = "(sensitive value)"
	// shortestKey is the minimum length of a key to redact. Redacting a shorter
	// key would remove ordinary words from texts.
	shortestKey = 4
	// shortestEchoed is the same for answers, which are data: local endpoints
	// accept ordinary words as keys, such as "none" or "EMPTY".
	shortestEchoed = 8
)

// Redact replaces a key in a text.
func Redact(text, key string) string {
	if len(key) < shortestKey {
		return text
	}
	return strings.ReplaceAll(text, key, hiddenKey)
}
