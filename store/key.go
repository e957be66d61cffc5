package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/quern-dev/quern/store/backend"
)

// keySize is the length of the store's key in bytes.
const keySize = 32

// Seal returns a digest of a secret that shows whether the secret changed and,
// without the store's key, nothing else: equal secrets have different digests
// in different stores. It is "hmac-sha256:" and 64 hexadecimal digits.
func (s *Store) Seal(secret []byte) (string, error) {
	key, err := s.key()
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(secret)
	return "hmac-sha256:" + hex.EncodeToString(mac.Sum(nil)), nil
}

// readKey reads the key of the store in b. The first process that needs the key
// creates it.
func readKey(ctx context.Context, b backend.Backend) ([]byte, error) {
	text, _, err := b.Get(ctx, keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		fresh := make([]byte, keySize)
		if _, err := rand.Read(fresh); err != nil {
			return nil, err
		}
		err = b.PutIfAbsent(ctx, keyFile, backend.Bytes(hex.EncodeToString(fresh)+"\n"))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if err := b.Flush(ctx); err != nil {
			return nil, err
		}
		text, _, err = b.Get(ctx, keyFile) // another process may have been first
	}
	if err != nil {
		return nil, fmt.Errorf("read the store's key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("the store's key, %s, is damaged: restore it, or delete it to run everything that depends on a secret again", b.Place(keyFile))
	}
	return key, nil
}
