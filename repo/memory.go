package repo

import (
	"bytes"
	"io"
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

// redacted is a URL without what could be a secret: user, password, query.
func redacted(url string) string {
	url, _, _ = strings.Cut(url, "?")
	if scheme, rest, ok := strings.Cut(url, "://"); ok {
		host, path, _ := strings.Cut(rest, "/")
		if _, after, ok := strings.Cut(host, "@"); ok {
			url = scheme + "://" + after + "/" + path
		}
	}
	return url
}
