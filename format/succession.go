package format

import (
	"context"
	"time"

	"millpond"
)

// A Successor is a Source whose listing of a package grows out of the one before, and must not be shown before what it lists
// is here: a suite of Debian, of which each signed Release is a version, and whose readers want indexes that belong together.
// Its Succeed is asked in place of Package.
type Successor interface {
	// Succeed reads the listing of a package, given the one that is kept (nil if there is none, and never to be changed). It
	// is taken as it is: versions and files of the one before that are not in it any more are forgotten, and when a version
	// was first Seen it says itself. Readers see it when Succeed has returned, whole, and the one before until then. The After of
	// a BadUpstream error is when to ask again while there is one before, within 5 seconds and a minute.
	Succeed(ctx context.Context, name string, before *millpond.Package, k Keeper) (*millpond.Package, error)
}

// A Keeper holds files of a listing before any reader sees it. It belongs to one call of Succeed.
type Keeper interface {
	// Held reports whether the bytes of a file are here.
	Held(ctx context.Context, k millpond.Key) (bool, error)
	// Hold has the bytes of a file here when it returns: it fetches and verifies them as it would for a reader, unless some
	// file of the same package with the same sha256 is held.
	Hold(ctx context.Context, k millpond.Key, f *millpond.File) error
	// Open opens a file that is held; NotFound if it is not.
	Open(ctx context.Context, k millpond.Key) (*millpond.Content, error)
	// Put makes bytes that were read already those of a file, which nobody can fetch again: they are never evicted.
	Put(ctx context.Context, k millpond.Key, body []byte, kind string, modified time.Time) error
	// Drop forgets what is held of a version.
	Drop(ctx context.Context, pkg, version string) error
}

// Elsewhere is a Source that knows another address of a file that was not found at its URL.
type Elsewhere interface {
	// Elsewhere returns the address, absolute; "" if there is none.
	Elsewhere(k millpond.Key, f *millpond.File) string
}

// A Knower is a Repo that tells which names an upstream is known to have, because their listings are kept. It asks nobody.
type Knower interface {
	Known(ctx context.Context) ([]string, error)
}
