package config

import (
	"bytes"
	"runtime"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/config/internal/plain"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// pieceTokens is the most tokens of a file that are parsed at a time, if the file can be
// cut. hcl's parser keeps all tokens of its input, 96 bytes each, in a slice that grows by
// copying. Up to 170 tokens, it doubles, and its arrays have sizes that Go's allocator
// reuses; a piece that almost reaches them leaves the least garbage.
const pieceTokens = 170

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

// cut returns the longest piece with at most pieceTokens tokens, or the shortest one.
func cut(src []byte) (first, rest []byte) {
	const end = "\n}\n"
	at, tokens := 0, 0
	for at < len(src) {
		next := len(src)
		if i := bytes.Index(src[at:], []byte(end)); i >= 0 {
			next = at + i + len(end)
		}
		tokens += mostTokens(src[at:next])
		if at > 0 && tokens > pieceTokens {
			break
		}
		at = next
	}
	return src[:at], src[at:]
}

// mostTokens returns a number of tokens that a text does not exceed: each byte that is
// neither a space nor in the middle of a word may be one.
func mostTokens(src []byte) int {
	n, inWord := 0, false
	for _, b := range src {
		word := b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80
		if b != ' ' && !(word && inWord) {
			n++
		}
		inWord = word
	}
	return n
}

// parsePieces returns the body that the pieces form together, or nil if there is
// only one, or one of them does not parse.
func parsePieces(name string, all []piece) *hclsyntax.Body {
	if len(all) < 2 {
		return nil
	}
	bodies := make([]*hclsyntax.Body, len(all))
	parallel.For(len(all), runtime.GOMAXPROCS(0), func(i int) { bodies[i] = all[i].parse(name) })
	if slices.Contains(bodies, nil) {
		return nil
	}
	whole := bodies[0]
	for _, next := range bodies[1:] {
		if len(next.Attributes) > 0 {
			return nil // arguments are errors here; the parser reports duplicates
		}
		whole.Blocks = append(whole.Blocks, next.Blocks...)
		whole.SrcRange.End, whole.EndRange = next.SrcRange.End, next.EndRange
	}
	return whole
}

// parse returns the body that a piece has by itself, or nil if there are
// diagnostics.
func (p *piece) parse(name string) *hclsyntax.Body {
	if body := plain.Parse(p.src, name, p.start); body != nil {
		return body
	}
	f, diags := hclsyntax.ParseConfig(p.src, name, p.start)
	if len(diags) > 0 {
		return nil
	}
	return f.Body.(*hclsyntax.Body)
}
