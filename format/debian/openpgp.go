package debian

import (
	"bytes"
	"crypto"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"millpond"
)

const (
	beginSigned = "-----BEGIN PGP SIGNED MESSAGE-----"
	beginSig    = "-----BEGIN PGP SIGNATURE-----"
	endSig      = "-----END PGP SIGNATURE-----"
)

// splitSigned takes an InRelease apart as apt does: it begins with the first line of one message, and behind that are only
// signatures and white space. text is what is parsed, and hashed is what the signatures are of: the same, but for the ends
// of its lines. A file that is not signed at all is its own text, and has no signature.
func splitSigned(b []byte) (text, hashed []byte, signatures []string, err error) {
	lines := strings.SplitAfter(string(b), "\n")
	plain := func(i int) string { return strings.TrimRight(lines[i], "\r\n \t") }
	if plain(0) != beginSigned {
		if bytes.Contains(b, []byte(beginSigned)) {
			return nil, nil, nil, notRelease("there is text before the signed message")
		}
		return b, b, nil, nil
	}
	i := 1
	for ; i < len(lines) && plain(i) != ""; i++ {
		if !strings.HasPrefix(lines[i], "Hash:") {
			return nil, nil, nil, notRelease("the signed message has the header " + fmt.Sprintf("%.60q", plain(i)))
		}
	}
	var out, canonical bytes.Buffer
	for i++; ; i++ {
		if i >= len(lines) {
			return nil, nil, nil, notRelease("the signed message has no end")
		}
		if plain(i) == beginSig {
			break
		}
		line, ok := strings.CutPrefix(lines[i], "- ")
		if !ok && strings.HasPrefix(line, "-") {
			return nil, nil, nil, notRelease("a line of the signed message begins with a dash")
		}
		line = strings.TrimRight(line, "\r\n \t")
		out.WriteString(line + "\n")
		canonical.WriteString(line + "\r\n")
	}
	for ; i < len(lines); i++ {
		if plain(i) == "" {
			continue
		}
		if plain(i) != beginSig {
			return nil, nil, nil, notRelease("there is text behind the signed message")
		}
		begin := i
		for ; i < len(lines) && plain(i) != endSig; i++ {
		}
		if i >= len(lines) {
			return nil, nil, nil, notRelease("a signature has no end")
		}
		signatures = append(signatures, strings.Join(lines[begin:i+1], ""))
	}
	return out.Bytes(), bytes.TrimSuffix(canonical.Bytes(), []byte("\r\n")), signatures, nil
}

// readKeys reads the keys of an option: keys in armor, or the names of files, one a line.
func readKeys(option string) (openpgp.EntityList, error) {
	var all openpgp.EntityList
	read := func(b []byte) error {
		if bytes.Contains(b, []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----")) {
			for len(bytes.TrimSpace(b)) > 0 {
				const end = "-----END PGP PUBLIC KEY BLOCK-----"
				i := bytes.Index(b, []byte(end))
				if i < 0 {
					break
				}
				keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(b[:i+len(end)]))
				if err != nil {
					return err
				}
				all, b = append(all, keys...), b[i+len(end):]
			}
			return nil
		}
		keys, err := openpgp.ReadKeyRing(bytes.NewReader(b))
		all = append(all, keys...)
		return err
	}
	if strings.Contains(option, "-----BEGIN PGP") {
		return all, read([]byte(option))
	}
	for _, name := range strings.Fields(option) {
		b, err := os.ReadFile(name)
		if err == nil {
			err = read(b)
		}
		if err != nil {
			return nil, &millpond.Error{Kind: millpond.Unready, Why: "the keyring " + name + " cannot be read", Err: err}
		}
	}
	return all, nil
}

// verify reports, as an error in words, unless one of the signatures is good, of one of the keys, and by a hash that holds.
// armored signatures are joined by binary ones.
func verify(keys openpgp.EntityList, signed []byte, armored []string, binary []byte, now time.Time) error {
	config := &packet.Config{Time: func() time.Time { return now }}
	var last error = &millpond.Error{Kind: millpond.BadUpstream, Why: "the Release is not signed"}
	try := func(r io.Reader) bool {
		// One signature at a time: a bad one must not hide a good one behind it.
		packets := packet.NewOpaqueReader(r)
		for {
			opaque, err := packets.Next()
			if err != nil {
				return false
			}
			p, err := opaque.Parse()
			sig, ok := p.(*packet.Signature)
			if err != nil || !ok {
				continue
			}
			if weak(sig.Hash) {
				last = fmt.Errorf("a signature is by %v, which no longer proves anything", sig.Hash)
				continue
			}
			var one bytes.Buffer
			if err := opaque.Serialize(&one); err != nil {
				last = err
				continue
			}
			_, _, err = openpgp.VerifyDetachedSignature(keys, bytes.NewReader(signed), &one, config)
			if err == nil {
				return true
			}
			last = err
		}
	}
	for _, s := range armored {
		block, err := armor.Decode(strings.NewReader(s))
		if err != nil {
			last = err
			continue
		}
		if try(block.Body) {
			return nil
		}
	}
	if len(binary) > 0 && try(bytes.NewReader(binary)) {
		return nil
	}
	return &millpond.Error{Kind: millpond.BadUpstream, Why: "no signature of the Release is good by the configured keyring", Err: last}
}

func weak(h crypto.Hash) bool { return h == crypto.MD5 || h == crypto.SHA1 || h == crypto.RIPEMD160 }

// dearmor takes a Release.gpg apart, which may be in armor or not.
func dearmor(b []byte) (armored []string, binary []byte) {
	text := string(b)
	if !strings.Contains(text, beginSig) {
		return nil, b
	}
	for {
		_, rest, ok := strings.Cut(text, beginSig)
		if !ok {
			return armored, nil
		}
		body, after, ok := strings.Cut(rest, endSig)
		if !ok {
			return armored, nil
		}
		armored, text = append(armored, beginSig+body+endSig+"\n"), after
	}
}

// A signer signs what the repository makes itself.
type signer struct{ keys openpgp.EntityList }

// newKey makes the key of a repository, version 4, without an end: Ed25519, or RSA of so many bits, for clients that know no other.
func newKey(name string, rsaBits int, now time.Time) ([]byte, error) {
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, DefaultHash: crypto.SHA512, Time: func() time.Time { return now }}
	if rsaBits > 0 {
		config.Algorithm, config.RSABits = packet.PubKeyAlgoRSA, rsaBits
	}
	e, err := openpgp.NewEntity(name, "signs its Releases", "", config)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = e.SerializePrivateWithoutSigning(&b, config)
	return b.Bytes(), err
}

// readSigner reads keys as newKey makes them, one behind the other: all of them sign.
func readSigner(b []byte) (signer, error) {
	keys, err := openpgp.ReadKeyRing(bytes.NewReader(b))
	if err != nil {
		return signer{}, fmt.Errorf("read the key of the repository: %w", err)
	}
	return signer{keys}, nil
}

// public are the public keys, in armor or not.
func (s signer) public(inArmor bool) ([]byte, error) {
	var b bytes.Buffer
	var w io.Writer = &b
	var wrapped io.WriteCloser
	if inArmor {
		var err error
		if wrapped, err = armor.Encode(&b, openpgp.PublicKeyType, nil); err != nil {
			return nil, err
		}
		w = wrapped
	}
	for _, e := range s.keys {
		if err := e.Serialize(w); err != nil {
			return nil, err
		}
	}
	if wrapped != nil {
		if err := wrapped.Close(); err != nil {
			return nil, err
		}
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// sign makes the InRelease and the Release.gpg of a Release.
func (s signer) sign(text []byte, now time.Time) (inRelease, detached []byte, err error) {
	for line := range bytes.Lines(text) {
		if line[0] == '-' || bytes.TrimRight(line, " \t\r\n") == nil || len(bytes.TrimRight(line, "\n")) != len(bytes.TrimRight(line, " \t\r\n")) {
			return nil, nil, fmt.Errorf("a Release cannot be signed that has the line %q", line)
		}
	}
	config := &packet.Config{DefaultHash: crypto.SHA512, Time: func() time.Time { return now }}
	// The writer of clear signed text leaves out the checksum of the armor, without which gpgv may refuse it; so the file is put
	// together here. The line end before the signature is not part of what is signed.
	inline, err := s.armored(bytes.TrimSuffix(text, []byte("\n")), config)
	if err != nil {
		return nil, nil, err
	}
	if detached, err = s.armored(text, config); err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	b.WriteString(beginSigned + "\nHash: SHA512\n\n")
	b.Write(text)
	b.Write(inline)
	return b.Bytes(), detached, nil
}

// armored is one block with the signature of every key.
func (s signer) armored(text []byte, config *packet.Config) ([]byte, error) {
	var raw bytes.Buffer
	for _, e := range s.keys {
		if err := openpgp.DetachSignText(&raw, e, bytes.NewReader(text), config); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.SignatureType, nil)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(raw.Bytes()); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
