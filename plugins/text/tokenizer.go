package text

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/quern-dev/quern/internal/tokens"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// declareTokenizer checks the argument tokenizer: an encoding that comes with
// quern, or the path of a tokenizer.json, whose content becomes part of the
// stage's definition.
func declareTokenizer[A any](p *plugin.Prepare[A], name, root string) {
	if !p.Known("tokenizer") || name == "" || tokens.Known(name) {
		return
	}
	if !isTokenizerFile(name) {
		p.Errorf("tokenizer", "Unknown tokenizer %q\nUse o200k_base, cl100k_base, or the path of a tokenizer.json.", name)
		return
	}
	path := tokenizerPath(name, root)
	if err := p.AddFile("tokenizer", path); err != nil {
		if where := (*fs.PathError)(nil); errors.As(err, &where) {
			err = where.Err // the path as the user wrote it is enough
		}
		p.Errorf("tokenizer", "Cannot read the tokenizer %s\n%s.", name, err)
		return
	}
	if err := checkTokenizer(name, path); err != nil {
		p.Errorf("tokenizer", "Cannot use this tokenizer\n%s.", err)
	}
}

// checked are the digests of the files that can be read, because planning prepares a
// stage several times.
var checked sync.Map

func checkTokenizer(name, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	key := sha256.Sum256(content)
	if _, ok := checked.Load(key); ok {
		return nil
	}
	if err := tokens.Check(content); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	checked.Store(key, true)
	return nil
}

func isTokenizerFile(name string) bool { return strings.HasSuffix(name, ".json") }

func tokenizerPath(name, root string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(root, name)
}

// opened remembers tokenizers by their content, because several stages can use one.
var opened sync.Map

// openTokenizer returns the tokenizer with a name that declareTokenizer accepts.
func openTokenizer(name, root string) (*tokens.Counter, error) {
	if !isTokenizerFile(name) {
		return tokens.For(name), nil
	}
	content, err := os.ReadFile(tokenizerPath(name, root))
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(content)
	if c, ok := opened.Load(key); ok {
		return c.(*tokens.Counter), nil
	}
	c, err := tokens.Read(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	opened.Store(key, c)
	return c, nil
}
