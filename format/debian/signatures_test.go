package debian

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/binary"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
)

// TestCase23Signed: what is signed here passes gpgv, by keys of both kinds and whatever its length: armor has a checksum, without
// which gpgv refuses some lengths and takes others. (Two hundred lengths in the long run of test.sh, and full keys.)
func TestCase23Signed(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("gpgv"); err != nil {
		t.Skip("gpgv is not installed")
	}
	lengths, bits := 24, 2048
	if os.Getenv("DEBIANTEST_ROUNDS") != "" {
		lengths, bits = 200, 4096
	}
	for name, bits := range map[string]int{"Ed25519": 0, "RSA": bits} {
		t.Run(name, func(t *testing.T) {
			b, err := newKey("the pond", bits, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
			if err != nil {
				t.Fatal(err)
			}
			key, err := readSigner(b)
			if err != nil {
				t.Fatal(err)
			}
			public, err := key.public(false)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			write := func(name string, b []byte) string {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Error(err)
				}
				return path
			}
			ring := write("ring.gpg", public)
			const workers = 2
			var all sync.WaitGroup
			for worker := range workers {
				all.Go(func() {
					for n := worker; n < lengths && !t.Failed(); n += workers {
						text := []byte("Origin: x\nLabel: " + strings.Repeat("y", n+1) + "\n")
						in, detached, err := key.sign(text, time.Now().Add(-time.Minute))
						if err != nil {
							t.Error(err)
							return
						}
						file := func(kind string) string { return fmt.Sprintf("%s%d", kind, worker) }
						if out, err := exec.Command("gpgv", "--homedir", dir, "--keyring", ring, write(file("in"), in)).CombinedOutput(); err != nil {
							t.Errorf("InRelease of %d bytes: %v\n%s\n%s", len(text), err, out, in)
						}
						if out, err := exec.Command("gpgv", "--homedir", dir, "--keyring", ring, write(file("sig"), detached), write(file("text"), text)).CombinedOutput(); err != nil {
							t.Errorf("Release of %d bytes: %v\n%s", len(text), err, out)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// TestKeyType: the option says of what kind the key is that is made, and of what kind it cannot be.
func TestKeyType(t *testing.T) {
	h, _ := house(t, map[string]string{"key_type": "dsa"})
	if r := h.Want("a kind that is not made", h.Get("/key.gpg"), http.StatusServiceUnavailable); !strings.Contains(string(r.Body), "dsa") {
		t.Errorf("it is not said which: %s", r)
	}
	h, _ = house(t, map[string]string{"key_type": "ed25519"})
	keys, err := openpgp.ReadKeyRing(bytes.NewReader(good(t, h, "/key.gpg", nil).Body))
	if err != nil || len(keys) != 1 || keys[0].PrimaryKey.PubKeyAlgo != packet.PubKeyAlgoEdDSA || keys[0].PrimaryKey.Version != 4 {
		t.Errorf("the key is %+v, %v", keys, err)
	}
}

// signedAs is an InRelease by a key and a configuration of a test's own.
func signedAs(t *testing.T, key signer, text string, config *packet.Config) string {
	t.Helper()
	var raw, out bytes.Buffer
	if err := openpgp.DetachSignText(&raw, key.keys[0], strings.NewReader(strings.TrimSuffix(text, "\n")), config); err != nil {
		t.Fatal(err)
	}
	w, err := armor.Encode(&out, openpgp.SignatureType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(raw.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return beginSigned + "\nHash: SHA512\n\n" + text + out.String() + "\n"
}

// byHand is a binary signature of a text that is put together here, since the library makes none that is weak: version 4, RSA.
func byHand(t *testing.T, e *openpgp.Entity, text string, hash crypto.Hash, at time.Time) []byte {
	t.Helper()
	id := map[crypto.Hash]byte{crypto.SHA1: 2, crypto.SHA256: 8}[hash]
	hashed := binary.BigEndian.AppendUint32([]byte{5, 2}, uint32(at.Unix())) // when it was made
	head := append(binary.BigEndian.AppendUint16([]byte{4, 1, 1, id}, uint16(len(hashed))), hashed...)
	sum := hash.New()
	sum.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	sum.Write(head)
	sum.Write(binary.BigEndian.AppendUint32([]byte{4, 0xff}, uint32(len(head))))
	digest := sum.Sum(nil)
	proof, err := rsa.SignPKCS1v15(nil, e.PrivateKey.PrivateKey.(*rsa.PrivateKey), hash, digest)
	if err != nil {
		t.Fatal(err)
	}
	body := append(head, 0, 10)
	body = binary.BigEndian.AppendUint64(append(body, 9, 16), e.PrimaryKey.KeyId)
	body = append(body, digest[:2]...)
	number := new(big.Int).SetBytes(proof)
	body = append(binary.BigEndian.AppendUint16(body, uint16(number.BitLen())), number.Bytes()...)
	return append(binary.BigEndian.AppendUint32([]byte{0xc2, 0xff}, uint32(len(body))), body...)
}

// TestCase13Weak: of signatures that prove nothing any more, or not yet, none is taken under a keyring: by a key that has run out, by
// SHA-1, or run out themselves. A binary Release.gpg is as good as one in armor, and so are lines that are escaped.
func TestCase13Weak(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		life, signed time.Duration // of the key, and of the signature; 0 is for ever
		hash         crypto.Hash
		escaped      bool
		good         bool
	}{
		"a good one":                {hash: crypto.SHA256, good: true},
		"lines that are escaped":    {hash: crypto.SHA512, escaped: true, good: true},
		"a key that has run out":    {hash: crypto.SHA512, life: 24 * time.Hour},
		"a signature that has":      {hash: crypto.SHA512, signed: 24 * time.Hour},
		"a key that has not, still": {hash: crypto.SHA512, life: 20 * 365 * 24 * time.Hour, good: true},
	} {
		t.Run(name, func(t *testing.T) {
			made := formattest.Epoch().AddDate(-2, 0, 0)
			config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, RSABits: 2048, KeyLifetimeSecs: uint32(c.life / time.Second), Time: func() time.Time { return made }}
			rsaToo := name == "a good one" // which is slow to make
			if rsaToo {
				config.Algorithm = packet.PubKeyAlgoRSA
			}
			e, err := openpgp.NewEntity("upstream", "", "", config)
			if err != nil {
				t.Fatal(err)
			}
			key := signer{openpgp.EntityList{e}}
			public, err := key.public(true)
			if err != nil {
				t.Fatal(err)
			}
			h, a := house(t, map[string]string{"verify": "keyring", "keyring": string(public)})
			text := string(a.Objects(t, formattest.Epoch().AddDate(0, -1, 0))["/debian"+inRelease].Body)
			in := signedAs(t, key, text, &packet.Config{DefaultHash: c.hash, SigLifetimeSecs: uint32(c.signed / time.Second), Time: func() time.Time { return made.Add(time.Minute) }})
			if c.escaped {
				in = strings.Replace(in, "\nLabel: ", "\n- Label: ", 1)
			}
			h.Up.Put("/debian"+inRelease, faulty.Object{Body: []byte(in)})
			if !c.good {
				h.Want("under a keyring", h.Get(inRelease), http.StatusServiceUnavailable)
				return
			}
			good(t, h, inRelease, []byte(in))

			// The same text with a binary signature beside it.
			var raw bytes.Buffer
			if err := openpgp.DetachSignText(&raw, e, strings.NewReader(text), &packet.Config{DefaultHash: c.hash, Time: func() time.Time { return made.Add(time.Minute) }}); err != nil {
				t.Fatal(err)
			}
			h.Up.Put("/debian/dists/old/Release", faulty.Object{Body: []byte(text)})
			h.Up.Put("/debian/dists/old/Release.gpg", faulty.Object{Body: raw.Bytes()})
			good(t, h, "/dists/old/Release.gpg", raw.Bytes())
			h.Up.Put("/debian/dists/older/Release", faulty.Object{Body: []byte(text + "\n")})
			h.Up.Put("/debian/dists/older/Release.gpg", faulty.Object{Body: raw.Bytes()[:raw.Len()-3]})
			h.Want("a binary signature that was cut", h.Get("/dists/older/Release"), http.StatusServiceUnavailable)
			if !rsaToo {
				return
			}
			for suite, hash := range map[string]crypto.Hash{"by-hand": crypto.SHA256, "by-sha1": crypto.SHA1} {
				h.Up.Put("/debian/dists/"+suite+"/Release", faulty.Object{Body: []byte(text)})
				h.Up.Put("/debian/dists/"+suite+"/Release.gpg", faulty.Object{Body: byHand(t, e, text, hash, made.Add(time.Minute))})
			}
			good(t, h, "/dists/by-hand/Release", []byte(text))
			h.Want("a signature by SHA-1", h.Get("/dists/by-sha1/Release"), http.StatusServiceUnavailable)
		})
	}
}
