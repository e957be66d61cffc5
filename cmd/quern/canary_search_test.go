package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/cockroachdb/pebble/v2"
	"github.com/klauspost/compress/zstd"
)

// traces returns how a text can appear in output, by the name of the encoding.
func traces(text string) map[string]string {
	quoted := func(escape bool) string {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(escape)
		_ = enc.Encode(text)
		return strings.Trim(b.String(), "\"\n")
	}
	all := map[string]string{
		"as it is": text, "in JSON": quoted(false), "in JSON for HTML": quoted(true), "in Go": strings.Trim(strconv.Quote(text), `"`),
		"in a query": url.QueryEscape(text), "in a path": url.PathEscape(text),
		"in hex": hex.EncodeToString([]byte(text)), "in capital hex": strings.ToUpper(hex.EncodeToString([]byte(text))),
		"in capitals": strings.ToUpper(text), "in small letters": strings.ToLower(text), "in SQL": strings.ReplaceAll(text, "'", "''"),
	}
	for name, enc := range map[string]*base64.Encoding{"Base64": base64.StdEncoding, "Base64 for URLs": base64.URLEncoding} {
		for skipped := range 3 {
			// Complete groups of three bytes, starting at each of the three
			// possible positions.
			whole := text[skipped:]
			whole = whole[:len(whole)/3*3]
			all[fmt.Sprintf("in %s from byte %d", name, skipped)] = enc.EncodeToString([]byte(whole))
		}
	}
	// A quoted text may be cut off.
	const part = 12
	for i := 0; i+part <= len(text); i++ {
		all[fmt.Sprintf("from byte %d to %d", i, i+part)] = text[i : i+part]
	}
	return all
}

// canaries looks for secrets in everything that is printed and stored.
type canaries struct {
	t      *testing.T
	traces map[string]string // by text: which secret it is, and in which encoding
	env    []string
	cache  string
	// seen counts the places that were searched.
	seen map[string]int
}

func newCanaries(t *testing.T) *canaries {
	c := &canaries{t: t, traces: map[string]string{}, cache: t.TempDir(), seen: map[string]int{}}
	for _, secret := range []string{oddCanary, keyCanary, nestedCanary, numberCanary} {
		for how, trace := range traces(secret) {
			c.traces[trace] = fmt.Sprintf("%s %s", secret, how)
		}
	}
	nested, _ := json.Marshal(map[string]string{"user": "someone", "password": nestedCanary})
	c.env = append(os.Environ(), "NO_COLOR=1", "QUERN_PLUGIN_PATH="+binaries, "XDG_CACHE_HOME="+c.cache, "OPENAI_API_KEY="+keyCanary,
		"QUERN_VAR_s="+oddCanary, "QUERN_VAR_key="+keyCanary, "QUERN_VAR_n="+numberCanary, "QUERN_VAR_chosen=2", "QUERN_VAR_o="+string(nested))
	return c
}

// search reports each secret in a text.
func (c *canaries) search(where string, text []byte) {
	c.t.Helper()
	for trace, what := range c.traces {
		i := bytes.Index(text, []byte(trace))
		if i < 0 {
			continue
		}
		c.t.Errorf("%s contains %s:\n…%q…", where, what, text[max(0, i-200):min(len(text), i+len(trace)+100)])
		return // one is enough
	}
}

// quern runs the program in a folder and searches its output.
func (c *canaries) quern(dir string, args ...string) (said string, err error) {
	c.t.Helper()
	return c.with(dir, nil, "", args...)
}

func (c *canaries) with(dir string, env []string, input string, args ...string) (said string, err error) {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(binaries, "quern"), args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, append(slices.Clone(c.env), env...), strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	c.seen["commands"]++
	c.search(fmt.Sprintf("what quern %v prints", args), out)
	return string(out), err
}

// must is like quern for a command that must succeed.
func (c *canaries) must(dir string, args ...string) string {
	c.t.Helper()
	said, err := c.quern(dir, args...)
	if err != nil {
		c.t.Fatalf("quern %v: %v\n%s", args, err, said)
	}
	return said
}

// searchFiles searches every file below a folder.
func (c *canaries) searchFiles(dir string) {
	c.t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && filepath.Base(filepath.Dir(path)) == "responses" {
			c.searchAnswers(path)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		c.seen["files"]++
		c.search(path, text)
		return c.searchInside(path, text)
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// searchInside searches compressed files.
func (c *canaries) searchInside(path string, text []byte) error {
	if bytes.HasPrefix(text, []byte("PAR1")) {
		rows, err := parquetText(text)
		c.seen["Parquet files"]++
		c.search("the rows of "+path, rows)
		return err
	}
	from := bytes.Index(text, []byte{0x28, 0xb5, 0x2f, 0xfd})
	if from < 0 || strings.Contains(path, "/responses/") {
		return nil
	}
	r, err := zstd.NewReader(bytes.NewReader(text[from:]))
	if err != nil {
		return err
	}
	defer r.Close()
	plain, err := io.ReadAll(r)
	c.seen["compressed files"]++
	c.search("what is compressed in "+path, plain)
	return err
}

func parquetText(text []byte) ([]byte, error) {
	r, err := file.NewParquetReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	arrow, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	table, err := arrow.ReadTable(context.Background())
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	records := array.NewTableReader(table, 0)
	for records.Next() {
		if err := array.RecordToJSON(records.RecordBatch(), &b); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), records.Err()
}

// searchAnswers searches a database of cached answers.
func (c *canaries) searchAnswers(path string) {
	c.t.Helper()
	db, err := pebble.Open(path, &pebble.Options{ReadOnly: true, FormatMajorVersion: pebble.FormatNewest, Logger: silence{}})
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	all, err := db.NewIter(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer all.Close()
	for ok := all.First(); ok; ok = all.Next() {
		c.seen["answers"]++
		c.search("a kept answer", all.Value())
	}
}

// silence is a logger that logs nothing.
type silence struct{}

func (silence) Infof(string, ...any)  {}
func (silence) Errorf(string, ...any) {}
func (silence) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}
