package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/singleflight"

	"millpond"
)

// The cost of an argon2id hash: memory in KiB, passes, threads.
const (
	argonMemory = 19 * 1024
	argonTime   = 2
	argonLanes  = 1
)

var errPassword = wrong(millpond.Unauthenticated, "no such name and password", "log in again")

// passwords checks passwords, which is slow on purpose: two at a time, and what was right is remembered for a few minutes.
type passwords struct {
	places chan struct{}
	nobody string   // a hash that no password fits, for names that nobody has
	key    [32]byte // of this process: what is remembered is of use to nobody else

	trying singleflight.Group

	mu    sync.Mutex // guards known
	known map[[32]byte]remembered
}

// remembered is a password that was right for a hash.
type remembered struct {
	hash  string
	until time.Time
}

func (p *passwords) init() {
	p.places = make(chan struct{}, 2)
	rand.Read(p.key[:]) // never fails
	p.nobody = hashPassword(random(32, base62))
	p.known = map[[32]byte]remembered{}
}

// hashPassword is a password as it is kept.
func hashPassword(password string) string {
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	hash := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, 32)
	enc := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, enc(salt), enc(hash))
}

// samePassword reports whether a password is the one that a hash is kept of.
func samePassword(kept, password string) bool {
	var version int
	var memory, passes uint32
	var lanes uint8
	parts := strings.Split(kept, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &lanes); err != nil || version != argon2.Version {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || err2 != nil || memory > 1<<20 || passes == 0 || passes > 100 || lanes == 0 || len(want) != 32 {
		return false
	}
	return subtle.ConstantTimeCompare(argon2.IDKey([]byte(password), salt, passes, memory, lanes, 32), want) == 1
}

// checkNewPassword is Invalid for a password that nobody should have.
func checkNewPassword(name, password string) error {
	switch {
	case !utf8.ValidString(password) || strings.ContainsFunc(password, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return wrong(millpond.Invalid, "a password is plain text", "")
	case utf8.RuneCountInString(password) < 10:
		return wrong(millpond.Invalid, "the password is too short", "ten characters at least")
	case len(password) > 1024:
		return wrong(millpond.Invalid, "the password is too long", "")
	case strings.EqualFold(password, name) || strings.Count(password, password[:1]) == len(password):
		return wrong(millpond.Invalid, "the password is too easy to guess", "")
	}
	return nil
}

// byPassword checks a person's password. Names that nobody has take the same work, and are locked out the same.
func (a *Auth) byPassword(ctx context.Context, s *snapshot, name, password, client string) (*identity, error) {
	if !s.settings.Passwords {
		return nil, wrong(millpond.Unauthenticated, "people do not log in with passwords here", "make a token, and send it as the password")
	}
	name = strings.ToLower(name)
	u, kept := s.users[name], a.passwords.nobody
	if u != nil && !u.Service && !u.Disabled && u.Hash != "" {
		kept = u.Hash
	}
	now := a.now()
	text := append(append(append([]byte{}, a.passwords.key[:]...), name...), 0)
	key := sha256.Sum256(append(text, password...))
	a.passwords.mu.Lock()
	known, ok := a.passwords.known[key]
	a.passwords.mu.Unlock()
	if ok && known.hash == kept && now.Before(known.until) {
		if i := s.byUser(name); i != nil {
			return i, nil
		}
	}
	// Many requests at once with the same password are one try.
	right, err, _ := a.passwords.trying.Do(string(key[:]), func() (any, error) { return a.tryPassword(ctx, name, password, kept, client) })
	if err != nil {
		return nil, err
	}
	if !right.(bool) {
		return nil, errPassword
	}
	i := s.byUser(name)
	if i == nil {
		return nil, errPassword
	}
	a.counts.add("login", name, "")
	a.passwords.mu.Lock()
	defer a.passwords.mu.Unlock()
	if len(a.passwords.known) >= 1000 {
		clear(a.passwords.known)
	}
	a.passwords.known[key] = remembered{kept, now.Add(5 * time.Minute)}
	return i, nil
}

// tryPassword compares, within the limits of the account and of the address.
func (a *Auth) tryPassword(ctx context.Context, name, password, kept, client string) (bool, error) {
	if err := a.addresses.try(client); err != nil {
		return false, err
	}
	if err := a.accounts.try(name); err != nil {
		a.addresses.forgive(client)
		return false, err
	}
	select {
	case a.passwords.places <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	same := len(password) <= 1024 && samePassword(kept, password)
	<-a.passwords.places
	if !same || kept == a.passwords.nobody {
		return false, nil
	}
	a.accounts.clear(name)
	a.addresses.forgive(client)
	return true, nil
}
