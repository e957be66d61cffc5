package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"golang.org/x/term"
)

// lineReader reads lines, without their line breaks. The last one may come with
// io.EOF.
type lineReader interface {
	readLine(prompt string) (string, error)
}

// lines returns a reader of standard input. On a terminal, lines can be edited,
// and earlier ones recalled.
func (c *console) lines() lineReader {
	in, out := c.ui.in, c.ui.out
	if !term.IsTerminal(int(in.Fd())) {
		return &plainLines{in: bufio.NewReader(in), prompt: func(string) {}}
	}
	if !term.IsTerminal(int(out.Fd())) || os.Getenv("TERM") == "dumb" {
		return &plainLines{in: bufio.NewReader(in), prompt: func(p string) { c.ui.printf("%s", p) }}
	}
	editor := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, out}, "")
	return &editedLines{editor: editor, ui: c.ui}
}

type plainLines struct {
	in     *bufio.Reader
	prompt func(string)
}

func (l *plainLines) readLine(prompt string) (string, error) {
	l.prompt(prompt)
	line, err := l.in.ReadString('\n')
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), err
}

type editedLines struct {
	editor *term.Terminal
	ui     *terminal
}

// readLine puts the terminal in raw mode only while it reads, because results
// are printed in the normal mode.
func (l *editedLines) readLine(prompt string) (line string, err error) {
	fd := int(l.ui.in.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, term.Restore(fd, before)) }()
	l.editor.SetPrompt(prompt)
	if err := l.editor.SetSize(l.ui.size(l.ui.out)); err != nil {
		return "", err
	}
	line, err = l.editor.ReadLine()
	if errors.Is(err, io.EOF) {
		fmt.Fprint(l.ui.out, "\r\n") // where Ctrl-D leaves the prompt
	}
	return line, err
}

// expression reads the lines of one expression.
func expression(lines lineReader) (string, error) {
	text, err := lines.readLine("> ")
	for err == nil && continues(text) {
		var more string
		more, err = lines.readLine(". ")
		text += "\n" + more
	}
	return text, err
}

var brackets = map[hclsyntax.TokenType]int{
	hclsyntax.TokenOParen: 1, hclsyntax.TokenCParen: -1,
	hclsyntax.TokenOBrack: 1, hclsyntax.TokenCBrack: -1,
	hclsyntax.TokenOBrace: 1, hclsyntax.TokenCBrace: -1,
	hclsyntax.TokenTemplateInterp: 1, hclsyntax.TokenTemplateControl: 1, hclsyntax.TokenTemplateSeqEnd: -1,
	hclsyntax.TokenOHeredoc: 1, hclsyntax.TokenCHeredoc: -1,
}

// continues reports whether an expression has brackets or a heredoc that are
// still open.
func continues(text string) bool {
	tokens, _ := hclsyntax.LexExpression([]byte(text+"\n"), "", hcl.InitialPos)
	open := 0
	for _, t := range tokens {
		open += brackets[t.Type]
	}
	return open > 0
}
