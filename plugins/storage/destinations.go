package storage

import (
	"context"
	"fmt"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// The deployments.
type (
	s3Publish struct {
		S3
		Publish
	}
	gcsPublish struct {
		GCS
		Publish
	}
	azurePublish struct {
		Azure
		Publish
	}
)

func (a *s3Publish) where() (argument, value string) { return "bucket", a.Bucket }
func (a *s3Publish) check(p problems) bool           { return checkBucket(p, a.Bucket, a.Endpoint) }
func (a *s3Publish) place() any                      { return &a.S3 }
func (a *s3Publish) open(ctx context.Context) (writable, string, error) {
	return a.S3.open(ctx, false)
}

func (a *gcsPublish) where() (argument, value string) { return "bucket", a.Bucket }
func (a *gcsPublish) check(p problems) bool           { return checkBucket(p, a.Bucket, a.Endpoint) }
func (a *gcsPublish) place() any                      { return &a.GCS }
func (a *gcsPublish) open(ctx context.Context) (writable, string, error) {
	return a.GCS.open(ctx, false, gcsWriting)
}

func (a *azurePublish) where() (argument, value string) { return "container", a.Container }
func (a *azurePublish) check(p problems) bool           { return a.Azure.check(p) }
func (a *azurePublish) place() any                      { return &a.Azure }
func (a *azurePublish) open(context.Context) (writable, string, error) {
	return a.Azure.open(false)
}

// deployments returns the types that publish datasets.
func deployments() []plugin.Type {
	return []plugin.Type{
		plugin.NewDeployment(publisher("azure", "https://acmewarehouse.blob.core.windows.net/corpora/tickets", "blobs in a container of Azure Blob Storage", `
  account    = "acmewarehouse"
  container  = "corpora"
  path       = "tickets"
  license    = "cc-by-4.0"`), publishing[azurePublish, *azurePublish]{}),
		plugin.NewDeployment(publisher("gcs", "gs://acme-warehouse/corpora/tickets", "objects in a bucket of Google Cloud Storage", `
  bucket     = "acme-warehouse"
  path       = "corpora/tickets"
  format     = "jsonl"`), publishing[gcsPublish, *gcsPublish]{}),
		plugin.NewDeployment(publisher("s3", "s3://acme-warehouse/corpora/tickets", "objects in an S3 bucket, of AWS or of another service with its API", `
  bucket     = "acme-warehouse"
  path       = "corpora/tickets"
  license    = "cc-by-4.0"`), publishing[s3Publish, *s3Publish]{}),
	}
}

// publisher describes a type that publishes a dataset as something, with the address
// and the arguments of an example.
func publisher(name, url, as, example string) plugin.Info {
	return plugin.Info{Kind: plugin.KindDeploy, Name: name, BehaviorVersion: 1, Doc: fmt.Sprintf(publishDoc,
		"Publishes a dataset as "+as+", with a card and checksums, and replaces it atomically.",
		url, fmt.Sprintf("Credentials are found as by source %q.", name),
		fmt.Sprintf("deploy %q \"corpus\" {\n  dataset    = transform.training%s\n  depends_on = [gate.clean]\n}", name, example))}
}
