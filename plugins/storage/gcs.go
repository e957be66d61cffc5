package storage

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

var gcsDoc = `Reads rows from objects in a bucket of Google Cloud Storage.

Credentials are Google's application default credentials: the file in ` + "`GOOGLE_APPLICATION_CREDENTIALS`" + `, those of ` + "`gcloud auth application-default login`" + `, or those of the machine. quern never stores them.

` + fmt.Sprintf(refreshDoc, "1,000") + `

` + "```hcl" + `
source "gcs" "events" {
  bucket  = "acme-warehouse"
  path    = "events/**/*.jsonl.gz"
  columns = ["id", "text"]
}
` + "```"

// GCS are the arguments that say where a bucket is.
type GCS struct {
	Bucket   string `quern:"bucket,required,operational" doc:"The name of the bucket."`
	Endpoint string `quern:"endpoint,operational" doc:"The address of another service with the same API, such as an emulator. It is used without credentials. The default is that in STORAGE_EMULATOR_HOST, or Google's."`
}

type gcsArgs struct {
	GCS
	Anonymous bool `quern:"anonymous,operational" default:"false" doc:"Whether to read a public bucket without credentials."`
	Pattern
	files.Format
}

func (a *gcsArgs) check(p *plugin.Prepare[gcsArgs]) bool {
	return checkBucket(p, a.Bucket, a.Endpoint)
}

const (
	gcsEndpoint = "https://storage.googleapis.com"
	gcsReading  = "https://www.googleapis.com/auth/devstorage.read_only"
	gcsWriting  = "https://www.googleapis.com/auth/devstorage.read_write"
)

func (a *gcsArgs) open(ctx context.Context) (bucket, string, error) {
	return a.GCS.open(ctx, a.Anonymous, gcsReading)
}

func (a *GCS) open(ctx context.Context, anonymous bool, scope string) (writable, string, error) {
	b := &gcsBucket{client: http.DefaultClient, endpoint: gcsEndpoint, name: a.Bucket}
	emulator := os.Getenv("STORAGE_EMULATOR_HOST")
	if emulator != "" && !strings.Contains(emulator, "://") {
		emulator = "http://" + emulator
	}
	switch {
	case a.Endpoint != "":
		b.endpoint = strings.TrimRight(a.Endpoint, "/")
	case emulator != "":
		b.endpoint = strings.TrimRight(emulator, "/")
	case !anonymous:
		found, err := google.FindDefaultCredentials(ctx, scope)
		if err != nil {
			return nil, "", fmt.Errorf("no credentials of Google Cloud: %w\nRun \"gcloud auth application-default login\", or set GOOGLE_APPLICATION_CREDENTIALS. For a public bucket, set anonymous = true.", err)
		}
		b.client = oauth2.NewClient(ctx, found.TokenSource)
	}
	return b, "gs://" + a.Bucket, nil
}

// gcsBucket is a bucket, by the JSON API.
type gcsBucket struct {
	client         *http.Client
	endpoint, name string
}

// gcsPage is a page of a listing.
type gcsPage struct {
	Items []struct {
		Name       string `json:"name"`
		Size       int64  `json:"size,string"`
		MD5        string `json:"md5Hash"`
		Generation string `json:"generation"`
	} `json:"items"`
	Next string `json:"nextPageToken"`
}

func (b *gcsBucket) list(ctx context.Context, prefix string) ([]object, error) {
	var out []object
	query := url.Values{"prefix": {prefix}, "fields": {"items(name,size,md5Hash,generation),nextPageToken"}}
	for {
		page, err := b.page(ctx, query)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Items {
			// A composite object has no digest of its content.
			version := fmt.Sprintf("%s/%s#%s", b.name, o.Name, o.Generation)
			if o.MD5 != "" {
				version = o.MD5 + "-" + strconv.FormatInt(o.Size, 10)
			}
			out = append(out, object{name: o.Name, size: o.Size, version: version, match: o.Generation})
		}
		if page.Next == "" {
			return out, nil
		}
		query.Set("pageToken", page.Next)
	}
}

func (b *gcsBucket) page(ctx context.Context, query url.Values) (*gcsPage, error) {
	resp, err := b.send(ctx, http.MethodGet, "?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	page := &gcsPage{}
	if err := json.NewDecoder(resp.Body).Decode(page); err != nil {
		return nil, fmt.Errorf("the listing cannot be read: %w", err)
	}
	return page, nil
}

func (b *gcsBucket) get(ctx context.Context, o object, offset, length int64) (io.ReadCloser, error) {
	// An object that is stored compressed arrives as it is stored.
	header := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)}, "Accept-Encoding": {"gzip"}}
	resp, err := b.send(ctx, http.MethodGet, "/"+url.PathEscape(o.name)+"?alt=media&generation="+url.QueryEscape(o.match), header)
	if status := provider.StatusOf(err); status == http.StatusNotFound || status == http.StatusPreconditionFailed {
		return nil, errChanged // without versioning, an earlier generation is gone
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusPartialContent {
		resp.Body.Close()
		return nil, files.Permanent(fmt.Errorf("the service does not send ranges"))
	}
	return resp.Body, nil
}

func (b *gcsBucket) read(ctx context.Context, name string) ([]byte, string, error) {
	resp, err := b.send(ctx, http.MethodGet, "/"+url.PathEscape(name)+"?alt=media", nil)
	if provider.StatusOf(err) == http.StatusNotFound {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return text, resp.Header.Get("X-Goog-Generation"), err
}

func (b *gcsBucket) put(ctx context.Context, name string, content io.ReadSeeker, size int64, when *condition) error {
	query := url.Values{"uploadType": {"media"}, "name": {name}}
	if when != nil {
		query.Set("ifGenerationMatch", cmp.Or(when.match, "0"))
	}
	address := b.endpoint + "/upload/storage/v1/b/" + url.PathEscape(b.name) + "/o?" + query.Encode()
	resp, err := b.repeat(ctx, func() (*http.Response, error) {
		if _, err := content.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, io.NopCloser(content))
		if err != nil {
			return nil, err
		}
		req.ContentLength = size
		req.Header.Set("Content-Type", contentType(name))
		return b.do(req)
	})
	if provider.StatusOf(err) == http.StatusPreconditionFailed {
		return errChanged
	}
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (b *gcsBucket) remove(ctx context.Context, name string) error {
	resp, err := b.send(ctx, http.MethodDelete, "/"+url.PathEscape(name), nil)
	if err != nil && provider.StatusOf(err) != http.StatusNotFound {
		return err
	}
	if err != nil {
		return nil
	}
	return resp.Body.Close()
}

// advised adds to an error what may help.
func advised(err error) error {
	switch provider.StatusOf(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w\nThese credentials do not have the permission. A source needs the role Storage Object Viewer, or anonymous = true for a public bucket. A deployment needs Storage Object User.", err)
	case http.StatusNotFound:
		return fmt.Errorf("%w\nCheck bucket.", err)
	}
	return err
}

// gcsAttempts is how often a request is made if the service is busy or fails.
const gcsAttempts = 5

// send makes a request about the objects of the bucket.
func (b *gcsBucket) send(ctx context.Context, method, path string, header http.Header) (*http.Response, error) {
	return b.repeat(ctx, func() (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, method, b.endpoint+"/storage/v1/b/"+url.PathEscape(b.name)+"/o"+path, nil)
		if err != nil {
			return nil, err
		}
		for name, values := range header {
			req.Header[name] = values
		}
		return b.do(req)
	})
}

// repeat makes a request again if the service is busy or fails.
func (b *gcsBucket) repeat(ctx context.Context, try func() (*http.Response, error)) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		resp, err := try()
		status := (*provider.Refusal)(nil)
		refused := errors.As(err, &status) && !status.Temporary()
		switch {
		case err == nil:
			return resp, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case refused || attempt == gcsAttempts:
			return nil, files.Permanent(advised(err))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(attempt*attempt) * 250 * time.Millisecond):
		}
	}
}

func (b *gcsBucket) do(req *http.Request) (*http.Response, error) {
	return provider.Successful(b.client.Do(req))
}
