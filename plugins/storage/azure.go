package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

var azureDoc = `Reads rows from blobs in a container of Azure Blob Storage.

Credentials are ` + "`AZURE_STORAGE_CONNECTION_STRING`, `AZURE_STORAGE_KEY`, or `AZURE_STORAGE_SAS_TOKEN`" + ` if one is set, in this order, or those that the Azure CLI, the environment, or the machine has. quern never stores them.

` + fmt.Sprintf(refreshDoc, "5,000") + `

` + "```hcl" + `
source "azure" "events" {
  account   = "acmewarehouse"
  container = "events"
  path      = "2026/**/*.csv"
}
` + "```"

// Azure are the arguments that say where a container is.
type Azure struct {
	Account   string `quern:"account,operational" doc:"The name of the storage account. The default is that in AZURE_STORAGE_ACCOUNT, or in the connection string."`
	Container string `quern:"container,required,operational" doc:"The name of the container."`
	Endpoint  string `quern:"endpoint,operational" doc:"The address of the account's blob service, if it is not \"https://ACCOUNT.blob.core.windows.net\"."`
}

type azureArgs struct {
	Azure
	Anonymous bool `quern:"anonymous,operational" default:"false" doc:"Whether to read a public container without credentials."`
	Pattern
	files.Format
}

func (a *azureArgs) check(p *plugin.Prepare[azureArgs]) bool { return a.Azure.check(p) }

func (a *Azure) check(p problems) bool {
	switch {
	case a.Container == "" || strings.ContainsAny(a.Container, "/:"):
		p.Errorf("container", "%q is not the name of a container\nWrite only the name, and the rest of the address in path.", a.Container)
	case strings.ContainsAny(a.Account, "/:."):
		p.Errorf("account", "%q is not the name of a storage account\nWrite only the name. If the account has another address, set endpoint.", a.Account)
	case a.Endpoint != "" && provider.URL(a.Endpoint) == nil:
		p.Errorf("endpoint", "%q is not a valid address\nAn address begins with https:// or http://, followed by the name of a server.", a.Endpoint)
	default:
		return true
	}
	return false
}

func (a *azureArgs) open(context.Context) (bucket, string, error) { return a.Azure.open(a.Anonymous) }

func (a *Azure) open(anonymous bool) (writable, string, error) {
	client, err := a.client(anonymous)
	if err != nil {
		return nil, "", err
	}
	at, _, _ := strings.Cut(client.URL(), "?") // without a SAS token
	return &azureContainer{client, at}, at, nil
}

// client returns a client with the first credentials that it finds.
func (a *Azure) client(anonymous bool) (*container.Client, error) {
	if connection := os.Getenv("AZURE_STORAGE_CONNECTION_STRING"); connection != "" && !anonymous && a.Account == "" && a.Endpoint == "" {
		client, err := container.NewClientFromConnectionString(connection, a.Container, nil)
		if err != nil {
			return nil, errors.New("AZURE_STORAGE_CONNECTION_STRING is not valid") // the error may quote its key
		}
		return client, nil
	}
	account := a.Account
	if account == "" {
		account = os.Getenv("AZURE_STORAGE_ACCOUNT")
	}
	if account == "" && (a.Endpoint == "" || os.Getenv("AZURE_STORAGE_KEY") != "" && !anonymous) {
		return nil, plugin.ArgumentErrorf("account", "The storage account is not known\nSet account, or the environment variable AZURE_STORAGE_ACCOUNT.")
	}
	endpoint := strings.TrimRight(a.Endpoint, "/")
	if endpoint == "" {
		endpoint = "https://" + account + ".blob.core.windows.net"
	}
	address := endpoint + "/" + a.Container
	key, sas := os.Getenv("AZURE_STORAGE_KEY"), os.Getenv("AZURE_STORAGE_SAS_TOKEN")
	switch {
	case anonymous:
		return container.NewClientWithNoCredential(address, nil)
	case key != "":
		credential, err := container.NewSharedKeyCredential(account, key)
		if err != nil {
			return nil, errors.New("AZURE_STORAGE_KEY is not a valid key: it is not Base64")
		}
		return container.NewClientWithSharedKeyCredential(address, credential, nil)
	case sas != "":
		return container.NewClientWithNoCredential(address+"?"+strings.TrimPrefix(sas, "?"), nil)
	}
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, fmt.Errorf("no credentials of Azure: %w\nRun \"az login\", or set AZURE_STORAGE_KEY. For a public container, set anonymous = true.", err)
	}
	return container.NewClient(address, credential, nil)
}

type azureContainer struct {
	client *container.Client
	// address is that of the container, which makes ETags unique.
	address string
}

func (b *azureContainer) list(ctx context.Context, prefix string) ([]object, error) {
	var out []object
	pages := b.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &prefix})
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, azureFailure(ctx, err)
		}
		for _, item := range page.Segment.BlobItems {
			if item.Name == nil || item.Properties == nil || item.Properties.ContentLength == nil || item.Properties.ETag == nil {
				continue
			}
			// An ETag is a time, and the digest of the content is whatever the writer
			// says, so only the blob with its ETag identifies the content.
			o := object{name: *item.Name, size: *item.Properties.ContentLength, match: string(*item.Properties.ETag)}
			o.version = b.address + "/" + o.name + "@" + o.match
			out = append(out, o)
		}
	}
	return out, nil
}

func (b *azureContainer) get(ctx context.Context, o object, offset, length int64) (io.ReadCloser, error) {
	tag := azcore.ETag(o.match)
	resp, err := b.client.NewBlobClient(o.name).DownloadStream(ctx, &blob.DownloadStreamOptions{
		Range:            blob.HTTPRange{Offset: offset, Count: length},
		AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: &tag}},
	})
	if err != nil {
		return nil, azureFailure(ctx, err)
	}
	return resp.Body, nil
}

func (b *azureContainer) read(ctx context.Context, name string) ([]byte, string, error) {
	resp, err := b.client.NewBlobClient(name).DownloadStream(ctx, nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", azureFailure(ctx, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	tag := ""
	if resp.ETag != nil {
		tag = string(*resp.ETag)
	}
	return text, tag, err
}

func (b *azureContainer) put(ctx context.Context, name string, content io.ReadSeeker, _ int64, when *condition) error {
	options := &blockblob.UploadOptions{HTTPHeaders: &blob.HTTPHeaders{BlobContentType: to.Ptr(contentType(name))}}
	if when != nil {
		conditions := &blob.ModifiedAccessConditions{}
		if when.match == "" {
			conditions.IfNoneMatch = to.Ptr(azcore.ETagAny)
		} else {
			conditions.IfMatch = to.Ptr(azcore.ETag(when.match))
		}
		options.AccessConditions = &blob.AccessConditions{ModifiedAccessConditions: conditions}
	}
	_, err := b.client.NewBlockBlobClient(name).Upload(ctx, streaming.NopCloser(content), options)
	if bloberror.HasCode(err, bloberror.BlobAlreadyExists, bloberror.ConditionNotMet) {
		return errChanged
	}
	if err != nil {
		return azureFailure(ctx, err)
	}
	return nil
}

func (b *azureContainer) remove(ctx context.Context, name string) error {
	_, err := b.client.NewBlobClient(name).Delete(ctx, nil)
	if err != nil && !bloberror.HasCode(err, bloberror.BlobNotFound) {
		return azureFailure(ctx, err)
	}
	return nil
}

// azureFailure says what went wrong. The client has already repeated requests
// that failed temporarily.
func azureFailure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var resp *azcore.ResponseError
	if !errors.As(err, &resp) {
		return files.Permanent(err)
	}
	advice := ""
	switch {
	case resp.StatusCode == 412 || resp.ErrorCode == "BlobNotFound":
		return errChanged
	case resp.ErrorCode == "ContainerNotFound" || resp.StatusCode == 404:
		advice = "\nCheck account, container, and endpoint."
	case resp.StatusCode == 401 || resp.StatusCode == 403:
		advice = "\nThese credentials do not have the permission. A source needs the role Storage Blob Data Reader, or anonymous = true for a public container. A deployment needs Storage Blob Data Contributor."
	}
	// The full error contains the address, which can have a token in it.
	return files.Permanent(fmt.Errorf("HTTP status %d: %s%s", resp.StatusCode, resp.ErrorCode, advice))
}
