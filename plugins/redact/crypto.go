package redact

import (
	"bytes"
	"crypto/sha256"
	"math/big"
	"strings"
)

// findWallet finds the address of a cryptocurrency that begins at i: Bitcoin,
// Litecoin, Dogecoin, Dash, Zcash, and Tron in Base58Check, Bitcoin and Litecoin
// in Bech32, and Ethereum.
func findWallet(text string, i int) (match, bool) {
	end := i
	for end < len(text) && isAlnum(text[end]) && end-i <= 100 {
		end++
	}
	if word := text[i:end]; endsWord(text, end) && (base58Check(word) || bech32(word) || ethereum(word)) {
		return match{start: i, end: end, kind: kindWallet, value: word}, true
	}
	return match{}, false
}

const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58Check reports whether a word is an address with a known version byte and
// the right checksum.
func base58Check(word string) bool {
	if len(word) < 26 || len(word) > 36 || !strings.ContainsRune("13LMDXtT", rune(word[0])) {
		return false
	}
	n, base, d := new(big.Int), big.NewInt(58), new(big.Int)
	for k := range len(word) {
		v := strings.IndexByte(base58, word[k])
		if v < 0 {
			return false
		}
		n.Add(n.Mul(n, base), d.SetInt64(int64(v)))
	}
	zeros := len(word) - len(strings.TrimLeft(word, "1"))
	raw := append(make([]byte, zeros), n.Bytes()...)
	if len(raw) != 25 && len(raw) != 26 {
		return false
	}
	first := sha256.Sum256(raw[:len(raw)-4])
	second := sha256.Sum256(first[:])
	return bytes.Equal(second[:4], raw[len(raw)-4:])
}

const bech32Letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// bech32 reports whether a word is a SegWit address (BIP 173 and 350).
func bech32(word string) bool {
	lower := strings.ToLower(word)
	prefix, rest, ok := strings.Cut(lower, "1")
	if !ok || prefix != "bc" && prefix != "tb" && prefix != "ltc" || len(rest) < 8 || word != lower && word != strings.ToUpper(word) {
		return false
	}
	sum := uint32(1)
	add := func(v byte) {
		top := sum >> 25
		sum = (sum&0x1ffffff)<<5 ^ uint32(v)
		for k, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>k&1 == 1 {
				sum ^= g
			}
		}
	}
	for k := range len(prefix) {
		add(prefix[k] >> 5)
	}
	add(0)
	for k := range len(prefix) {
		add(prefix[k] & 31)
	}
	for k := range len(rest) {
		v := strings.IndexByte(bech32Letters, rest[k])
		if v < 0 {
			return false
		}
		add(byte(v))
	}
	return sum == 1 || sum == 0x2bc830a3
}

// ethereum reports whether a word has the form of an address of Ethereum.
func ethereum(word string) bool {
	digits, ok := strings.CutPrefix(word, "0x")
	return ok && len(digits) == 40 && strings.Trim(digits, "0123456789abcdefABCDEF") == "" && !same(digits)
}
