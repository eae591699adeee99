package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"hash/crc32"
	"strings"
	"time"

	"millpond"
)

const (
	lower  = "0123456789abcdefghijklmnopqrstuvwxyz"
	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

	tokenPrefix = "mp_"
	idLength    = 12
	secretChars = 43 // 62⁴³ > 2²⁵⁶
	sumChars    = 6  // 62⁶ > 2³²

	// How long a token lives if nobody says, and at most; and one made of a CI job's identity token.
	defaultLife = 30 * 24 * time.Hour
	maxLife     = 366 * 24 * time.Hour
	mintedLife  = 15 * time.Minute
)

// newSecret makes a token "mp_<id>_<random><checksum>" and what is kept of it. The prefix and the checksum let scanners find
// a token in a text and tell it from what only looks like one.
func newSecret(id string) (secret string, hash [32]byte) {
	text := tokenPrefix + id + "_" + random(secretChars, base62)
	secret = text + checksum(text)
	return secret, sha256.Sum256([]byte(secret))
}

// Hide takes the secret part out of every token in a text: some clients name the token that they end in the path of a request.
func Hide(text string) string {
	for from := 0; ; {
		i := strings.Index(text[from:], tokenPrefix)
		if i < 0 {
			return text
		}
		from += i + len(tokenPrefix)
		if len(text) <= from+idLength || text[from+idLength] != '_' || strings.Trim(text[from:from+idLength], lower) != "" {
			continue
		}
		begin := from + idLength + 1
		secret := text[begin:]
		if end := strings.IndexFunc(secret, func(r rune) bool { return !strings.ContainsRune(base62, r) }); end >= 0 {
			secret = secret[:end]
		}
		if secret != "" {
			text = text[:begin] + "…" + text[begin+len(secret):]
		}
	}
}

// checksum is a CRC-32 in base 62.
func checksum(text string) string {
	sum, out := crc32.ChecksumIEEE([]byte(text)), [sumChars]byte{}
	for i := sumChars - 1; i >= 0; i-- {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return string(out[:])
}

// tokenID is the id in a token's text; "" if the text is no whole token.
func tokenID(secret string) string {
	rest, ok := strings.CutPrefix(secret, tokenPrefix)
	if !ok {
		return ""
	}
	id, random, ok := strings.Cut(rest, "_")
	if !ok || id == "" || len(id) > 32 || len(random) != secretChars+sumChars {
		return ""
	}
	if end := len(secret) - sumChars; checksum(secret[:end]) != secret[end:] {
		return ""
	}
	return id
}

// fits compares a secret with what is kept of it, in constant time.
func fits(secret string, hash [32]byte) bool {
	got := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(got[:], hash[:]) == 1
}

// life is when a token that is made now ends. Invalid if that is in the past or too far away.
func life(now, asked time.Time, most time.Time) (time.Time, error) {
	end := asked
	if end.IsZero() {
		if end = now.Add(defaultLife); !most.IsZero() && end.After(most) {
			end = most
		}
	}
	switch {
	case !end.After(now):
		return end, wrong(millpond.Invalid, "a token cannot have expired before it is made", "")
	case end.After(now.Add(maxLife)):
		return end, wrong(millpond.Invalid, "a token lives for a year at most", "ask for an earlier end")
	case !most.IsZero() && end.After(most):
		return end, wrong(millpond.Denied, "a token cannot outlive the one it is made with, which ends "+most.UTC().Format(time.DateTime), "log in for longer: 'millpond login --user NAME --for 2160h'")
	}
	return end.UTC().Truncate(time.Millisecond), nil
}
