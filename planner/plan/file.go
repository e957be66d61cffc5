package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// SourceFile is a file of the user that a node's result depends on, such as the
// script of a function that the stage calls.
type SourceFile struct {
	// Name identifies the file within the node. It is part of the definition key.
	Name string `json:"name"`
	Path string `json:"path"`
	// Digest is that of the content when the plugin read it: sha256:….
	Digest string `json:"digest"`
}

// Unchanged reports whether the file still has the content that the plugin
// read.
func (f *SourceFile) Unchanged() (bool, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", f.Name, err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return false, fmt.Errorf("read %s: %w", f.Name, err)
	}
	return "sha256:"+hex.EncodeToString(sum.Sum(nil)) == f.Digest, nil
}
