package store

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// keySize is the length of the store's key in bytes.
const keySize = 32

// Seal returns a digest of a secret that shows whether it changed and, without
// the store's key, nothing else: equal secrets have other digests in other
// stores. It is "hmac-sha256:" and 64 hexadecimal digits.
func (s *Store) Seal(secret []byte) (string, error) {
	key, err := s.key()
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(secret)
	return "hmac-sha256:" + hex.EncodeToString(mac.Sum(nil)), nil
}

// key is read once. The first to need it makes it.
func (s *Store) readKey() ([]byte, error) {
	path := s.path(keyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		fresh := make([]byte, keySize)
		if _, err := rand.Read(fresh); err != nil {
			return nil, err
		}
		err = s.sync.PublishNew(path, []byte(hex.EncodeToString(fresh)+"\n"), 0o600)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if err := s.sync.Flush(); err != nil {
			return nil, err
		}
		text, err = os.ReadFile(path) // another process may have been first
	}
	if err != nil {
		return nil, fmt.Errorf("read the store's key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("the store's key, %s, is damaged: restore it, or delete it to run everything that depends on a secret again", path)
	}
	return key, nil
}
