package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Pattern contains the argument that says which objects of a bucket are read.
type Pattern struct {
	Path string `quern:"path,required,operational" doc:"The object, or a pattern for several objects: '*' matches any part of a name up to a '/', '**' any folders. Rows are in the order of the objects' names. Objects may have different columns: columns are matched by name, and are null for objects that lack them."`
}

func (p *Pattern) pattern() string { return p.Path }

// object is an object of a bucket.
type object struct {
	name string
	size int64
	// version identifies the content among all objects of all buckets.
	version string
	// match is what a request must match to read this version.
	match string
}

// bucket lists and reads objects.
type bucket interface {
	// list returns the objects whose names begin with a prefix.
	list(ctx context.Context, prefix string) ([]object, error)
	// get requests a range of the version that was listed. An error that another
	// attempt would not change is a files.Permanent one.
	get(ctx context.Context, o object, offset, length int64) (io.ReadCloser, error)
}

// writable is a bucket whose objects can also be written.
type writable interface {
	bucket
	// read returns an object and what a request must match to replace it; nil if it
	// does not exist.
	read(ctx context.Context, name string) (content []byte, match string, err error)
	// put writes an object at once: readers see the old or the new one. It returns
	// errChanged if the condition is not met.
	put(ctx context.Context, name string, content io.ReadSeeker, size int64, when *condition) error
	// remove removes an object, if it exists.
	remove(ctx context.Context, name string) error
}

// condition says which version of an object is replaced; empty: there is none.
type condition struct{ match string }

// contentType is the media type of an object, by its name.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".json":
		return "application/json"
	case ".jsonl":
		return "application/x-ndjson"
	case ".csv":
		return "text/csv; charset=utf-8"
	case ".md":
		return "text/markdown; charset=utf-8"
	case ".parquet":
		return "application/vnd.apache.parquet"
	}
	return "text/plain; charset=utf-8"
}

// arguments are the arguments of a source of objects.
type arguments[A any] interface {
	*A
	pattern() string
	// check reports mistakes in the arguments of the bucket.
	check(p *plugin.Prepare[A]) bool
	// open returns the bucket. identity names it and the service that it is in.
	open(ctx context.Context) (b bucket, identity string, err error)
}

// objects finds the objects of a bucket.
type objects[A any, P arguments[A]] struct{}

// Prepare checks the arguments.
func (objects[A, P]) Prepare(_ context.Context, p *plugin.Prepare[A]) (bool, error) {
	pattern := P(p.Args).pattern()
	switch {
	case !P(p.Args).check(p):
		return false, nil
	case strings.HasSuffix(pattern, "/"):
		p.Errorf("path", "%q is a folder\nUse a pattern to read its objects, such as %q.", pattern, pattern+"*")
		return false, nil
	case strings.HasPrefix(pattern, "/") || strings.Contains(pattern, "://"):
		p.Errorf("path", "%q is not the name of an object\nA name has neither the bucket nor a / at its start.", pattern)
		return false, nil
	case !doublestar.ValidatePattern(pattern):
		p.Errorf("path", "%q is not a valid pattern\nA bracket or brace is not closed. Write a backslash before a character that is part of a name.", pattern)
		return false, nil
	}
	return true, nil
}

// List lists the objects that match the pattern.
func (objects[A, P]) List(ctx context.Context, a *A, _ []byte) (*files.Listing, error) {
	b, identity, err := P(a).open(ctx)
	if err != nil {
		return nil, err
	}
	pattern := P(a).pattern()
	all, err := b.list(ctx, literalPrefix(pattern))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", identity, err)
	}
	all = slices.DeleteFunc(all, func(o object) bool { return strings.HasSuffix(o.name, "/") || !matches(pattern, o.name) })
	if len(all) == 0 {
		return nil, plugin.ArgumentErrorf("path", "No object of %s matches %q\n* matches any part of a name up to a /, and ** matches any folders. Upper and lower case differ.", identity, pattern)
	}
	slices.SortFunc(all, func(a, b object) int { return cmp.Compare(a.name, b.name) })
	list := &files.Listing{}
	for _, o := range all {
		list.Objects = append(list.Objects, files.Object{
			Name: o.name, Size: o.size, Version: o.version,
			Open: func() (files.Content, error) {
				return files.Ranged(ctx, identity+"/"+o.name+"@"+o.match, o.size, func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
					body, err := b.get(ctx, o, offset, length)
					return body, about(o.name, err)
				}), nil
			},
		})
	}
	return list, nil
}

// about adds the name of an object to an error.
func about(name string, err error) error {
	if errors.Is(err, errChanged) {
		return files.Permanent(fmt.Errorf("%s changed while it was read\nMake a new plan.", name))
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// errChanged says that an object has another version than the one listed.
var errChanged = errors.New("the object has changed")

// matches reports whether a pattern is the name of an object or matches it.
func matches(pattern, name string) bool {
	ok, err := doublestar.Match(pattern, name)
	return name == pattern || err == nil && ok
}

// literalPrefix returns what all names that a pattern matches begin with.
func literalPrefix(pattern string) string {
	if i := strings.IndexAny(pattern, `*?[{\`); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

// checkBucket reports whether the name and the endpoint of a bucket are valid, and
// otherwise adds an error to p.
func checkBucket(p problems, name, endpoint string) bool {
	switch {
	case name == "" || strings.ContainsAny(name, "/:"):
		p.Errorf("bucket", "%q is not the name of a bucket\nWrite only the name, and the rest of the address in path.", name)
	case endpoint != "" && provider.URL(endpoint) == nil:
		p.Errorf("endpoint", "%q is not a valid address\nAn address begins with https:// or http://, followed by the name of a server.", endpoint)
	default:
		return true
	}
	return false
}

// problems collects what is wrong with arguments.
type problems interface {
	Errorf(argument, format string, values ...any)
}
