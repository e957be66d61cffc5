package huggingface

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/quern-dev/quern/plugins/provider"
)

// hub is the HTTP API of a Hugging Face Hub.
type hub struct{ endpoint, token string }

// isMissing reports whether a repository or branch does not exist, or the token may
// not see it.
func isMissing(err error) bool { return provider.StatusOf(err) == http.StatusNotFound }

// repo is a branch of a repository.
type repo struct {
	Commit  string `json:"sha"`
	Private bool   `json:"private"`
	// Card is the metadata of the model card.
	Card struct {
		Artifact string `json:"quern_artifact"`
	} `json:"cardData"`
	Files []struct {
		Name string `json:"rfilename"`
	} `json:"siblings"`
}

// isForeign reports whether the branch contains files that quern did not
// publish. The Hub itself adds .gitattributes.
func (r *repo) isForeign() bool {
	for _, f := range r.Files {
		if f.Name != ".gitattributes" && r.Card.Artifact == "" {
			return true
		}
	}
	return false
}

// target is a branch of a repository.
type target struct {
	// Kind is datasetKind, or empty for a model.
	Kind     string `json:"kind,omitempty"`
	Repo     string `json:"repo"`
	Revision string `json:"revision"`
}

// datasetKind is the Hub's name for repositories of datasets.
const datasetKind = "dataset"

// kind is the Hub's name for the kind of repository.
func (t *target) kind() string { return cmp.Or(t.Kind, "model") }

// api is the path of the repository in the Hub's API.
func (t *target) api() string { return "/api/" + t.kind() + "s/" + t.Repo }

// page is the path of the repository for people and Git.
func (t *target) page() string {
	if t.Kind == datasetKind {
		return "/datasets/" + t.Repo
	}
	return "/" + t.Repo
}

func (h *hub) repo(ctx context.Context, t *target) (*repo, error) {
	out := &repo{}
	if err := h.call(ctx, http.MethodGet, t.api()+"/revision/"+url.PathEscape(t.Revision), nil, out); err != nil {
		return nil, fmt.Errorf("look up %s at %s: %w", t.Repo, t.Revision, err)
	}
	return out, nil
}

// ensure creates the repository and the branch if they do not exist, and returns
// the branch.
func (h *hub) ensure(ctx context.Context, n *notes, private bool) (*repo, error) {
	found, err := h.repo(ctx, &n.target)
	if !isMissing(err) {
		return found, err
	}
	owner, name, _ := strings.Cut(n.Repo, "/")
	visibility := "public"
	if private {
		visibility = "private"
	}
	err = h.call(ctx, http.MethodPost, "/api/repos/create", map[string]any{"name": name, "organization": owner, "type": n.kind(), "visibility": visibility}, nil)
	n.Created = err == nil
	if err != nil && !isConflict(err) {
		return nil, fmt.Errorf("create the repository %s: %w", n.Repo, err)
	}
	if n.Revision != "main" {
		err := h.call(ctx, http.MethodPost, n.api()+"/branch/"+url.PathEscape(n.Revision), map[string]any{}, nil)
		n.Branched = err == nil
		if err != nil && !isConflict(err) {
			return nil, fmt.Errorf("create the branch %s of %s: %w", n.Revision, n.Repo, err)
		}
	}
	return h.repo(ctx, &n.target)
}

func isConflict(err error) bool {
	return provider.StatusOf(err) == http.StatusConflict
}

func (h *hub) setVisibility(ctx context.Context, t *target, private bool) error {
	visibility := "public"
	if private {
		visibility = "private"
	}
	if err := h.call(ctx, http.MethodPut, t.api()+"/settings", map[string]any{"visibility": visibility}, nil); err != nil {
		return fmt.Errorf("make %s %s: %w", t.Repo, visibility, err)
	}
	return nil
}

func (h *hub) deleteRepo(ctx context.Context, t *target) error {
	owner, name, _ := strings.Cut(t.Repo, "/")
	err := h.call(ctx, http.MethodDelete, "/api/repos/delete", map[string]any{"name": name, "organization": owner, "type": t.kind()}, nil)
	if err != nil && !isMissing(err) {
		return fmt.Errorf("delete the repository %s: %w", t.Repo, err)
	}
	return nil
}

func (h *hub) deleteBranch(ctx context.Context, t *target) error {
	err := h.call(ctx, http.MethodDelete, t.api()+"/branch/"+url.PathEscape(t.Revision), nil, nil)
	if err != nil && !isMissing(err) {
		return fmt.Errorf("delete the branch %s of %s: %w", t.Revision, t.Repo, err)
	}
	return nil
}

// entry is a file of a branch.
type entry struct {
	Type string `json:"type"`
	Path string `json:"path"`
	// OID is Git's hash of a file that is not in the LFS storage.
	OID string `json:"oid"`
	LFS *struct {
		OID string `json:"oid"` // SHA-256
	} `json:"lfs"`
}

// tree returns the files of a commit.
func (h *hub) tree(ctx context.Context, t *target, commit string) (map[string]entry, error) {
	out := map[string]entry{}
	next := h.endpoint + t.api() + "/tree/" + commit + "?recursive=true"
	for next != "" {
		resp, err := h.send(ctx, http.MethodGet, next, nil, "")
		if err != nil {
			return nil, fmt.Errorf("list the files of %s: %w", t.Repo, err)
		}
		var page []entry
		err = json.NewDecoder(resp.Body).Decode(&page)
		resp.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("list the files of %s: %w", t.Repo, err)
		}
		for _, e := range page {
			if e.Type == "file" {
				out[e.Path] = e
			}
		}
		if next, err = nextPage(h.endpoint, resp.Header); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// nextPage returns the address of the next page of a listing, which must be at
// the same endpoint, because it gets the token.
func nextPage(endpoint string, header http.Header) (string, error) {
	for link := range strings.SplitSeq(header.Get("Link"), ",") {
		address, rel, _ := strings.Cut(link, ";")
		if !strings.Contains(rel, `rel="next"`) {
			continue
		}
		address = strings.Trim(strings.TrimSpace(address), "<>")
		if !strings.HasPrefix(address, endpoint+"/") {
			return "", fmt.Errorf("the next page of a listing is at another address: %s", address)
		}
		return address, nil
	}
	return "", nil
}

// call sends a JSON request and decodes the answer, unless out is nil.
func (h *hub) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	resp, err := h.send(ctx, method, h.endpoint+path, body, "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", h.endpoint+path, err)
	}
	return nil
}

// attempts is how often a request is made if the Hub is busy or fails.
const attempts = 4

// send makes a request to the Hub, with the token. An answer that is not a
// success is an error.
func (h *hub) send(ctx context.Context, method, address string, body []byte, contentType string) (*http.Response, error) {
	return retry(ctx, func() (*http.Response, error) { return h.try(ctx, method, address, body, contentType) })
}

// retry makes a request again if the server is busy, fails, or is not reached.
func retry(ctx context.Context, try func() (*http.Response, error)) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		resp, err := try()
		var r *provider.Refusal
		again := err != nil && ctx.Err() == nil && (!errors.As(err, &r) || r.Temporary())
		if !again || attempt == attempts {
			return resp, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(time.Duration(attempt) * 500 * time.Millisecond):
		}
	}
}

func (h *hub) try(ctx context.Context, method, address string, body []byte, contentType string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if h.token != "" {
		request.Header.Set("Authorization", "Bearer "+h.token)
	}
	request.Header.Set("User-Agent", "quern")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
		if strings.HasPrefix(contentType, lfsType) {
			request.Header.Set("Accept", lfsType)
		}
	}
	return provider.Successful(provider.Client.Do(request))
}

// publish makes the commit that gives the branch these files and deletes others
// that quern published before. It returns the commit that contains them: parent
// if it already does.
func (h *hub) publish(ctx context.Context, n *notes, parent string, files []*file, before []string) (string, error) {
	there, err := h.tree(ctx, &n.target, parent)
	if err != nil {
		return "", err
	}
	var changed []*file
	kept := map[string]bool{}
	for _, f := range files {
		kept[f.name] = true
		same, err := f.is(there[f.name])
		if err != nil {
			return "", err
		}
		if !same {
			changed = append(changed, f)
		}
	}
	gone := slices.DeleteFunc(slices.Clone(before), func(name string) bool {
		_, exists := there[name]
		return kept[name] || !exists
	})
	if len(changed) == 0 && len(gone) == 0 {
		return parent, nil
	}
	large, err := h.preupload(ctx, n, changed)
	if err != nil {
		return "", err
	}
	if err := h.upload(ctx, n, changed, large); err != nil {
		return "", err
	}
	return h.commit(ctx, n, parent, changed, large, gone)
}
