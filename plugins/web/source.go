package web

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const doc = `Reads rows from files on web servers, by HTTP or HTTPS.

A refresh makes one conditional request for each file, with the ` + "`ETag`" + ` or ` + "`Last-Modified`" + ` that the server sent before. A file from a server that sends neither is downloaded and compared by its digest at each refresh; a warning says so. Planning reads only the beginning of a large file. An apply downloads it to the store's folder ` + "`transfers`" + `, where an interrupted download continues, and which you can delete at any time.

Each file is a part: if one of many changes, only that one is downloaded and read. Requests that fail temporarily are repeated, after the time that the server asks for. Redirects to another server do not pass on ` + "`headers`" + `.

` + "```hcl" + `
source "http" "tickets" {
  url      = "https://data.example.com/tickets.csv.gz"
  headers  = { Authorization = "Bearer ${var.token}" }
  checksum = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
}
` + "```"

type args struct {
	URL      string   `quern:"url,operational" doc:"The address of the file. For several files, set urls instead. Addresses and headers do not count as a change: only the content does."`
	URLs     []string `quern:"urls,operational" doc:"The addresses of several files, in the order of their rows. Columns are matched by name, and are null for files that lack them."`
	Checksum string   `quern:"checksum" doc:"The SHA-256 of the file at url, as \"sha256:\" and 64 hexadecimal digits. A file with another checksum is refused. Refreshing makes no request, because the content cannot change."`
	provider.Headers
	MaxSize int64 `quern:"max_size,operational" default:"65536" doc:"The maximum size of a file in MiB. A larger one is refused."`
	files.Format
}

func (a *args) addresses() []string {
	if a.URL != "" {
		return []string{a.URL}
	}
	return a.URLs
}

type objects struct{}

// Prepare checks the arguments.
func (objects) Prepare(_ context.Context, p *plugin.Prepare[args]) (bool, error) {
	a := p.Args
	for _, argument := range []string{"urls", "checksum", "headers", "max_size"} {
		if !p.Known(argument) {
			p.Errorf(argument, "The %s of a source must be known when planning\nIt depends on a stage that has not been applied yet. Use a value that does not come from another stage.", argument)
			return false, nil
		}
	}
	switch {
	case (a.URL == "") == (len(a.URLs) == 0):
		p.Errorf("", "Set either url or urls\nurl is the address of one file, and urls lists those of several.")
	case a.Checksum != "" && a.URL == "":
		p.Errorf("checksum", "A checksum needs url\nIt is the checksum of a single file. Read each file with a source of its own to give it a checksum.")
	case a.Checksum != "" && digestOf(a.Checksum) == "":
		p.Errorf("checksum", "%q is not a valid checksum\nWrite \"sha256:\" and 64 hexadecimal digits, as sha256sum prints them.", a.Checksum)
	case a.MaxSize < 1:
		p.Errorf("max_size", "A file cannot be at most %d MiB\nmax_size must be a whole number, 1 or more.", a.MaxSize)
	case a.Problem() != "":
		p.Errorf("headers", "%s", a.Problem())
	default:
		return checkAddresses(p), nil
	}
	return false, nil
}

func checkAddresses(p *plugin.Prepare[args]) bool {
	argument := "url"
	if p.Args.URL == "" {
		argument = "urls"
	}
	seen := map[string]bool{}
	for _, address := range p.Args.addresses() {
		switch u := provider.URL(address); {
		case u == nil:
			p.Errorf(argument, "%q is not a valid address\nAn address begins with https:// or http://, followed by the name of a server.", address)
		case u.User != nil:
			p.Errorf(argument, "The address contains a user name or password\nSet headers = { Authorization = ... } from a sensitive variable instead.")
		case seen[address]:
			p.Errorf(argument, "%s is listed twice\nIts rows would be read twice. List each address once.", public(u))
		default:
			seen[address] = true
			continue
		}
		return false
	}
	return true
}

// digestOf returns the hexadecimal digits of a checksum, or "" if it is not valid.
func digestOf(checksum string) string {
	digits, ok := strings.CutPrefix(strings.ToLower(checksum), "sha256:")
	if b, err := hex.DecodeString(digits); !ok || err != nil || len(b) != 32 {
		return ""
	}
	return digits
}

// public returns an address without the parts that can contain a secret.
func public(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// memory contains what was known about files at the last listing, by address.
type memory map[string]version

// refreshes is the number of files that are refreshed at the same time.
const refreshes = 8

// List makes a conditional request for each file.
func (objects) List(ctx context.Context, a *args, memo []byte) (*files.Listing, error) {
	before := memory{}
	_ = json.Unmarshal(memo, &before)
	addresses := a.addresses()
	found := make([]*remote, len(addresses))
	group, within := parallel.WithContext(ctx)
	group.SetLimit(refreshes)
	for i, address := range addresses {
		group.Go(func() (err error) {
			found[i], err = a.remote(address)
			if err != nil {
				return err
			}
			defer found[i].place.lock()()
			return found[i].refresh(within, before[found[i].key()])
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return listing(ctx, found)
}

func listing(ctx context.Context, found []*remote) (*files.Listing, error) {
	list, now := &files.Listing{}, memory{}
	for _, r := range found {
		now[r.key()] = r.now
		list.Objects = append(list.Objects, files.Object{
			Name: r.name, Size: r.now.Size, Version: r.identity(),
			Open:     func() (files.Content, error) { return r.open(ctx) },
			Transfer: func(ctx context.Context, progress func(int64)) error { return r.transfer(ctx, progress) },
		})
	}
	var err error
	list.Memo, err = json.Marshal(now)
	return list, err
}

// remote returns a file of a server.
func (a *args) remote(address string) (*remote, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	a.Add(header)
	return &remote{
		address: address, name: public(u), place: placeOf(address), max: a.MaxSize << 20, want: digestOf(a.Checksum),
		client: client(header), header: header,
	}, nil
}
