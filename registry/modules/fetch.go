package modules

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"sync"

	"github.com/hashicorp/go-version"
)

// Release is a state of a package that never changes.
type Release struct {
	// Version is the version that was chosen, or empty if the source has no
	// versions.
	Version string
	// Pin is the commit of a repository or the digest of an artifact. An archive
	// has none: only the digest of its files identifies it.
	Pin string
}

// origin is a place that a package comes from.
type origin interface {
	// address is where the package is, without a query, for messages and names.
	address() string
	// versioned returns nil if the package has several versions to choose from.
	versioned() error
	// choose returns the newest release that satisfies constraints. Without
	// constraints, it returns the one that the source names.
	choose(ctx context.Context, constraints version.Constraints) (Release, error)
	// fetch writes the files of a release.
	fetch(ctx context.Context, r Release, to *writer) error
}

// Choose returns the release of a source's package to use: the newest version that
// satisfies constraints, or, without constraints, what the source names.
func Choose(ctx context.Context, s *Source, constraints version.Constraints) (Release, error) {
	if constraints != nil {
		if err := s.Versioned(); err != nil {
			return Release{}, err
		}
	}
	r, err := s.origin.choose(ctx, constraints)
	return r, explain(s, err)
}

// Fetch writes the files of a release into a new folder and returns the digest of
// its tree. If it fails, it leaves nothing.
func Fetch(ctx context.Context, s *Source, r Release, dir string) (digest string, err error) {
	w, err := newWriter(dir)
	if err != nil {
		return "", err
	}
	defer func() { w.close(err == nil) }()
	if err := s.origin.fetch(ctx, r, w); err != nil {
		return "", explain(s, err)
	}
	if err := w.check(); err != nil {
		return "", explain(s, err)
	}
	return Digest(dir)
}

// explain says what an error is about, and removes credentials from its text.
func explain(s *Source, err error) error {
	if err == nil {
		return nil
	}
	return &failure{text: Redact(fmt.Sprintf("%s: %s", s.origin.address(), err)), cause: err}
}

// failure is an error whose text was redacted.
type failure struct {
	text  string
	cause error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

// newest returns the index of the newest of some versions that satisfies
// constraints, or -1. Prereleases are chosen only if a
// constraint names one.
func newest(versions []*version.Version, constraints version.Constraints) int {
	best := -1
	for i, v := range versions {
		if !constraints.Check(v) {
			continue
		}
		if best < 0 || v.GreaterThan(versions[best]) {
			best = i
		}
	}
	return best
}

var tagVersion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^v?\d+\.\d+\.\d+([-+].*)?$`) })

// versionOf parses a tag as a version: 1.2.3 or v1.2.3.
func versionOf(tag string) *version.Version {
	if !tagVersion().MatchString(tag) {
		return nil
	}
	v, err := version.NewSemver(tag)
	if err != nil {
		return nil
	}
	return v
}

// noVersion says which versions exist.
func noVersion(versions []*version.Version, constraints version.Constraints) error {
	releases := slices.DeleteFunc(slices.Clone(versions), func(v *version.Version) bool { return v.Prerelease() != "" })
	if len(releases) == 0 {
		releases = versions
	}
	i := newest(releases, version.Constraints{})
	if i < 0 {
		return fmt.Errorf("no tag is a version, such as v1.2.0; remove version, or tag a release")
	}
	return fmt.Errorf("no version satisfies %q; the newest is %s", constraints, releases[i].Original())
}
