package storage

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// azuriteKey is the key of the account devstoreaccount1, which Azurite documents.
const azuriteKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

// emulated is a service that the test has started.
type emulated struct {
	address string
	put     func(name, content string) error
}

func TestTheEmulatorsOfTheCloudsAreRead(t *testing.T) {
	for typ, c := range map[string]struct {
		start func(*testing.T, string, string) emulated
		args  map[string]any
		path  string
	}{
		"azure": {azurite, map[string]any{"container": "data"}, "/devstoreaccount1"},
		"gcs":   {fakeGCSServer, map[string]any{"bucket": "data"}, ""},
	} {
		t.Run(typ, func(t *testing.T) {
			variable := "QUERN_TEST_" + strings.ToUpper(typ)
			program := os.Getenv(variable)
			if program == "" {
				t.Skip(variable + " is not set: run make test-storage")
			}
			t.Setenv(files.CacheVariable, t.TempDir())
			e := c.start(t, program, freePort(t))
			for name, content := range map[string]string{"days/day=1/a.csv": "id\n1\n", "days/day=2/a.csv": "id\n2\n", "days/ä b+c.csv": "id\n3\n", "other.csv": "x\n"} {
				if err := e.put(name, content); err != nil {
					t.Fatal(err)
				}
			}
			c.args["endpoint"] = e.address + c.path
			publishedToEmulator(t, typ, c.args)
			c.args["path"] = "days/**"
			read := func() (*plugintest.ReadResult, error) {
				return plugintest.Read(t, Plugin("0.0.1"), plugintest.Case{Kind: plugin.KindSource, Type: typ, Args: c.args})
			}
			first, err := read()
			if err != nil || len(first.Rows) != 3 || fmt.Sprint(first.Rows[0]["id"], first.Rows[0]["day"], first.Rows[2]["id"]) != "1 1 3" {
				t.Fatal(first, err)
			}
			if err := e.put("days/day=1/a.csv", "id\n9\n"); err != nil {
				t.Fatal(err)
			}
			second, err := read()
			if err != nil || fmt.Sprint(second.Rows[0]["id"]) != "9" || second.Fingerprint.Value == first.Fingerprint.Value {
				t.Error(second, err)
			}
			c.args["path"] = "absent/*"
			if _, err := read(); err == nil || !strings.Contains(err.Error(), `matches "absent/*"`) {
				t.Error(err)
			}
		})
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// run starts a server, and ends it with the test.
func run(t *testing.T, port, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", program, err)
		}
	}
}

func azurite(t *testing.T, program, port string) emulated {
	run(t, port, program, "--silent", "--skipApiVersionCheck", "--blobPort", port, "--location", t.TempDir())
	t.Setenv("AZURE_STORAGE_ACCOUNT", "devstoreaccount1")
	t.Setenv("AZURE_STORAGE_KEY", azuriteKey)
	a := &Azure{Container: "data", Endpoint: "http://127.0.0.1:" + port + "/devstoreaccount1"}
	client, err := a.client(false)
	if err == nil {
		_, err = client.Create(t.Context(), &container.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return emulated{"http://127.0.0.1:" + port, func(name, content string) error {
		_, err := client.NewBlockBlobClient(name).UploadBuffer(t.Context(), []byte(content), nil)
		return err
	}}
}

func fakeGCSServer(t *testing.T, program, port string) emulated {
	run(t, port, program, "-scheme", "http", "-host", "127.0.0.1", "-port", port, "-backend", "memory")
	address := "http://127.0.0.1:" + port
	post := func(path, contentType, body string) error {
		resp, err := http.Post(address+path, contentType, strings.NewReader(body))
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", path, resp.Status)
		}
		return nil
	}
	if err := post("/storage/v1/b", "application/json", `{"name": "data"}`); err != nil {
		t.Fatal(err)
	}
	return emulated{address, func(name, content string) error {
		return post("/upload/storage/v1/b/data/o?uploadType=media&name="+url.QueryEscape(name), "text/csv", content)
	}}
}
