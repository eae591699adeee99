package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"

	"millpond"
	"millpond/format"
)

// A Secrets keeps keys apart from the catalog, as repo.Secrets does.
type Secrets interface {
	Secret(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error)
}

// signing is the key of which all others are made by which requests are signed. What is signed by a token's key is good for
// as long as the token is: nothing of it stands in the catalog.
type signing struct {
	secrets Secrets
	once    sync.Mutex // guards key
	key     []byte
}

// keyFor makes the key that something is signed with. Unsupported where there is no place for keys.
func (s *signing) keyFor(ctx context.Context, what string) ([]byte, error) {
	s.once.Lock()
	defer s.once.Unlock()
	if s.key == nil {
		if s.secrets == nil {
			return nil, wrong(millpond.Unsupported, "this pond has no place for keys, and takes nothing that is signed", "")
		}
		key, err := s.secrets.Secret(ctx, "signing", func() ([]byte, error) {
			b := make([]byte, 32)
			_, err := rand.Read(b)
			return b, err
		})
		if err != nil {
			return nil, err
		}
		s.key = key
	}
	return mac(s.key, what), nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// s3Secret is the secret access key whose id is a token's.
func (a *Auth) s3Secret(ctx context.Context, token string) (string, error) {
	key, err := a.signing.keyFor(ctx, "s3 "+token)
	return base64.RawURLEncoding.EncodeToString(key)[:40], err
}

// bySignature checks a request that is signed as S3's are.
func (a *Auth) bySignature(ctx context.Context, s *snapshot, r *http.Request, client string) (*identity, error) {
	v, err := readSignature(r, a.now())
	if err != nil {
		return nil, err
	}
	t := s.tokens[v.keyID]
	secret, err := a.s3Secret(ctx, v.keyID)
	if err != nil {
		return nil, err
	}
	if !v.good(r, secret, s.settings.PublicURL) || t == nil {
		if err := a.addresses.try(client); err != nil {
			return nil, err
		}
		return nil, because(wrong(millpond.Unauthenticated, "the signature does not fit the request, or the access key is not known here",
			"check the secret access key, and that nothing between changes host or path"), format.ErrSignature)
	}
	i, why := s.byToken(v.keyID, a.now())
	if i == nil {
		return nil, wrong(millpond.Unauthenticated, why, "make a new access key")
	}
	raise(a.lastUse(v.keyID), a.now().Unix())
	return i, v.guard(r, secret)
}

// byLink checks a signed link. Its maker's rights count, as they are now, and no more of them than the link is for.
func (a *Auth) byLink(ctx context.Context, s *snapshot, r *http.Request, client string) (*identity, error) {
	l, err := readLink(r)
	if err != nil {
		return nil, err
	}
	bad := func(why string) error {
		return wrong(millpond.Denied, why, "ask whoever gave it to you for another one")
	}
	key, err := a.signing.keyFor(ctx, "link "+l.key)
	if err != nil {
		return nil, err
	}
	if l.key != linkKey || !hmac.Equal(l.sum(key), l.signature) {
		if err := a.addresses.try(client); err != nil {
			return nil, err
		}
		return nil, bad("the link is not one of this pond, or was changed")
	}
	if !a.now().Before(l.expires) {
		return nil, bad("the link ended on " + l.expires.UTC().Format("2 Jan 2006 15:04 UTC"))
	}
	verb := millpond.VerbRead
	switch {
	case l.method == http.MethodPut && r.Method == http.MethodPut:
		verb = millpond.VerbPublish
	case l.method == http.MethodGet && (r.Method == http.MethodGet || r.Method == http.MethodHead):
	default:
		return nil, bad("the link is for " + l.method)
	}
	path := r.URL.Path
	if under := underOf(s.settings.PublicURL); !l.covers(path) && under != "" {
		path = strings.TrimPrefix(path, under)
	}
	if !l.covers(path) {
		return nil, bad("the link is for another file")
	}
	i, why := s.byToken(l.maker, a.now())
	if i == nil {
		return nil, bad(why + ", and what it signed with it")
	}
	repository, _, _ := strings.Cut(strings.TrimPrefix(l.path, "/"), "/")
	return i.linked(&scope{Verbs: []millpond.Verb{verb}, Repositories: []string{repository}}), nil
}

// linked is an identity narrowed to what a link that it made is for.
func (i *identity) linked(to *scope) *identity {
	narrow := *i
	narrow.link = to
	narrow.within = append(slices.Clone(i.within), *to)
	narrow.rights = slices.DeleteFunc(slices.Clone(i.rights), func(g right) bool { return g.open })
	for _, g := range i.rights {
		if g.open { // what everybody may is narrowed for a link too
			g.verbs &= bit(millpond.VerbRead)
			narrow.rights = append(narrow.rights, g)
		}
	}
	return &narrow
}
