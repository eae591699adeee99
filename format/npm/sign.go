package npm

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"millpond"
	"millpond/format"
)

// keySecret is the name of the key that a repository signs with. It is made when something of its own is first shown.
const keySecret = "npm signing key"

// A signer signs a text and returns the name of the key and the signature, as npm has them. The same text has the same
// signature, so that a document that is made anew has the same bytes.
type signer func(text string) (id, sig string, err error)

var errNoKey = errors.New("nothing was signed here yet")

// key is the repository's key; nil if there is none, or none can be kept.
func key(ctx context.Context, repo format.Repo, make bool) (*ecdsa.PrivateKey, error) {
	der, err := repo.Secret(ctx, keySecret, func() ([]byte, error) {
		if !make {
			return nil, errNoKey
		}
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		return x509.MarshalECPrivateKey(k)
	})
	switch {
	case errors.Is(err, errNoKey), millpond.Is(err, millpond.Unsupported), millpond.Is(err, millpond.Unready), millpond.Is(err, millpond.Denied):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("the key to sign with: %w", err)
	}
	k, err := x509.ParseECPrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("the key to sign with cannot be read: %w", err)
	}
	return k, nil
}

// signer signs what is hosted here; nil if there is nothing to sign, or nothing to sign it with.
func (w *writer) signer(ctx context.Context, needed bool) (signer, error) {
	if !needed {
		return nil, nil
	}
	k, err := key(ctx, w.repo, true)
	if err != nil || k == nil {
		return nil, err
	}
	id, _, err := publicKey(k)
	if err != nil {
		return nil, err
	}
	return func(text string) (string, string, error) {
		sum := sha256.Sum256([]byte(text))
		sig, err := k.Sign(nil, sum[:], crypto.SHA256)
		if err != nil {
			return "", "", fmt.Errorf("sign: %w", err)
		}
		return id, base64.StdEncoding.EncodeToString(sig), nil
	}, nil
}

// publicKey is what others verify with, and its name.
func publicKey(k *ecdsa.PrivateKey) (id, public string, err error) {
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		return "", "", fmt.Errorf("the key to sign with has no public half: %w", err)
	}
	sum := sha256.Sum256(der)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(der), nil
}
