package raw

import (
	"bytes"
	"fmt"
	"io"
	"regexp"

	"millpond"
)

const (
	scanned      = 64 << 10 // of a file
	mostSecret   = 1 << 20  // larger files are no keys
	pkcs12Header = "\x02\x01\x03\x30"
)

// secrets are what private keys look like, and what they are called; never changed.
var secrets = []struct {
	what string
	look *regexp.Regexp
}{
	{"a private key in PEM", regexp.MustCompile(`-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----`)},
	{"a private key of PuTTY", regexp.MustCompile(`PuTTY-User-Key-File-[0-9]+:`)},
	{"an age identity", regexp.MustCompile(`AGE-SECRET-KEY-1[0-9A-Z]{20,}`)},
	{"a secret access key of a cloud", regexp.MustCompile(`(?i)aws_?secret_?access_?key["']?\s*[=:]\s*["']?[A-Za-z0-9/+]{40}`)},
	{"the key of a service account", regexp.MustCompile(`"private_key"\s*:\s*"-----BEGIN`)},
	{"a private JSON web key", regexp.MustCompile(`"kty"\s*:\s*"(RSA|EC|OKP)"[^}]*"d"\s*:\s*"[A-Za-z0-9_-]{20,}"`)},
	{"a key of WireGuard", regexp.MustCompile(`(?m)^\s*PrivateKey\s*=\s*[A-Za-z0-9+/]{43}=`)},
}

// secretIn says what secret a small file is, by its beginning; "" if it is none that is known.
func secretIn(head []byte) string {
	for _, s := range secrets {
		if s.look.Match(head) {
			return s.what
		}
	}
	switch {
	case len(head) > 8 && head[0] == 0x30 && head[1] >= 0x80 && bytes.Contains(head[:min(12, len(head))], []byte(pkcs12Header)):
		return "a PKCS#12 archive, which holds private keys"
	case len(head) > 8 && bytes.HasPrefix(head, []byte("\xfe\xed\xfe\xed\x00\x00\x00")):
		return "a Java key store"
	}
	return ""
}

// noSecrets refuses what is a private key. What was found is told to nobody but its publisher.
func (h handler) noSecrets(name string, bytes io.ReaderAt, size int64) error {
	rules, err := rulesOf("secrets", h.repo.Option("secrets"), "refuse", "allow")
	if err != nil || rules.of(name) == "allow" || size > mostSecret {
		return err
	}
	head := make([]byte, min(size, scanned))
	if _, err := bytes.ReadAt(head, 0); err != nil && err != io.EOF {
		return err
	}
	if what := secretIn(head); what != "" {
		return &millpond.Error{Kind: millpond.Invalid, Key: millpond.Key{Package: name}, Why: fmt.Sprintf("%s is %s, and this is no place for secrets", name, what),
			Hint: "keep it in a vault, or put it encrypted; an operator can say secrets: allow"}
	}
	return nil
}
