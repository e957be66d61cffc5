package python

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// The lock files that a project can have. The first one that exists counts.
const (
	pylock = "pylock.toml" // PEP 751
	uvlock = "uv.lock"
)

var lockFiles = []string{pylock, uvlock, "requirements.lock", "requirements.txt"}

// IsLockFile reports whether a file can be the lock file of a project.
func IsLockFile(name string) bool { return slices.Contains(lockFiles, name) }

// Lock is the lock file of a project: the exact versions of the packages that it
// depends on, with the digests of their wheels.
type Lock struct {
	// Name is the name of the file, and Digest that of its content.
	Name, Digest string

	dir     string
	content []byte
}

// FindLock returns the lock file in a project's folder, or nil if it has none.
func FindLock(dir string) (*Lock, error) {
	for _, name := range lockFiles {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// Without hashes, it names what the author would like to have.
		if strings.HasPrefix(name, "requirements") && !bytes.Contains(content, []byte("--hash=")) {
			continue
		}
		return newLock(dir, name, content), nil
	}
	return nil, nil
}

func newLock(dir, name string, content []byte) *Lock {
	sum := sha256.Sum256(content)
	return &Lock{Name: name, Digest: "sha256:" + hex.EncodeToString(sum[:]), dir: dir, content: content}
}

// generatedBy is in the lock files that quern itself had written. It may replace
// them.
const generatedBy = "quern init"

func (l *Lock) isGenerated() bool {
	head, _, _ := bytes.Cut(l.content, []byte("lock-version"))
	return l.Name == pylock && bytes.Contains(head, []byte(generatedBy))
}

// requirements returns the packages as requirements with hashes, which both uv
// and pip read.
func (l *Lock) requirements(ctx context.Context, uv *uv) ([]byte, error) {
	switch l.Name {
	case pylock:
		return l.fromPylock()
	case uvlock:
		if uv == nil {
			return nil, fmt.Errorf("%s can be read only by uv, which is in no folder of PATH; install uv, or export the lock for other tools: uv export --format pylock.toml -o %s", uvlock, pylock)
		}
		return uv.export(ctx, l.dir)
	}
	return l.content, l.checkRequirements()
}

var included = regexp.MustCompile(`(?m)^\s*(-r|-c|-e|--requirement|--constraint|--editable)\b.*$`)

// checkRequirements refuses what the lock's own digest would not cover.
func (l *Lock) checkRequirements() error {
	if line := included.Find(l.content); line != nil {
		return fmt.Errorf("%s has the line %q, which refers to files that the lock does not contain; write all packages into %s, with their hashes", l.Name, bytes.TrimSpace(line), l.Name)
	}
	return nil
}

type lockedPackage struct {
	Name      string         `toml:"name"`
	Version   string         `toml:"version"`
	Marker    string         `toml:"marker"`
	Wheels    []lockedFile   `toml:"wheels"`
	Sdist     *lockedFile    `toml:"sdist"`
	Archive   toml.Primitive `toml:"archive"`
	Directory *struct {
		Path string `toml:"path"`
	} `toml:"directory"`
	VCS *struct {
		URL string `toml:"url"`
	} `toml:"vcs"`
}

type lockedFile struct {
	Hashes map[string]string `toml:"hashes"`
}

func (l *Lock) fromPylock() ([]byte, error) {
	var file struct {
		Version  string          `toml:"lock-version"`
		Packages []lockedPackage `toml:"packages"`
	}
	if err := toml.Unmarshal(l.content, &file); err != nil {
		return nil, fmt.Errorf("read %s: %w", l.Name, err)
	}
	if major, _, _ := strings.Cut(file.Version, "."); major != "1" {
		return nil, fmt.Errorf("read %s: it has lock-version %q, but this version of quern supports 1.0", l.Name, file.Version)
	}
	var b bytes.Buffer
	for _, p := range file.Packages {
		line, err := p.requirement()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", l.Name, err)
		}
		b.WriteString(line + "\n")
	}
	return b.Bytes(), nil
}

func (p *lockedPackage) requirement() (string, error) {
	switch {
	case p.Directory != nil:
		return "", fmt.Errorf("package %s is the folder %s, which has no hash; build a wheel of it, and lock that", p.Name, p.Directory.Path)
	case p.VCS != nil:
		return "", fmt.Errorf("package %s comes from %s, which has no hash; build a wheel of it, and lock that", p.Name, p.VCS.URL)
	case p.Version == "" || len(p.Wheels) == 0:
		return "", fmt.Errorf("package %s has no version or no wheels; quern installs packages only from wheels", p.Name)
	}
	line := p.Name + "==" + p.Version
	if p.Marker != "" {
		line += " ; " + p.Marker
	}
	for _, w := range p.Wheels {
		sum := w.Hashes["sha256"]
		if sum == "" {
			return "", fmt.Errorf("a wheel of package %s has no SHA-256", p.Name)
		}
		line += " \\\n    --hash=sha256:" + sum
	}
	return line, nil
}

// reported is a package in the report of pip.
type reported struct {
	Download struct {
		URL     string `json:"url"`
		Archive *struct {
			Hashes map[string]string `json:"hashes"`
		} `json:"archive_info"`
	} `json:"download_info"`
	Metadata struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"metadata"`
}

// writePylock returns a lock file with packages that pip chose. It has the wheels
// of this platform only.
func writePylock(requiresPython string, packages []reported) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# This file was generated by %s with pip, for this platform. Keep it in version\n# control. To lock the packages for all platforms, install uv.\n", generatedBy)
	fmt.Fprintf(&b, "lock-version = \"1.0\"\ncreated-by = \"quern\"\n")
	if requiresPython != "" {
		fmt.Fprintf(&b, "requires-python = %q\n", requiresPython)
	}
	slices.SortFunc(packages, func(a, b reported) int {
		return strings.Compare(normalized(a.Metadata.Name), normalized(b.Metadata.Name))
	})
	for _, p := range packages {
		sum := ""
		if p.Download.Archive != nil {
			sum = p.Download.Archive.Hashes["sha256"]
		}
		if sum == "" {
			return nil, fmt.Errorf("package %s comes from %s, which has no hash", p.Metadata.Name, withoutCredentials(p.Download.URL))
		}
		fmt.Fprintf(&b, "\n[[packages]]\nname = %q\nversion = %q\n\n[[packages.wheels]]\n", p.Metadata.Name, p.Metadata.Version)
		if strings.HasPrefix(p.Download.URL, "https://") || strings.HasPrefix(p.Download.URL, "http://") {
			fmt.Fprintf(&b, "url = %q\n", withoutCredentials(p.Download.URL))
		} else {
			fmt.Fprintf(&b, "path = %q\n", strings.TrimPrefix(p.Download.URL, "file://"))
		}
		fmt.Fprintf(&b, "hashes = { sha256 = %q }\n", sum)
	}
	return b.Bytes(), nil
}
