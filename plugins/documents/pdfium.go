package documents

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// pdfMemory is the maximum memory for parsing a document, in pages of 64 KiB.
const pdfMemory = 16 << 10

// pdfParsers starts PDFium, which parses PDF documents. It runs as WebAssembly: it
// sees no files and no network, its memory is limited, and a parser that does not end
// can be stopped. Compiling it takes seconds, so the result is cached for the next
// start.
var pdfParsers = sync.OnceValues(func() (pdfium.Pool, error) {
	config := wazero.NewRuntimeConfig().
		WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling).
		WithCloseOnContextDone(true).
		WithMemoryLimitPages(pdfMemory)
	if cache, err := compiled(); err == nil {
		config = config.WithCompilationCache(cache)
	}
	pool, err := webassembly.Init(webassembly.Config{
		MaxTotal: parsers, FSConfig: wazero.NewFSConfig(), RuntimeConfig: config, Stdout: io.Discard, Stderr: io.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("PDFium cannot be started: %w", err)
	}
	return pool, nil
})

// parsers is the number of documents that are parsed at the same time. Documents that
// take too long may still be among them.
const parsers = 16

// compiled returns the cache of compiled programs.
func compiled() (wazero.CompilationCache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, "quern", "webassembly")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return wazero.NewCompilationCacheWithDir(dir)
}

// withPDFium calls use with a parser of its own. When ctx ends, the parser is stopped.
func withPDFium(ctx context.Context, use func(pdfium.Pdfium) error) (err error) {
	pool, err := pdfParsers()
	if err != nil {
		return err
	}
	parser, err := pool.GetInstanceWithContext(ctx)
	if err != nil {
		return fmt.Errorf("PDFium cannot be started: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = parser.Kill() })
	defer func() {
		if stop() {
			_ = parser.Close() // with everything that the document used
		} else {
			err = ctx.Err()
		}
	}()
	return use(parser)
}
