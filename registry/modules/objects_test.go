package modules

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// signature is the signature of a request to S3, computed as
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html says.
func signature(r *http.Request, secret, scope string, signed []string) string {
	hash := func(text string) string { s := sha256.Sum256([]byte(text)); return hex.EncodeToString(s[:]) }
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	headers := ""
	for _, name := range signed {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		headers += name + ":" + value + "\n"
	}
	request := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, headers, strings.Join(signed, ";"), r.Header.Get("X-Amz-Content-Sha256")}, "\n")
	text := "AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + scope + "\n" + hash(request)
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, text))
}

func TestObjectsInS3AreRequestedWithASignature(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_REGION", "eu-central-1")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fields := strings.FieldsFunc(r.Header.Get("Authorization"), func(r rune) bool { return r == ' ' || r == ',' })
		if len(fields) != 4 || fields[0] != "AWS4-HMAC-SHA256" {
			http.Error(w, "no signature", http.StatusForbidden)
			return
		}
		scope, ok := strings.CutPrefix(fields[1], "Credential=AKID/")
		want := signature(r, "hunter2", scope, strings.Split(strings.TrimPrefix(fields[2], "SignedHeaders="), ";"))
		if !ok || !strings.HasSuffix(scope, r.Header.Get("Want")+"/s3/aws4_request") || fields[3] != "Signature="+want {
			http.Error(w, "wrong signature", http.StatusForbidden)
			return
		}
		if !strings.Contains(scope, r.URL.Path[1:13]) { // the bucket is named after its region
			http.Error(w, "wrong region", http.StatusBadRequest)
			return
		}
		_, _ = w.Write(zipOf(t, plain))
	}))
	defer server.Close()
	for _, source := range []string{"/eu-central-1/a%20b.zip", "/eu-northern1/text.zip?region=eu-northern1"} {
		if _, _, err := get(t, "s3::"+server.URL+source, ""); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	_, _, err := get(t, "s3::"+server.URL+"/eu-central-1/text.zip", "")
	wantError(t, err, "the server answered 403")
}

func TestTheRegionIsInTheNameOfTheHost(t *testing.T) {
	for host, want := range map[string]string{
		"acme.s3.eu-west-1.amazonaws.com": "eu-west-1", "s3-us-west-2.amazonaws.com": "us-west-2",
		"s3.cn-north-1.amazonaws.com.cn": "cn-north-1",
	} {
		if m := s3Region().FindStringSubmatch(host); m == nil || m[1] != want {
			t.Errorf("%s: %q", host, m)
		}
	}
	for _, host := range []string{"acme.s3.amazonaws.com", "s3.amazonaws.com", "minio.example.com"} {
		if m := s3Region().FindStringSubmatch(host); m != nil {
			t.Errorf("%s: %q", host, m)
		}
	}
}

// The server is a stand-in of both Google's token server and Cloud Storage.
func TestObjectsInGoogleCloudStorageAreRequestedWithAToken(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(r.FormValue("assertion"), ".")
		sum := sha256.Sum256([]byte(strings.Join(parts[:2], ".")))
		sig, err := base64.RawURLEncoding.DecodeString(parts[2])
		claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil || rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], sig) != nil || !strings.Contains(string(claims), "devstorage.read_only") {
			http.Error(w, "bad assertion", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token": "granted", "token_type": "Bearer", "expires_in": 3600}`))
	})
	mux.HandleFunc("GET /acme/deep/text.zip", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer granted" {
			http.Error(w, "no token", http.StatusForbidden)
			return
		}
		_, _ = w.Write(zipOf(t, plain))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "a@example.com", "token_uri": server.URL + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, account, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(server.URL, "http://"))
	dir, _, err := get(t, "gcs::https://www.googleapis.com/storage/v1/acme/deep/text.zip", "")
	if err != nil || textOf(t, dir, "pkg/clean/main.quern.hcl") != "text" {
		t.Error(err)
	}
	_, _, err = get(t, "gcs::https://www.googleapis.com/storage/v1/acme/nowhere.zip", "")
	wantError(t, err, "the server answered 404")
}
