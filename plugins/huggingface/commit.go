package huggingface

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

const (
	// uploads is the number of files that are sent at the same time.
	uploads = 4
	// sampleSize is how much of a file the Hub sees before it says where the file
	// belongs, in bytes.
	sampleSize = 512
	// preuploadFiles is the Hub's limit of files in one such request.
	preuploadFiles = 256
	// maxInline limits the size of a file that is part of the commit, in bytes.
	maxInline = 64 << 20

	lfsType = "application/vnd.git-lfs+json"
)

// is reports whether a file of a branch has this content.
func (f *file) is(e entry) (bool, error) {
	switch {
	case e.Path == "":
		return false, nil
	case e.LFS != nil:
		return e.LFS.OID == f.digest, nil
	}
	body, err := f.open()
	if err != nil {
		return false, err
	}
	defer body.Close()
	// Git's hash of a file, which only identifies it here.
	sum := sha1.New()
	fmt.Fprintf(sum, "blob %d\x00", f.size)
	if _, err := io.Copy(sum, body); err != nil {
		return false, err
	}
	return hex.EncodeToString(sum.Sum(nil)) == e.OID, nil
}

// preupload asks the Hub which files go to its LFS storage.
func (h *hub) preupload(ctx context.Context, n *notes, files []*file) (map[string]bool, error) {
	large := map[string]bool{}
	for some := range slices.Chunk(files, preuploadFiles) {
		type described struct {
			Path   string `json:"path"`
			Sample []byte `json:"sample"`
			Size   int64  `json:"size"`
		}
		var request struct {
			Files []described `json:"files"`
		}
		for _, f := range some {
			sample, err := f.sample()
			if err != nil {
				return nil, err
			}
			request.Files = append(request.Files, described{f.name, sample, f.size})
		}
		var response struct {
			Files []struct {
				Path   string `json:"path"`
				Mode   string `json:"uploadMode"`
				Ignore bool   `json:"shouldIgnore"`
			} `json:"files"`
		}
		if err := h.call(ctx, http.MethodPost, n.api()+"/preupload/"+url.PathEscape(n.Revision), request, &response); err != nil {
			return nil, fmt.Errorf("announce the files of %s: %w", n.Repo, err)
		}
		for _, f := range response.Files {
			if f.Ignore {
				return nil, fmt.Errorf("the .gitignore of %s excludes %s, which is to be published", n.Repo, f.Path)
			}
			large[f.Path] = f.Mode == "lfs"
		}
	}
	for _, f := range files {
		if f.size == 0 || f.digest == "" {
			large[f.name] = false // the storage refuses empty files, and cards and checksums are texts
		}
		if !large[f.name] && f.size > maxInline {
			return nil, fmt.Errorf("the Hub wants %s as a part of the commit, but it has %d bytes, and at most %d are possible", f.name, f.size, int64(maxInline))
		}
	}
	return large, nil
}

func (f *file) sample() ([]byte, error) {
	body, err := f.open()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(io.LimitReader(body, sampleSize))
}

// action is a request that the LFS storage asks for.
type action struct {
	Href   string            `json:"href"`
	Header map[string]string `json:"header"`
}

// upload sends the large files that the Hub does not have.
func (h *hub) upload(ctx context.Context, n *notes, files []*file, large map[string]bool) error {
	type object struct {
		OID     string             `json:"oid"`
		Size    int64              `json:"size"`
		Actions map[string]*action `json:"actions,omitempty"`
		Error   *struct {
			Message string `json:"message"`
		} `json:"error,omitempty"`
	}
	byDigest := map[string]*file{}
	var objects []object
	for _, f := range files {
		if _, seen := byDigest[f.digest]; large[f.name] && !seen {
			byDigest[f.digest] = f
			objects = append(objects, object{OID: f.digest, Size: f.size})
		}
	}
	if len(objects) == 0 {
		return nil
	}
	body, err := json.Marshal(map[string]any{
		"operation": "upload", "transfers": []string{"basic", "multipart"}, "hash_algo": "sha256", "objects": objects,
		"ref": map[string]string{"name": n.Revision},
	})
	if err != nil {
		return err
	}
	resp, err := h.send(ctx, http.MethodPost, h.endpoint+n.page()+".git/info/lfs/objects/batch", body, lfsType)
	if err != nil {
		return fmt.Errorf("ask where to send the files of %s: %w", n.Repo, err)
	}
	defer resp.Body.Close()
	var answer struct {
		Objects []object `json:"objects"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("ask where to send the files of %s: %w", n.Repo, err)
	}
	group, inner := parallel.WithContext(ctx)
	group.SetLimit(uploads)
	for _, o := range answer.Objects {
		f, asked := byDigest[o.OID]
		if !asked || o.Error == nil && o.Actions["upload"] == nil {
			continue // the Hub has it
		}
		group.Go(func() error {
			if o.Error != nil {
				return fmt.Errorf("send %s: %s", f.name, o.Error.Message)
			}
			if err := h.store(inner, f, o.Actions["upload"], o.Actions["verify"]); err != nil {
				return fmt.Errorf("send %s: %w", f.name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// store sends a file to the LFS storage.
func (h *hub) store(ctx context.Context, f *file, upload, verify *action) error {
	if err := f.write(); err != nil {
		return err
	}
	var err error
	if size := upload.Header["chunk_size"]; size != "" {
		err = h.storeParts(ctx, f, upload, size)
	} else {
		_, err = put(ctx, f, 0, f.size, upload.Href, upload.Header)
	}
	if err != nil || verify == nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"oid": f.digest, "size": f.size})
	if err != nil {
		return err
	}
	resp, err := h.send(ctx, http.MethodPost, verify.Href, body, "application/json")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// storeParts sends a file in parts. The action's header has the address of each,
// by its number.
func (h *hub) storeParts(ctx context.Context, f *file, upload *action, size string) error {
	chunk, err := strconv.ParseInt(size, 10, 64)
	if err != nil || chunk < 1 {
		return fmt.Errorf("the Hub's size of a part is %q", size)
	}
	type part struct {
		Number int    `json:"partNumber"`
		ETag   string `json:"etag"`
	}
	var parts []part
	for at := int64(0); at < f.size; at += chunk {
		number := len(parts) + 1
		address := upload.Header[fmt.Sprintf("%05d", number)]
		if address == "" {
			address = upload.Header[strconv.Itoa(number)]
		}
		if address == "" {
			return fmt.Errorf("the Hub has no address for part %d", number)
		}
		etag, err := put(ctx, f, at, min(chunk, f.size-at), address, nil)
		if err != nil {
			return err
		}
		parts = append(parts, part{number, etag})
	}
	body, err := json.Marshal(map[string]any{"oid": f.digest, "parts": parts})
	if err != nil {
		return err
	}
	resp, err := h.send(ctx, http.MethodPost, upload.Href, body, lfsType)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// put sends a range of a file to the storage, which must not see the token. It
// returns the ETag.
func put(ctx context.Context, f *file, offset, size int64, address string, header map[string]string) (string, error) {
	body, err := os.Open(f.path)
	if err != nil {
		return "", err
	}
	defer body.Close()
	resp, err := retry(ctx, func() (*http.Response, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, address, io.NewSectionReader(body, offset, size))
		if err != nil {
			return nil, err
		}
		request.ContentLength = size
		for name, value := range header {
			request.Header.Set(name, value)
		}
		return provider.Successful(provider.Client.Do(request))
	})
	if err != nil {
		return "", err
	}
	return resp.Header.Get("ETag"), resp.Body.Close()
}

// commit makes a commit with parent as its parent. It returns the commit.
func (h *hub) commit(ctx context.Context, n *notes, parent string, files []*file, large map[string]bool, gone []string) (string, error) {
	summary := "Publish " + n.Artifact
	if len(files) == 0 {
		summary = "Delete what quern published"
	}
	body, err := payload(summary, parent, files, large, gone)
	if err != nil {
		return "", err
	}
	address := h.endpoint + n.api() + "/commit/" + url.PathEscape(n.Revision)
	// A commit is tried once: if an answer is lost, the branch has moved.
	resp, err := h.try(ctx, http.MethodPost, address, body, "application/x-ndjson")
	if status := provider.StatusOf(err); status == http.StatusPreconditionFailed || status == http.StatusConflict {
		return "", fmt.Errorf("somebody else committed to %s at the same time\nNothing was overwritten. Make a new plan, which shows what would be replaced (%w).", n.Repo, err)
	}
	if err != nil {
		return "", fmt.Errorf("commit to %s: %w", n.Repo, err)
	}
	defer resp.Body.Close()
	var answer struct {
		Commit string `json:"commitOid"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Commit == "" {
		return "", fmt.Errorf("the Hub did not say which commit it made in %s: %w", n.Repo, err)
	}
	return answer.Commit, nil
}

// payload returns the request of a commit: one JSON object per line.
func payload(summary, parent string, files []*file, large map[string]bool, gone []string) ([]byte, error) {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	line := func(key string, value map[string]any) error {
		return lines.Encode(map[string]any{"key": key, "value": value})
	}
	err := line("header", map[string]any{"summary": summary, "description": "", "parentCommit": parent})
	for _, f := range files {
		if large[f.name] {
			err = errors.Join(err, line("lfsFile", map[string]any{"path": f.name, "algo": "sha256", "oid": f.digest, "size": f.size}))
			continue
		}
		text, readErr := f.content()
		err = errors.Join(err, readErr, line("file", map[string]any{"path": f.name, "encoding": "base64", "content": base64.StdEncoding.EncodeToString(text)}))
	}
	for _, name := range gone {
		err = errors.Join(err, line("deletedFile", map[string]any{"path": name}))
	}
	return b.Bytes(), err
}

func (f *file) content() ([]byte, error) {
	body, err := f.open()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}
