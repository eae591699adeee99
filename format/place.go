package format

import (
	"context"
	"net/http"
	"net/url"
)

type rootKey struct{}

// AtRoot returns the context of a request that came to a repository where it is the root, of a host or of a listener of its
// own. base is the repository's address there; its path ends in "/". The server says so, and Repo.Base and Repo.Root answer
// it.
func AtRoot(ctx context.Context, base *url.URL) context.Context {
	return context.WithValue(ctx, rootKey{}, base)
}

// RootOf is the address of the repository where it is the root, if a request came to it there; else nil. The caller may
// change the copy.
func RootOf(ctx context.Context) *url.URL {
	base, ok := ctx.Value(rootKey{}).(*url.URL)
	if !ok {
		return nil
	}
	u := *base
	return &u
}

// PlaceOf is the address, as this client knows it, of one of the format's Roots for this repository: "/packages/" is at
// "https://pond.example/packages/pypi/", and at "https://pypi.example/packages/" where the repository is the root itself. Its
// path ends in "/".
func PlaceOf(repo Tools, r *http.Request, root string) *url.URL {
	u := repo.Root(r)
	u.Path += root[1:]
	if RootOf(r.Context()) == nil {
		u.Path += repo.Name() + "/"
	}
	return u
}

// Slot is one of eight words. A document that holds absolute addresses is derived under the Slot of its base, with the base in its
// Stamp: so it is kept for that many bases at a time, and whoever invents host names cannot fill the disk.
func Slot(base string) string {
	var sum uint32 = 2166136261 // FNV-1a
	for i := range len(base) {
		sum = (sum ^ uint32(base[i])) * 16777619
	}
	return "01234567"[sum%8 : sum%8+1]
}

// A Strayer is a Format some of whose clients leave the repository's path out, and ask the root of the host for what they were
// told is below it. One repository of a pond may be given what is theirs there.
type Strayer interface {
	// Strays reports whether an escaped path below the root of a host can only be one that such a client means for a repository.
	// It is pure and cheap. The pond's own addresses and the names of repositories come before it.
	Strays(escaped string) bool
}
