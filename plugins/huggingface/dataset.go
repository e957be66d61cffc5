package huggingface

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/plugins/provider"
)

// dataset is a repository with a dataset.
type dataset struct {
	*hub
	repo string
}

// datasetFile is a file of a commit.
type datasetFile struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	// OID is the SHA-256 of a file in the LFS storage, and Git's hash of another.
	OID string `json:"oid"`
}

// version identifies the content, wherever it is.
func (f datasetFile) version() string { return f.OID }

// listed is what a commit contains.
type listed struct {
	Files []datasetFile `json:"files"`
	// Card is the text of README.md.
	Card string `json:"card"`
}

// offline reports whether nothing may be requested.
func offline() bool {
	switch strings.ToLower(os.Getenv("HF_HUB_OFFLINE")) {
	case "1", "true", "yes", "on":
		return true
	}
	return false
}

// commitOf returns the commit that a branch or tag refers to.
func (d *dataset) commitOf(ctx context.Context, revision string) (string, error) {
	if offline() {
		text, err := os.ReadFile(filepath.Join(d.cached(), "refs", filepath.FromSlash(revision)))
		if err != nil {
			return "", fmt.Errorf("look up %s at %s: %w", d.repo, revision, errOffline)
		}
		return strings.TrimSpace(string(text)), nil
	}
	var found struct {
		Commit string `json:"sha"`
	}
	if err := d.call(ctx, http.MethodGet, "/api/datasets/"+d.repo+"/revision/"+url.PathEscape(revision), nil, &found); err != nil {
		return "", d.explain(fmt.Sprintf("look up %s at %s", d.repo, revision), err)
	}
	if !isCommit(found.Commit) {
		return "", fmt.Errorf("look up %s at %s: the Hub returned no commit", d.repo, revision)
	}
	return found.Commit, nil
}

// explain adds what was done to an error, and what may help.
func (d *dataset) explain(doing string, err error) error {
	switch provider.StatusOf(err) {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return fmt.Errorf("%s: %w\nThe dataset or revision does not exist, or the token may not see it. Set token, or HF_TOKEN, and accept the terms of a gated dataset on its page.", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// list returns what a commit contains. A commit never changes, so it is listed
// once.
func (d *dataset) list(ctx context.Context, commit string) (*listed, error) {
	file := d.listFile(commit)
	out := &listed{}
	if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, out) == nil {
		return out, nil
	}
	if offline() {
		return d.listCache(commit)
	}
	out = &listed{}
	if err := d.listHub(ctx, commit, out); err != nil {
		return nil, d.explain("list the files of "+d.repo, err)
	}
	if file != "" && os.MkdirAll(filepath.Dir(file), 0o700) == nil {
		if text, err := json.Marshal(out); err == nil {
			_ = renameio.WriteFile(file, text, 0o600)
		}
	}
	return out, nil
}

// listFile returns where the list of a commit is kept, or "".
func (d *dataset) listFile(commit string) string {
	root := os.Getenv(files.CacheVariable)
	if root == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(d.endpoint + "\n" + d.repo + "\n" + commit))
	return filepath.Join(root, "huggingface", hex.EncodeToString(sum[:16])+".json")
}

// listHub lists a commit with requests to the Hub.
func (d *dataset) listHub(ctx context.Context, commit string, out *listed) error {
	next := d.endpoint + "/api/datasets/" + d.repo + "/tree/" + commit + "?recursive=true"
	for next != "" {
		resp, err := d.send(ctx, http.MethodGet, next, nil, "")
		if err != nil {
			return err
		}
		var page []struct {
			entry
			Size int64 `json:"size"`
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		resp.Body.Close()
		if err != nil {
			return err
		}
		for _, e := range page {
			if e.Type != "file" {
				continue
			}
			f := datasetFile{Path: e.Path, Size: e.Size, OID: e.OID}
			if e.LFS != nil {
				f.OID = e.LFS.OID
			}
			out.Files = append(out.Files, f)
		}
		if next, err = nextPage(d.endpoint, resp.Header); err != nil {
			return err
		}
	}
	out.sort()
	if !slices.ContainsFunc(out.Files, func(f datasetFile) bool { return f.Path == cardFile }) {
		return nil
	}
	resp, err := d.send(ctx, http.MethodGet, d.address(commit, cardFile), nil, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	card, err := io.ReadAll(io.LimitReader(resp.Body, maxCard))
	out.Card = string(card)
	return err
}

// maxCard is the maximum length of a card that is read, in bytes.
const maxCard = 4 << 20

func (l *listed) sort() {
	slices.SortFunc(l.Files, func(a, b datasetFile) int { return cmp.Compare(a.Path, b.Path) })
}

// address returns the address of a file's content.
func (d *dataset) address(commit, path string) string {
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return d.endpoint + "/datasets/" + d.repo + "/resolve/" + commit + "/" + strings.Join(parts, "/")
}

// cached returns the folder of the repository in the cache of huggingface_hub.
func (d *dataset) cached() string {
	root := os.Getenv("HF_HUB_CACHE")
	if root == "" {
		home := os.Getenv("HF_HOME")
		if home == "" {
			user, err := os.UserHomeDir()
			if err != nil {
				return ""
			}
			home = filepath.Join(user, ".cache", "huggingface")
		}
		root = filepath.Join(home, "hub")
	}
	return filepath.Join(root, "datasets--"+strings.ReplaceAll(d.repo, "/", "--"))
}

// listCache lists the files of a commit in the cache.
func (d *dataset) listCache(commit string) (*listed, error) {
	root := filepath.Join(d.cached(), "snapshots", commit)
	out := &listed{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f, ok := d.inCache(commit, filepath.ToSlash(name))
		if ok {
			out.Files = append(out.Files, f)
		}
		if f.Path == cardFile {
			text, err := os.ReadFile(path)
			out.Card = string(text)
			return err
		}
		return nil
	})
	if err != nil || len(out.Files) == 0 {
		return nil, fmt.Errorf("list the files of %s at %s: %w", d.repo, commit, errOffline)
	}
	out.sort()
	return out, nil
}

// inCache describes a file in the cache: a link to a file that is named after its
// hash.
func (d *dataset) inCache(commit, name string) (datasetFile, bool) {
	path := filepath.Join(d.cached(), "snapshots", commit, filepath.FromSlash(name))
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return datasetFile{}, false
	}
	target, err := os.Readlink(path)
	if err != nil {
		return datasetFile{}, false
	}
	return datasetFile{Path: name, Size: info.Size(), OID: filepath.Base(target)}, true
}

// open opens the content of a file: in the cache, or on the Hub.
func (d *dataset) open(ctx context.Context, commit string, f datasetFile) (files.Content, error) {
	if there, ok := d.inCache(commit, f.Path); ok && there == f {
		return os.Open(filepath.Join(d.cached(), "snapshots", commit, filepath.FromSlash(f.Path)))
	}
	if offline() {
		return nil, fmt.Errorf("open %s: %w", f.Path, errOffline)
	}
	return files.Ranged(ctx, "huggingface "+f.version(), f.Size, func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
		resp, err := retry(ctx, func() (*http.Response, error) {
			return d.ranged(ctx, d.address(commit, f.Path), offset, length)
		})
		if err != nil {
			return nil, files.Permanent(d.explain("read "+f.Path, err))
		}
		return resp.Body, nil
	}), nil
}

// transfers follows redirects to the Hub's storage, without the token. Go itself
// would pass it on to subdomains and other ports.
var transfers = &http.Client{CheckRedirect: func(next *http.Request, via []*http.Request) error {
	if next.URL.Host != via[0].URL.Host || next.URL.Scheme != via[0].URL.Scheme {
		next.Header.Del("Authorization")
	}
	if len(via) > 10 {
		return errors.New("it redirects more than 10 times")
	}
	return nil
}}

// ranged requests a range of a file.
func (d *dataset) ranged(ctx context.Context, address string, offset, length int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	req.Header.Set("User-Agent", "quern")
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	resp, err := provider.Successful(transfers.Do(req))
	if at := (*url.Error)(nil); errors.As(err, &at) {
		return nil, at.Err // without the address, which is signed
	}
	if err == nil && resp.StatusCode != http.StatusPartialContent && (offset > 0 || resp.ContentLength > length) {
		resp.Body.Close()
		return nil, &provider.Refusal{Status: http.StatusNotImplemented, Message: "the storage does not send ranges"}
	}
	return resp, err
}
