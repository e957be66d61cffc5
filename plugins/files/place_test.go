package files

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quern-dev/quern/sdk/go/data"
)

// readAny reads files with the source for a format.
func readAny(t testing.TB, format string, p place) (data.Schema, *collected, error) {
	t.Helper()
	switch format {
	case "csv":
		return readCSV(t, usualCSV(), p)
	case "jsonl":
		return readJSONL(t, usualJSONL(), p)
	}
	return readParquetRows(t, &parquetArgs{}, p)
}

var formats = []string{"csv", "jsonl", "parquet"}

func TestPipesAndDevicesAreRefusedWithoutWaiting(t *testing.T) {
	p := folder(t, map[string]string{"folder/x": ""})
	if err := unix.Mkfifo(filepath.Join(p.root, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(p.root, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for path, want := range map[string]string{
		"pipe":      "pipe is a named pipe, not a file",
		"p*":        "pipe is a named pipe, not a file",
		"socket":    "socket is a socket, not a file",
		"/dev/zero": "/dev/zero is a device, not a file",
		"folder":    "folder is a folder",
		"":          "path is empty",
	} {
		for _, format := range formats {
			p.path = path
			if _, _, err := readAny(t, format, p); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %q: %v\nwant: %s", format, path, err, want)
			}
		}
	}
}

func TestAnErrorNamesTheFormatOfAFile(t *testing.T) {
	const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
	gz, _ := compressed(t, "PAR1\x00 and more")
	for content, want := range map[string]string{
		pointer:                             "a is a Git LFS pointer; run git lfs pull",
		"PAR1" + strings.Repeat("\x00", 99): "a is a Parquet file",
		gz:                                  "a is a Parquet file",
		"ARROW1\x00\x00":                    "a is an Arrow IPC (Feather) file",
		"PK\x03\x04":                        "a is a ZIP archive",
		"\n<!DOCTYPE html><html></html>":    "a is an HTML page",
	} {
		for _, format := range formats {
			if format == "parquet" && strings.Contains(want, "Parquet") {
				continue
			}
			p := folder(t, map[string]string{"a": content})
			if _, _, err := readAny(t, format, p); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: %v\nwant: %s", format, err, want)
			}
		}
	}
	// A word is not a file format.
	if _, rows, err := readAny(t, "csv", folder(t, map[string]string{"a": "ORCID,PARENT\n1,2\n"})); err != nil || len(rows.rows) != 1 {
		t.Errorf("%v, %v", rows, err)
	}
	for content, want := range map[string]string{
		"id,text\n1,x\n": `a is a text file, not a Parquet file`,
		`{"id": 1}`:      `source "jsonl"`,
		"":               "a is empty",
		"\x00\x01\x02":   "a is not a Parquet file",
		gz:               "a is compressed with gzip",
	} {
		p := folder(t, map[string]string{"a": content})
		if _, _, err := readAny(t, "parquet", p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant: %s", content, err, want)
		}
	}
}
