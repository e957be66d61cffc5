package data

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync"
)

// Unverified is what a file has to contain. Copies of a [Group] share it, so the file is
// verified once, by whoever reads it first.
type Unverified struct {
	digest string
	once   sync.Once
	err    error
}

// NewUnverified takes the SHA-256 of a file's bytes as sha256: and hexadecimal digits.
func NewUnverified(digest string) *Unverified { return &Unverified{digest: digest} }

// expected returns the digest, or "" if there is nothing to verify.
func (u *Unverified) expected() string {
	if u == nil {
		return ""
	}
	return u.digest
}

// Verify returns an error if the file does not have its digest.
func (g Group) Verify() error {
	u := g.Unverified
	if u == nil {
		return nil
	}
	u.once.Do(func() { u.err = u.verify(g.Path) })
	return u.err
}

func (u *Unverified) verify(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	// The file's own WriteTo would copy in small pieces.
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{f}, make([]byte, 1<<20)); err != nil {
		return fmt.Errorf("verify a file: %w", err)
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != u.digest {
		return fmt.Errorf("%s is damaged: its digest is %s, not %s", path, got, u.digest)
	}
	return nil
}
