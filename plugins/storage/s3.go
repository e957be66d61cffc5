package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

var s3Doc = `Reads rows from objects in an S3 bucket, of AWS or of another service with its API.

Credentials are found as by the AWS CLI: in the environment, in ` + "`~/.aws`" + ` with ` + "`AWS_PROFILE`" + `, or from the role of the machine. quern never stores them.

` + fmt.Sprintf(refreshDoc, "1,000") + `

` + "```hcl" + `
source "s3" "events" {
  bucket = "acme-warehouse"
  path   = "events/day=*/*.parquet"
  region = "eu-central-1"
}
` + "```"

// S3 are the arguments that say where a bucket is.
type S3 struct {
	Bucket   string `quern:"bucket,required,operational" doc:"The name of the bucket."`
	Region   string `quern:"region,operational" doc:"The region of the bucket. The default is that of the environment or profile, or us-east-1 if endpoint is set."`
	Endpoint string `quern:"endpoint,operational" doc:"The address of a service other than AWS, such as \"https://s3.example.com\"."`
}

type s3Args struct {
	S3
	Anonymous bool `quern:"anonymous,operational" default:"false" doc:"Whether to read a public bucket without credentials."`
	Pattern
	files.Format
}

func (a *s3Args) check(p *plugin.Prepare[s3Args]) bool {
	return checkBucket(p, a.Bucket, a.Endpoint)
}

func (a *s3Args) open(ctx context.Context) (bucket, string, error) {
	return a.S3.open(ctx, a.Anonymous)
}

func (a *S3) open(ctx context.Context, anonymous bool) (writable, string, error) {
	var options []func(*config.LoadOptions) error
	if a.Region != "" {
		options = append(options, config.WithRegion(a.Region))
	}
	if anonymous {
		options = append(options, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, "", fmt.Errorf("the AWS configuration cannot be used: %w", err)
	}
	if loaded.Region == "" && a.Endpoint == "" {
		return nil, "", plugin.ArgumentErrorf("region", "The region of the bucket is not known\nSet region, or the environment variable AWS_REGION.")
	}
	client := s3.NewFromConfig(loaded, func(o *s3.Options) {
		o.DisableLogOutputChecksumValidationSkipped = true
		if o.Region == "" {
			o.Region = "us-east-1"
		}
		if a.Endpoint != "" {
			o.BaseEndpoint = aws.String(a.Endpoint)
			o.UsePathStyle = true
		}
	})
	return &s3Bucket{client, a.Bucket}, "s3://" + a.Bucket, nil
}

type s3Bucket struct {
	client *s3.Client
	name   string
}

func (b *s3Bucket) list(ctx context.Context, prefix string) ([]object, error) {
	var out []object
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s3Failure(ctx, err)
		}
		for _, o := range page.Contents {
			// An ETag is a digest of the content or, for encrypted objects, random.
			tag := aws.ToString(o.ETag)
			out = append(out, object{
				name: aws.ToString(o.Key), size: aws.ToInt64(o.Size), match: tag,
				version: strings.Trim(tag, `"`) + "-" + strconv.FormatInt(aws.ToInt64(o.Size), 10),
			})
		}
	}
	return out, nil
}

func (b *s3Bucket) get(ctx context.Context, o object, offset, length int64) (io.ReadCloser, error) {
	resp, err := b.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &b.name, Key: &o.name, IfMatch: &o.match, Range: aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)),
	})
	if err != nil {
		return nil, s3Failure(ctx, err)
	}
	if tag := aws.ToString(resp.ETag); tag != "" && tag != o.match {
		resp.Body.Close()
		return nil, errChanged
	}
	return resp.Body, nil
}

func (b *s3Bucket) read(ctx context.Context, name string) ([]byte, string, error) {
	resp, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &name})
	if absent := (*types.NoSuchKey)(nil); errors.As(err, &absent) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", s3Failure(ctx, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return text, aws.ToString(resp.ETag), err
}

func (b *s3Bucket) put(ctx context.Context, name string, content io.ReadSeeker, size int64, when *condition) error {
	in := &s3.PutObjectInput{Bucket: &b.name, Key: &name, Body: content, ContentLength: &size, ContentType: aws.String(contentType(name))}
	switch {
	case when == nil:
	case when.match == "":
		in.IfNoneMatch = aws.String("*")
	default:
		in.IfMatch = &when.match
	}
	if _, err := b.client.PutObject(ctx, in); err != nil {
		return s3Failure(ctx, err)
	}
	return nil
}

func (b *s3Bucket) remove(ctx context.Context, name string) error {
	if _, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &name}); err != nil {
		return s3Failure(ctx, err)
	}
	return nil
}

// s3Failure says what went wrong. The client has already repeated requests that
// failed temporarily.
func s3Failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return files.Permanent(err)
	}
	var resp *smithyhttp.ResponseError
	status := 0
	if errors.As(err, &resp) {
		status = resp.HTTPStatusCode()
	}
	advice := ""
	switch code := api.ErrorCode(); {
	case code == "PreconditionFailed" || code == "ConditionalRequestConflict" || status == 412:
		return errChanged
	case code == "NoSuchBucket":
		advice = "\nCheck bucket, region, and endpoint."
	case code == "PermanentRedirect" || code == "AuthorizationHeaderMalformed" || status == 301:
		advice = "\nThe bucket is in another region. Set region."
	case status == 403:
		advice = "\nThese credentials do not have the permission. A source needs s3:ListBucket and s3:GetObject, or anonymous = true for a public bucket. A deployment also needs s3:PutObject and s3:DeleteObject."
	}
	return files.Permanent(fmt.Errorf("%s: %s%s", api.ErrorCode(), api.ErrorMessage(), advice))
}
