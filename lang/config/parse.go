package config

import (
	"bytes"
	"runtime"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// pieceBytes is about how much of a file is parsed at a time. The parser keeps
// all tokens of its input, some forty bytes of them for each byte, in a
// slice that grows by copying, so longer pieces cost more per byte.
const pieceBytes = 2 << 10

// parse parses a file. The body is nil if nothing could be read.
//
// A long file is parsed in pieces that end with a top-level block, in
// parallel. Where a piece ends is a guess, because a heredoc could contain the same
// line. But a piece that is cut out of something never parses, so the file is
// the sum of its pieces if each of them is free of diagnostics. Otherwise, it is parsed as a
// whole.
func parse(name string, src []byte) (*hclsyntax.Body, hcl.Diagnostics) {
	if body := parsePieces(name, pieces(src)); body != nil {
		return body, nil
	}
	f, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	if f == nil {
		return nil, diags
	}
	return f.Body.(*hclsyntax.Body), diags
}

// piece is a part of a file, and where it begins.
type piece struct {
	src   []byte
	start hcl.Pos
}

// pieces cuts a text after lines that consist of a closing brace.
func pieces(src []byte) []piece {
	var out []piece
	next := piece{start: hcl.InitialPos}
	for len(src) > 0 {
		next.src, src = cut(src)
		out = append(out, next)
		next.start.Byte += len(next.src)
		next.start.Line += bytes.Count(next.src, []byte("\n"))
	}
	return out
}

func cut(src []byte) (first, rest []byte) {
	if len(src) <= pieceBytes {
		return src, nil
	}
	const end = "\n}\n"
	i := bytes.Index(src[pieceBytes:], []byte(end))
	if i < 0 {
		return src, nil
	}
	i += pieceBytes + len(end)
	return src[:i], src[i:]
}

// parsePieces returns the body that the pieces form together, or nil if there is
// only one, or one of them does not parse.
func parsePieces(name string, all []piece) *hclsyntax.Body {
	if len(all) < 2 {
		return nil
	}
	files := make([]*hcl.File, len(all))
	diagnosed := make([]bool, len(all))
	parallel.For(len(all), runtime.GOMAXPROCS(0), func(i int) {
		var diags hcl.Diagnostics
		files[i], diags = hclsyntax.ParseConfig(all[i].src, name, all[i].start)
		diagnosed[i] = len(diags) > 0
	})
	if slices.Contains(diagnosed, true) {
		return nil
	}
	whole := files[0].Body.(*hclsyntax.Body)
	for _, f := range files[1:] {
		next := f.Body.(*hclsyntax.Body)
		if len(next.Attributes) > 0 {
			return nil // arguments are errors here; the parser reports duplicates
		}
		whole.Blocks = append(whole.Blocks, next.Blocks...)
		whole.SrcRange.End, whole.EndRange = next.SrcRange.End, next.EndRange
	}
	return whole
}
