// Package fetch gets bytes from upstreams that are slow, lying or gone. It coalesces readers onto one download, lets them
// follow the growing bytes, verifies before the last of them leave, resumes, retries, and keeps a breaker, a budget and
// manners for every upstream. It knows no ecosystem and keeps no records: what it seals goes to a blob.Store, and its
// caller is told.
package fetch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"millpond"
)

// A Request asks for a document: a text that may change, read whole.
type Request struct {
	URL      string // absolute
	Accept   string // "" is */*
	ETag     string // of the kept one, for a conditional request; "" asks unconditionally
	Modified string // its Last-Modified
	Limit    int64  // of the text after decompression; 0 is 128 MiB
	Fresh    bool   // send Cache-Control: no-cache
	Empty    bool   // an empty text is a document too; otherwise it is BadUpstream
	Head     bool   // ask by HEAD: the Document has a header and no text
	Scope    string // of the token that the upstream may want; "" takes none
}

// A Document is the answer to a Request. Who receives one calls Close; until Keep is called nothing of it remains after.
type Document struct {
	NotModified bool // 304: everything below but Header is zero

	io.ReaderAt                 // the text
	Size        int64           // of the text
	Text        millpond.Digest // sha256 of the text
	URL         *url.URL        // after redirects
	ETag        string
	Modified    string // Last-Modified as sent
	Type        string // Content-Type as sent
	Header      http.Header
	Wire        int64 // bytes that came over the wire

	spool *spool // nil if there is no text
}

// Keep seals the text in the store, in the form of package blob/seekable, and returns the digest of that form. Full if the
// store has no room.
func (d *Document) Keep(ctx context.Context) (millpond.Digest, error) {
	if d.spool == nil {
		return millpond.Digest{}, errors.New("fetch: a document that was not modified has no text to keep")
	}
	return d.spool.keep(ctx)
}

// Close ends the use of the document.
func (d *Document) Close() error {
	if d.spool == nil {
		return nil
	}
	return d.spool.close()
}

// A File asks for a file: bytes that never change.
type File struct {
	ID     string            // equal IDs share one download
	URL    string            // absolute; must not be taken from a client's request
	Want   []millpond.Digest // that the bytes must have; none only if nobody declared any
	Size   int64             // that the bytes must have; -1 if not known
	Accept string            // "" is */*
	Scope  string            // of the token that the upstream may want; "" takes none
	Limit  int64             // largest size taken; 0 is 20 GiB
	Drop   bool              // do not keep the bytes: pass them to the readers of this download and forget them

	// Get writes the bytes where they are not a plain GET of URL; nil otherwise.
	Get func(ctx context.Context, w io.Writer) error
	// Begin runs beside the download from its begin on, for what Verify will ask of others; nil does nothing. It returns when
	// ctx ends.
	Begin func(ctx context.Context)
	// Answered is told the header of every answer that brings bytes, before they are read; nil hears nothing.
	Answered func(header http.Header)
	// Sniff is asked with up to 512 first bytes before any reader sees them; nil accepts all.
	Sniff func(head []byte) error
	// Verify is asked when all bytes are there and have every digest in Want, before they are sealed; nil accepts all.
	Verify func(ctx context.Context, r io.ReaderAt, size int64) error
	// Sealed is told once, after the bytes are durable and before any reader sees their end; its error fails the download.
	// It is not called with Drop.
	Sealed func(ctx context.Context, s Sealed) error
	// Failed is told once if the download fails for good, with what its readers are told.
	Failed func(err error)
}

// Sealed tells what was downloaded.
type Sealed struct {
	Blob     millpond.Digest
	Size     int64
	Type     string // Content-Type as sent
	URL      *url.URL
	Wire     int64
	Duration time.Duration
}

// A Body is the reader of a File: of a download in flight, or of one that has just ended. It is a millpond.Arriving; each
// reader has its own position. The last 64 KiB, and all of a body of up to 1 MiB, wait for the verification.
type Body interface {
	millpond.Arriving
	// Size is the length, or -1 while it is not known.
	Size() int64
	// Type is the Content-Type as the upstream sent it.
	Type() string
	// Joined reports whether this reader follows a download that another began.
	Joined() bool
}

// Filed is a Body whose bytes so far may be in a file, from which the kernel can send them.
type Filed interface {
	millpond.Arriving
	// Piece waits, as Read does, for at most n bytes at the reader's position, and says where in a file they are. The file is
	// not the caller's alone: its offset is neither used nor moved, and it may be closed by others at any time. Who has used
	// the bytes seeks behind them. errors.ErrUnsupported if they have to be read.
	Piece(n int64) (f *os.File, off, size int64, err error)
}
