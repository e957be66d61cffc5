// Package modules fetches the packages that modules come from: Git
// repositories, archives over HTTP or in object stores, and artifacts of OCI
// registries.
//
// A package is a tree of files that contains one or more modules. What is fetched
// is not trusted: files and links that lead out of the tree, and trees with too
// many or too large files, are errors, and nothing that comes with a package is
// run. Nothing asks questions, and no message contains a credential.
package modules

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Source is where a module comes from, as parsed from the source of a module block.
type Source struct {
	// Package identifies the package that contains the module: the source without
	// Folder. It is empty if the source is a local folder.
	Package string
	// Folder is the module's folder within its package, with slashes. It is empty
	// for the package's topmost folder. One of its parts may be *, which
	// stands for the only folder at its place. If the source is local, it is the
	// folder relative to that of the calling module.
	Folder string

	origin origin
}

// Local reports whether the source is a folder relative to the calling module.
func (s *Source) Local() bool { return s.Package == "" }

// Versioned reports whether a version can be chosen for the source. The error says
// why not.
func (s *Source) Versioned() error {
	if s.Local() {
		return fmt.Errorf("the source is a local folder, which has no versions")
	}
	return s.origin.versioned()
}

// Name returns a name for the package's folder: the last part of its address.
func (s *Source) Name() string {
	name := path.Base(strings.TrimSuffix(s.origin.address(), "/"))
	for _, suffix := range []string{".git", ".zip", ".tar", ".gz", ".tgz", ".xz", ".zst", ".tar"} {
		name = strings.TrimSuffix(name, suffix)
	}
	name = strings.Trim(notInNames().ReplaceAllString(name, "-"), "-.")
	if name == "" {
		return "module"
	}
	return name
}

var notInNames = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^A-Za-z0-9._-]+`) })

// hosts are those whose repositories can be written without a scheme.
var hosts = []string{"github.com", "gitlab.com", "bitbucket.org", "codeberg.org"}

// scp matches the address of a repository as ssh has it: git@host:path.
var scp = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([A-Za-z0-9_.-]+@)?([A-Za-z0-9.-]+):([^:].*)$`) })

// forms says how a source is written.
const forms = `Write a folder as "./NAME" or "../NAME", a Git repository as "git::https://HOST/REPOSITORY.git//FOLDER?ref=TAG", an archive as "https://HOST/FILE.zip", or an OCI artifact as "oci://REGISTRY/REPOSITORY".`

// Parse parses the source of a module block.
func Parse(text string) (*Source, error) {
	if isLocal(text) {
		return &Source{Folder: path.Clean(text)}, nil
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, fmt.Errorf("%q contains a space or a control character", text)
	}
	forced, address := "", text
	if before, after, ok := strings.Cut(text, "::"); ok {
		forced, address = before, after
	}
	address, query, _ := strings.Cut(address, "?")
	address, folder := splitFolder(address)
	if err := checkFolder(folder); err != nil {
		return nil, err
	}
	forced, address = written(forced, address)
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%q is not the address of a module: %s", text, forms) // the error may contain a password
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("the query of %q is malformed", Redact(text))
	}
	if _, secret := u.User.Password(); secret {
		return nil, fmt.Errorf("%q contains a password; remove it, and let Git's credential helper, ~/.netrc, or Docker's configuration provide it", Redact(text))
	}
	o, err := originOf(forced, u, values)
	if err != nil {
		return nil, err
	}
	return &Source{Package: packageOf(forced, address, values), Folder: folder, origin: o}, nil
}

func isLocal(text string) bool {
	return text == "." || text == ".." || strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../")
}

// splitFolder splits an address at the // that is not part of its scheme.
func splitFolder(address string) (before, folder string) {
	from := 0
	if i := strings.Index(address, "://"); i >= 0 {
		from = i + len("://")
	}
	i := strings.Index(address[from:], "//")
	if i < 0 {
		return address, ""
	}
	return address[:from+i], strings.Trim(address[from+i:], "/")
}

func checkFolder(folder string) error {
	if folder == "" {
		return nil
	}
	if path.Clean(folder) != folder || slices.Contains(strings.Split(folder, "/"), "..") || strings.Contains(folder, `\`) {
		return fmt.Errorf("the folder %q after // must be a plain path within the package, without . and ..", folder)
	}
	return nil
}

// written resolves the short forms of addresses of repositories.
func written(forced, address string) (string, string) {
	if strings.Contains(address, "://") {
		return forced, address
	}
	if host, _, ok := strings.Cut(address, "/"); ok && slices.Contains(hosts, host) && (forced == "" || forced == "git") {
		if !strings.HasSuffix(address, ".git") {
			address += ".git"
		}
		return "git", "https://" + address
	}
	if m := scp().FindStringSubmatch(address); m != nil && (forced == "git" || forced == "" && m[1] != "") {
		return "git", "ssh://" + m[1] + m[2] + "/" + strings.TrimPrefix(m[3], "/")
	}
	return forced, address
}

// packageOf returns the canonical text of a source without its folder.
func packageOf(forced, address string, values url.Values) string {
	if forced != "" {
		address = forced + "::" + address
	}
	if len(values) > 0 {
		address += "?" + values.Encode()
	}
	return address
}

func originOf(forced string, u *url.URL, query url.Values) (origin, error) {
	if forced == "" && strings.HasSuffix(u.Path, ".git") && u.Scheme != "oci" {
		forced = "git"
	}
	switch {
	case forced == "git":
		return newRepository(u, query)
	case forced == "s3", forced == "gcs", forced == "azure":
		return newObject(forced, u, query)
	case forced != "":
		return nil, fmt.Errorf("quern does not know the kind of source %q. %s", forced, forms)
	case u.Scheme == "oci":
		return newArtifact(u, query)
	case u.Scheme == "https", u.Scheme == "http":
		return newArchive(u, query)
	case u.Scheme == "ssh", u.Scheme == "file":
		return nil, fmt.Errorf("for a Git repository, write \"git::%s\"", Redact(u.String()))
	}
	if u.Scheme == "" {
		return nil, fmt.Errorf("%q is not the source of a module. %s", u.Path, forms)
	}
	return nil, fmt.Errorf("quern does not know the scheme %q. %s", u.Scheme, forms)
}

// take removes parameters from a query, and returns an error if others remain.
func take(query url.Values, what string, names ...string) (map[string]string, error) {
	out := map[string]string{}
	for name, values := range query {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("%s has no parameter %q; its parameters are: %s", what, name, strings.Join(names, ", "))
		}
		if len(values) != 1 || values[0] == "" {
			return nil, fmt.Errorf("the parameter %q must have one value", name)
		}
		out[name] = values[0]
	}
	return out, nil
}

var (
	userInfo = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(://)[^/@\s'"]*@`) })
	queries  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(://[^\s'"?]*\?)[^\s'"]*`) })
)

// Redact removes what may be a credential from the addresses in a text: users,
// passwords, and queries.
func Redact(text string) string {
	return queries().ReplaceAllString(userInfo().ReplaceAllString(text, "$1"), "$1…")
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
