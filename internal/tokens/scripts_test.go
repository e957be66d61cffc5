package tokens

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/quern-dev/quern/internal/tokenizer"
)

func unzip(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "tokenizer", "testdata", name+".json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// The texts are in about 60 scripts and languages, and the checksums, which
// testdata/scripts.py of the package tokenizer has written, are those of the tokens of
// PyPI's tokenizers and tiktoken.
func TestTenThousandTextsHaveTheTokensOfTheirLibraries(t *testing.T) {
	var want struct {
		Texts     []string
		Checksums map[string][]uint32
	}
	if err := json.Unmarshal(unzip(t, "scripts"), &want); err != nil {
		t.Fatal(err)
	}
	if len(want.Texts) != 10_000 || len(want.Checksums) != 7 {
		t.Fatalf("%d texts, %d tokenizers", len(want.Texts), len(want.Checksums))
	}
	for name, checksums := range want.Checksums {
		t.Run(name, func(t *testing.T) {
			c, isFile := For(name), !Known(name)
			if isFile {
				var err error
				if c, err = Read(unzip(t, name)); err != nil {
					t.Fatal(err)
				}
			}
			for i, text := range want.Texts {
				e, err := c.Encode(text, tokenizer.Options{Special: true, Offsets: isFile})
				if err != nil {
					t.Fatalf("%q: %v", text, err)
				}
				if got := checksum(text, e); got != checksums[i] {
					t.Errorf("%q has the tokens %v", text, e.IDs)
				}
			}
		})
	}
}

// checksum is that of the IDs, and of the characters at which the tokens begin and end.
func checksum(text string, e *tokenizer.Encoding) uint32 {
	lists := []string{list(len(e.IDs), func(i int) any { return e.IDs[i] })}
	if e.Offsets != nil {
		character := make([]int, len(text)+1)
		for i := range text {
			character[i] = utf8.RuneCountInString(text[:i])
		}
		character[len(text)] = utf8.RuneCountInString(text)
		lists = append(lists, list(len(e.Offsets), func(i int) any { return character[e.Offsets[i].Start] }),
			list(len(e.Offsets), func(i int) any { return character[e.Offsets[i].End] }))
	}
	return crc32.ChecksumIEEE([]byte(strings.Join(lists, ";"))) & 0xFFFF
}

func list(n int, at func(int) any) string {
	parts := make([]string, n)
	for i := range n {
		parts[i] = fmt.Sprint(at(i))
	}
	return strings.Join(parts, ",")
}
