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

// Secret is the arguments that a key comes from.
type Secret struct {
	APIKey        string   `quern:"api_key,sensitive,operational" doc:"The API key for the endpoint, from a variable with sensitive = true. Without api_key and api_key_command, the key comes from the environment."`
	APIKeyCommand []string `quern:"api_key_command,operational" doc:"A command that prints the API key, such as [\"pass\", \"show\", \"openai\"]. It runs when the key is first needed, and again if the endpoint rejects the key."`
}

// Key gets a model's key when it is needed. The key is never part of an error.
type Key struct {
	fixed   string
	command []string

	mu      sync.Mutex
	value   string
	fetched time.Time
}

// keyAge is how old a command's key has to be to be fetched again when the
// endpoint refuses it: many calls fail at once when a key expires.
const keyAge = 30 * time.Second

// Key returns the source of the key that the arguments, or else an environment
// variable, give.
func (s *Secret) Key(variable string) *Key {
	k := &Key{fixed: s.APIKey, command: s.APIKeyCommand}
	if k.fixed == "" && len(k.command) == 0 {
		k.fixed = os.Getenv(variable)
	}
	return k
}

// Get returns the key; "" where there is none.
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

// Missing says whether there is nothing to get a key from.
func (k *Key) Missing() bool { return k.fixed == "" && len(k.command) == 0 }

// run runs the command of a key. What it prints is in no error, for it may be
// a key.
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

// keyPatience is how long the command of a key may take: somebody may have to
// touch a device.
const keyPatience = time.Minute

// mostKey is how much the command of a key may print, in bytes.
const mostKey = 64 << 10

// keyOutput takes what the command of a key prints, and ends a command that
// prints too much.
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

// Refused notes that the endpoint refused the key. True: there may be another
// one now, so that another attempt makes sense.
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
	// hiddenKey is written in place of a key.
	hiddenKey = "(sensitive value)"
	// shortestKey: a shorter one would take ordinary words out of texts.
	shortestKey = 4
	// shortestEchoed is that for answers, which are data: the keys that local
	// endpoints take, such as "none" or "EMPTY", are ordinary words.
	shortestEchoed = 8
)

// Redact takes a key out of a text.
func Redact(text, key string) string {
	if len(key) < shortestKey {
		return text
	}
	return strings.ReplaceAll(text, key, hiddenKey)
}
