package modules

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"golang.org/x/oauth2/google"
)

// newObject returns an archive in an object store. It is requested like any other,
// with the credentials that the store's own tools would use.
func newObject(store string, u *url.URL, query url.Values) (origin, error) {
	checksum, err := takeChecksum(query)
	if err != nil {
		return nil, err
	}
	switch store {
	case "gcs":
		return newGoogleObject(u, query, checksum)
	case "azure":
		return newAzureBlob(u, query, checksum)
	}
	given, err := take(query, "the source of an object in S3", "region")
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" && !isLoopback(u.Host) || strings.Trim(u.Path, "/") == "" {
		return nil, errors.New(`write an object in S3 as "s3::https://BUCKET.s3.REGION.amazonaws.com/KEY"`)
	}
	region := given["region"]
	if m := s3Region().FindStringSubmatch(u.Host); region == "" && m != nil {
		region = m[1]
	}
	return &archive{url: u, checksum: checksum, sign: signer{region}.sign}, nil
}

// s3Region matches the region in the name of a host of S3.
var s3Region = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:^|\.)s3[.-]([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$`)
})

// signer signs requests to S3 in a region. If it is empty, the region comes from the
// configuration of AWS, or is us-east-1.
type signer struct{ region string }

// noContent is the SHA-256 of a request without a body.
const noContent = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func (s signer) sign(ctx context.Context, r *http.Request) error {
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("read the configuration of AWS: %w", err)
	}
	keys, err := c.Credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("find credentials for S3: %w; for an object that everybody may read, write its address without s3::", err)
	}
	region := s.region
	for _, other := range []string{c.Region, "us-east-1"} {
		if region == "" {
			region = other
		}
	}
	r.Header.Set("X-Amz-Content-Sha256", noContent)
	return sign(ctx, keys, r, region)
}

func sign(ctx context.Context, keys aws.Credentials, r *http.Request, region string) error {
	// S3, unlike other services, has paths that are encoded once.
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err := signer.SignHTTP(ctx, keys, r, noContent, "s3", region, time.Now()); err != nil {
		return fmt.Errorf("sign the request to S3: %w", err)
	}
	return nil
}

// googlePath matches the path of an object as Google's JSON API writes it.
var googlePath = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^/storage/v1/([^/]+)/(.+)$`) })

func newGoogleObject(u *url.URL, query url.Values, checksum string) (origin, error) {
	if _, err := take(query, "the source of an object in Google Cloud Storage"); err != nil {
		return nil, err
	}
	m := googlePath().FindStringSubmatch(u.Path)
	if u.Scheme != "https" || u.Host != "www.googleapis.com" || m == nil {
		return nil, errors.New(`write an object in Google Cloud Storage as "gcs::https://www.googleapis.com/storage/v1/BUCKET/OBJECT"`)
	}
	at := url.URL{Scheme: "https", Host: "storage.googleapis.com", Path: "/" + m[1] + "/" + m[2]}
	if emulator := os.Getenv("STORAGE_EMULATOR_HOST"); emulator != "" {
		at.Scheme, at.Host = "http", strings.TrimPrefix(emulator, "http://")
	}
	return &archive{url: &at, checksum: checksum, sign: authorize}, nil
}

// authorize adds a token of Google's application default credentials.
func authorize(ctx context.Context, r *http.Request) error {
	found, err := google.FindDefaultCredentials(ctx, "https://www.googleapis.com/auth/devstorage.read_only")
	if err != nil {
		return fmt.Errorf("find credentials for Google Cloud Storage: %w", err)
	}
	token, err := found.TokenSource.Token()
	if err != nil {
		return fmt.Errorf("get a token for Google Cloud Storage: %w", err)
	}
	token.SetAuthHeader(r)
	return nil
}
