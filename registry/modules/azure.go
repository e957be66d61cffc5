package modules

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// azureForm says how a blob is written.
const azureForm = `write a blob in Azure Blob Storage as "azure::https://ACCOUNT.blob.core.windows.net/CONTAINER/BLOB"`

func newAzureBlob(u *url.URL, query url.Values, checksum string) (origin, error) {
	if _, err := take(query, "the source of a blob in Azure Blob Storage"); err != nil {
		return nil, err
	}
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	account, _, named := strings.Cut(u.Hostname(), ".blob.core.")
	switch {
	case u.Scheme == "https" && named && len(path) >= 2:
	case isLoopback(u.Host) && len(path) >= 3: // an emulator, which has the account in the path
		account = path[0]
	default:
		return nil, errors.New(azureForm)
	}
	return &archive{url: u, checksum: checksum, sign: blobReader{account: account, identity: defaultIdentity}.sign}, nil
}

// blobReader adds the credentials to requests for blobs of an account: those of the
// environment that source "azure" uses, in the same order, or those of the identity.
type blobReader struct {
	account  string
	identity func() (token func(context.Context) (string, error), err error)
}

// blobVersion is the version of the service's API, which a request with a token
// needs.
const blobVersion = "2021-12-02"

func (b blobReader) sign(ctx context.Context, r *http.Request) error {
	r.Header.Set("X-Ms-Version", blobVersion)
	key, sas, err := b.environment()
	switch {
	case err != nil:
		return err
	case key != nil:
		r.Header.Set("X-Ms-Date", time.Now().UTC().Format(http.TimeFormat))
		r.Header.Set("Authorization", "SharedKey "+b.account+":"+sharedKey(r, b.account, key))
		return nil
	case sas != "":
		r.URL.RawQuery = strings.TrimPrefix(sas, "?")
		return nil
	}
	token, err := b.identity()
	if err != nil {
		return fmt.Errorf("find credentials for Azure Blob Storage: %w; for a blob that everybody may read, write its address without azure::", err)
	}
	text, err := token(ctx)
	if err != nil {
		return fmt.Errorf("get a token for Azure Blob Storage: %w; for a blob that everybody may read, write its address without azure::", err)
	}
	r.Header.Set("Authorization", "Bearer "+text)
	return nil
}

// environment returns the account's key or the shared access signature that the
// environment has, or neither.
func (b blobReader) environment() (key []byte, sas string, err error) {
	if text := os.Getenv("AZURE_STORAGE_CONNECTION_STRING"); text != "" {
		if fields := connection(text); fields["accountname"] == b.account || fields["sharedaccesssignature"] != "" {
			key, err := accountKey(fields["accountkey"], "AZURE_STORAGE_CONNECTION_STRING")
			return key, fields["sharedaccesssignature"], err
		}
	}
	if text := os.Getenv("AZURE_STORAGE_KEY"); text != "" {
		key, err := accountKey(text, "AZURE_STORAGE_KEY")
		return key, "", err
	}
	return nil, os.Getenv("AZURE_STORAGE_SAS_TOKEN"), nil
}

// connection splits a connection string into its fields, by name in lower case.
func connection(text string) map[string]string {
	fields := map[string]string{}
	for field := range strings.SplitSeq(text, ";") {
		if name, value, ok := strings.Cut(field, "="); ok {
			fields[strings.ToLower(name)] = value
		}
	}
	return fields
}

func accountKey(text, variable string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("the key of the storage account in %s is not Base64", variable)
	}
	return key, nil
}

// sharedKey returns the signature of a request without a body, as
// https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
// specifies it.
func sharedKey(r *http.Request, account string, key []byte) string {
	var headers []string
	for name, values := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-ms-") {
			headers = append(headers, lower+":"+strings.Join(values, ",")+"\n")
		}
	}
	slices.Sort(headers)
	standard := strings.Repeat("\n", 12) // of the headers that it covers, the request has none
	h := hmac.New(sha256.New, key)
	h.Write([]byte(r.Method + standard + strings.Join(headers, "") + "/" + account + r.URL.EscapedPath()))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// defaultIdentity returns the tokens of whoever the Azure CLI, the environment, or the
// machine is.
var defaultIdentity = sync.OnceValues(func() (func(context.Context) (string, error), error) {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, error) {
		token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://storage.azure.com/.default"}})
		return token.Token, err
	}, nil
})
