package main

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
)

const tokenizedRows = readRows + `
transform "tokenize" "tokens" {
  input     = source.rows
  text      = row.text
  tokenizer = "tokenizer.json"
}
`

// tokenizeRows is the number of texts to tokenize, of about 30 MB together.
const tokenizeRows = 100_000

// tokenize compares the texts per second of processor time with those of the
// library tokenizers. quern also reads and stores them.
func tokenize(b *bench) ([]result, error) {
	p, err := b.pipeline("tokenize", tokenizeRows)
	if err != nil {
		return nil, err
	}
	if err := unzip(filepath.Join(b.source, "internal", "tokenizer", "testdata", "gpt2.json.gz"), filepath.Join(p.dir, "tokenizer.json")); err != nil {
		return nil, err
	}
	if err := writeFiles(p.dir, map[string]string{"main.quern.hcl": readRows}); err != nil {
		return nil, err
	}
	if _, err := p.apply(); err != nil {
		return nil, err
	}
	if err := writeFiles(p.dir, map[string]string{"main.quern.hcl": tokenizedRows}); err != nil {
		return nil, err
	}
	ours, err := p.apply()
	if err != nil {
		return nil, err
	}
	speed := perSecond(tokenizeRows, ours.cpu)
	results := []result{
		figure("texts tokenized and stored, per CPU second", rate(speed)),
		figure("… largest process", megabytes(ours.peak())),
	}
	compared, err := p.tokenizers(speed)
	return append(results, compared...), err
}

func (p pipeline) tokenizers(speed int) ([]result, error) {
	python, err := p.installed("python")
	if err != nil || python == nil {
		return []result{figure("tokenizers", "is not installed")}, err
	}
	if _, err := p.command(p.dir, "artifact", "export", "source.rows", "-o", "rows.jsonl"); err != nil {
		return nil, err
	}
	other, err := python.run(p.dir, filepath.Join(p.source, "bench", "python", "tokens.py"), "rows.jsonl", "tokenizer.json")
	if err != nil {
		return nil, err
	}
	peer := perSecond(tokenizeRows, other.cpu)
	return []result{
		figure("tokenizers: the same, read from JSON and not stored", rate(peer)),
		atLeast("quern, as a multiple", float64(speed)/float64(peer), 0.8, times),
	}, nil
}

func unzip(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(z)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600)
}
