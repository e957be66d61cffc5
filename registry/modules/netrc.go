package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// fromNetrc adds the login and the password of a host in the file .netrc of the user, or
// in the file that NETRC names, as curl -n does. Passwords are never sent in clear text
// over a network.
func fromNetrc(_ context.Context, r *http.Request) error {
	if r.URL.Scheme != "https" && !isLoopback(r.URL.Host) {
		return nil
	}
	name := os.Getenv("NETRC")
	if name == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil // without a home, there is no file
		}
		name = filepath.Join(home, ".netrc")
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read credentials: %w", err)
	}
	if login, password, ok := netrcOf(string(text), r.URL.Hostname()); ok {
		r.SetBasicAuth(login, password)
	}
	return nil
}

// netrcOf returns the first entry for a host in the text of a .netrc file, or that for
// all other hosts.
func netrcOf(text, host string) (login, password string, ok bool) {
	words := netrcWords(text)
	here := false
	for i := 0; i < len(words); i++ {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch words[i] {
		case "machine", "default":
			if here {
				return login, password, true
			}
			if here = words[i] == "default"; !here {
				here = strings.EqualFold(next, host)
				i++
			}
		case "login", "password", "account":
			if here && words[i] == "login" {
				login = next
			}
			if here && words[i] == "password" {
				password = next
			}
			i++
		}
	}
	return login, password, here
}

// netrcWords splits the text into words. It leaves out comments and macros, which end
// with an empty line.
func netrcWords(text string) (words []string) {
	macro := false
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
			macro = false
			continue
		case macro || strings.HasPrefix(fields[0], "#"):
			continue
		}
		for i, w := range fields {
			if w == "macdef" {
				macro = true
				fields = fields[:i]
				break
			}
		}
		words = append(words, fields...)
	}
	return words
}
