package repo

import (
	"bytes"
	"io"
	"net/url"
	"strings"
)

// A memory is a body that is held in memory.
type memory struct{ bytes.Reader }

func newMemory(b []byte) *memory {
	m := &memory{}
	m.Reset(b)
	return m
}

func (*memory) Close() error { return nil }

var _ io.ReadSeekCloser = (*memory)(nil)

// withoutUser is a URL without user and password, to be given to a client.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}

// redacted is a URL without what could be a secret: user, password, query.
func redacted(address string) string {
	address, _, _ = strings.Cut(address, "?")
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		host, path, _ := strings.Cut(rest, "/")
		if _, after, ok := strings.Cut(host, "@"); ok {
			address = scheme + "://" + after + "/" + path
		}
	}
	return address
}
