package modules

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// azureAccount serves an archive to requests with a certain Authorization header or query.
func azureAccount(t *testing.T, allowed func(*http.Request) bool) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Ms-Version") == "" || !allowed(r) {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		_, _ = w.Write(zipOf(t, plain))
	}))
	t.Cleanup(server.Close)
	for _, name := range []string{"AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN"} {
		t.Setenv(name, "")
	}
	return "azure::" + server.URL + "/acme/modules/a%20b.zip"
}

// sent is a transport that keeps a request.
type sent struct{ request *http.Request }

func (s *sent) Do(r *http.Request) (*http.Response, error) {
	s.request = r
	return &http.Response{StatusCode: http.StatusForbidden, Request: r, Body: http.NoBody, Header: http.Header{}}, nil
}

func TestTheSignatureIsThatOfAzuresClient(t *testing.T) {
	credential, err := container.NewSharedKeyCredential("acme", base64.StdEncoding.EncodeToString([]byte("hunter2")))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.zip", "ä b+c/d.zip"} {
		var s sent
		client, err := container.NewClientWithSharedKeyCredential("https://acme.blob.core.windows.net/modules", credential, &container.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: &s}})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = client.NewBlobClient(name).DownloadStream(t.Context(), nil) // answered with 403
		if got, want := "SharedKey acme:"+sharedKey(s.request, "acme", []byte("hunter2")), s.request.Header.Get("Authorization"); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestBlobsAreRequestedWithTheKeyOfTheAccount(t *testing.T) {
	key := base64.StdEncoding.EncodeToString([]byte("hunter2"))
	source := azureAccount(t, func(r *http.Request) bool {
		return r.Header.Get("Authorization") == "SharedKey acme:"+sharedKey(r, "acme", []byte("hunter2"))
	})
	for name, value := range map[string]string{
		"AZURE_STORAGE_KEY":               key,
		"AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=" + key + ";EndpointSuffix=core.windows.net",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			if _, _, err := get(t, source, ""); err != nil {
				t.Error(err)
			}
		})
	}
	t.Setenv("AZURE_STORAGE_KEY", base64.StdEncoding.EncodeToString([]byte("wrong")))
	_, _, err := get(t, source, "")
	wantError(t, err, "the server answered 403")
	t.Setenv("AZURE_STORAGE_KEY", "hunter2!")
	_, _, err = get(t, source, "")
	wantError(t, err, "the key of the storage account in AZURE_STORAGE_KEY is not Base64")
}

func TestBlobsAreRequestedWithASharedAccessSignature(t *testing.T) {
	source := azureAccount(t, func(r *http.Request) bool { return r.URL.RawQuery == "sv=1&sig=hunter2" })
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "?sv=1&sig=hunter2")
	if _, _, err := get(t, source, ""); err != nil {
		t.Error(err)
	}
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=other")
	_, _, err := get(t, source, "")
	wantError(t, err, "the server answered 403")
	if strings.Contains(err.Error(), "sig=") {
		t.Error(err)
	}
}

func TestBlobsAreRequestedWithATokenOfTheIdentity(t *testing.T) {
	reader := blobReader{account: "acme", identity: func() (func(context.Context) (string, error), error) {
		return func(context.Context) (string, error) { return "t0ken", nil }, nil
	}}
	azureAccount(t, nil)
	r := httptest.NewRequest(http.MethodGet, "https://acme.blob.core.windows.net/modules/a.zip", nil)
	if err := reader.sign(t.Context(), r); err != nil || r.Header.Get("Authorization") != "Bearer t0ken" {
		t.Error(r.Header, err)
	}
	reader.identity = func() (func(context.Context) (string, error), error) { return nil, errors.New("nobody") }
	wantError(t, reader.sign(t.Context(), r), "write its address without azure::")
}
