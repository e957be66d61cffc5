package modules

import (
	"strings"
	"testing"
)

func TestSourcesAreParsed(t *testing.T) {
	for text, want := range map[string]struct{ pkg, folder, name string }{
		"./clean":                       {"", "clean", ""},
		"../shared/./clean/":            {"", "../shared/clean", ""},
		".":                             {"", ".", ""},
		"github.com/acme/text":          {"git::https://github.com/acme/text.git", "", "text"},
		"github.com/acme/text.git//a/b": {"git::https://github.com/acme/text.git", "a/b", "text"},
		"gitlab.com/acme/group/text//clean?ref=v1":                    {"git::https://gitlab.com/acme/group/text.git?ref=v1", "clean", "text"},
		"git@github.com:acme/text.git//clean":                         {"git::ssh://git@github.com/acme/text.git", "clean", "text"},
		"git::git@example.com:acme/text":                              {"git::ssh://git@example.com/acme/text", "", "text"},
		"git::https://example.com/text//a?ref=b":                      {"git::https://example.com/text?ref=b", "a", "text"},
		"https://example.com/acme/text.git":                           {"https://example.com/acme/text.git", "", "text"},
		"git::ssh://git@example.com:2222/text.git":                    {"git::ssh://git@example.com:2222/text.git", "", "text"},
		"git::file:///srv/text.git//a":                                {"git::file:///srv/text.git", "a", "text"},
		"https://example.com/text-1.0.tar.gz//*/a":                    {"https://example.com/text-1.0.tar.gz", "*/a", "text-1.0"},
		"https://example.com/t.zip?b=1&a=2":                           {"https://example.com/t.zip?a=2&b=1", "", "t"},
		"oci://ghcr.io/acme/text//a?tag=1.0":                          {"oci://ghcr.io/acme/text?tag=1.0", "a", "text"},
		"s3::https://acme.s3.eu-west-1.amazonaws.com/t.zip//a":        {"s3::https://acme.s3.eu-west-1.amazonaws.com/t.zip", "a", "t"},
		"gcs::https://www.googleapis.com/storage/v1/acme/t.tar.gz//a": {"gcs::https://www.googleapis.com/storage/v1/acme/t.tar.gz", "a", "t"},
		"azure::https://acme.blob.core.windows.net/modules/t.zip//a":  {"azure::https://acme.blob.core.windows.net/modules/t.zip", "a", "t"},
		"oci://localhost:5000/text":                                   {"oci://localhost:5000/text", "", "text"},
	} {
		s, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if s.Package != want.pkg || s.Folder != want.folder {
			t.Errorf("%s: package %q, folder %q", text, s.Package, s.Folder)
		}
		if s.Local() != (want.pkg == "") || (!s.Local() && s.Name() != want.name) {
			t.Errorf("%s: local %t", text, s.Local())
		}
	}
}

func TestSourcesThatQuernRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"acme/clean":                           `Write a folder as "./NAME"`,
		"/srv/clean":                           `Write a folder as "./NAME"`,
		"":                                     `Write a folder as "./NAME"`,
		"git::https://example.com/a.git//../b": "must be a plain path within the package",
		"git::https://example.com/a.git//b/../../c":        "must be a plain path within the package",
		`https://example.com/a.zip//b\c`:                   "must be a plain path within the package",
		"https://bob:hunter2@example.com/a.zip":            "contains a password",
		"git::https://bob:hunter2@example.com/a.git":       "contains a password",
		"git::ext::sh -c evil":                             "contains a space",
		"git::ext://evil":                                  "begins with https://, ssh://, or file://",
		"git::ssh://-oProxyCommand=evil/x":                 "can begin with -",
		"git::https://example.com/a.git?ref=--upload-pack": "can begin with -",
		"git::https://example.com/a.git?depth=1":           `no parameter "depth"; its parameters are: ref`,
		"git::https://example.com/a.git?ref=":              "must have one value",
		"hg::https://example.com/a":                        `does not know the kind of source "hg"`,
		"ftp://example.com/a.zip":                          `does not know the scheme "ftp"`,
		"ssh://git@example.com/a.git/b":                    "git::ssh://example.com",
		"https://example.com":                              "is not the address of an archive",
		"https://example.com/a.zip?checksum=md5:1":         "must be sha256:",
		"oci://ghcr.io/acme/text:1.0":                      "oci://ghcr.io/acme/text?tag=TAG",
		"oci://ghcr.io/acme/text@sha256:ab":                "oci://ghcr.io/acme/text?tag=TAG",
		"oci://ghcr.io/Acme/text":                          "is not a repository of an OCI registry",
		"oci://ghcr.io/acme/text?digest=sha256:ab":         "is malformed",
		"oci://ghcr.io/acme/text?tag=a&digest=b":           "but not both",
		"s3::https://example.com":                          "write an object in S3 as",
		"s3::http://example.com/bucket/a.zip":              "write an object in S3 as",
		"gcs::https://storage.googleapis.com/bucket/a":     "write an object in Google Cloud Storage as",
		"azure::https://acme.blob.core.windows.net/a.zip":  "write a blob in Azure Blob Storage as",
		"azure::http://acme.blob.core.windows.net/m/a.zip": "write a blob in Azure Blob Storage as",
		"azure::https://example.com/modules/a.zip":         "write a blob in Azure Blob Storage as",
		"azure::https://a.blob.core.windows.net/m/a?sig=1": `no parameter "sig"`,
		"https://exa mple.com/a.zip":                       "contains a space",
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestNoMessageContainsACredential(t *testing.T) {
	for text, want := range map[string]string{
		"fatal: unable to access 'https://token@example.com/a.git/': 403": "fatal: unable to access 'https://example.com/a.git/': 403",
		"https://u:p@h/a?X-Amz-Signature=secret: no":                      "https://h/a?… no",
		"ssh://git@h/a, file:///b":                                        "ssh://h/a, file:///b",
	} {
		if got := Redact(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
