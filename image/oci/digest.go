package oci

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
)

// A Digest names contents by their hash, "sha256:" or "sha512:" and hexadecimal digits.
type Digest string

// Check returns an error that wraps [ErrManifest] unless d is a digest that can be verified.
func (d Digest) Check() error {
	algorithm, digits, _ := strings.Cut(string(d), ":")
	want := -1
	switch algorithm {
	case "sha256":
		want = sha256.Size
	case "sha512":
		want = sha512.Size
	}
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != want || digits != strings.ToLower(digits) {
		return fmt.Errorf("%w: digest %.90q", ErrManifest, string(d))
	}
	return nil
}

// Hex returns the digits, and Algorithm what is before them.
func (d Digest) Hex() string { return string(d)[strings.IndexByte(string(d), ':')+1:] }

// Algorithm returns "sha256" or "sha512".
func (d Digest) Algorithm() string { a, _, _ := strings.Cut(string(d), ":"); return a }

func (d Digest) hash() hash.Hash {
	if d.Algorithm() == "sha512" {
		return sha512.New()
	}
	return sha256.New()
}

// DigestOf returns the sha256 digest of b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// verify returns an error unless b has digest d.
func verify(b []byte, d Digest) error {
	h := d.hash()
	h.Write(b)
	if got := hex.EncodeToString(h.Sum(nil)); got != d.Hex() {
		return fmt.Errorf("%w: %s", ErrDigest, d)
	}
	return nil
}

// A verifier passes bytes through and compares them with a digest and a size. Where the
// bytes end it answers an error that wraps [ErrDigest] instead of io.EOF if they differ.
type verifier struct {
	r    io.Reader
	hash hash.Hash
	want Digest
	left int64 // bytes to come; negative: unknown
}

func newVerifier(r io.Reader, want Digest, size int64) *verifier {
	return &verifier{r: r, hash: want.hash(), want: want, left: size}
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	if v.left >= 0 {
		if int64(n) > v.left {
			return 0, fmt.Errorf("%w: %s has too many bytes", ErrDigest, v.want)
		}
		v.left -= int64(n)
	}
	if err != io.EOF {
		return n, err
	}
	if v.left > 0 {
		return n, fmt.Errorf("%w: %s is short of %d bytes", ErrDigest, v.want, v.left)
	}
	if hex.EncodeToString(v.hash.Sum(nil)) != v.want.Hex() {
		return n, fmt.Errorf("%w: %s", ErrDigest, v.want)
	}
	return n, io.EOF
}
