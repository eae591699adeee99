// Package blob keeps bytes by their sha256. It knows no names, owners or counts: what a blob is for is the catalog's affair.
package blob

import (
	"context"
	"io"
	"iter"
	"os"
	"time"

	"millpond"
)

// A Store keeps immutable bytes under their sha256. All its methods may be called by many goroutines.
type Store interface {
	// Open returns n bytes of the blob from off on; n < 0 means to its end. NotFound unless d is whole and verified here.
	// A store on disk returns an *os.File where off is 0 and n < 0, so that it can leave by sendfile; what it returns is an
	// io.Seeker then. The caller closes it.
	Open(ctx context.Context, d millpond.Digest, off, n int64) (io.ReadCloser, error)
	// Stat is the blob's size and when it was sealed. NotFound as for Open.
	Stat(ctx context.Context, d millpond.Digest) (Info, error)
	// Create begins a blob. Full if there is no room.
	Create(ctx context.Context) (Writer, error)
	// Resume goes on with a blob that was closed without Commit, after a crash too. NotFound if there is no such ID;
	// Conflict while another writer has it.
	Resume(ctx context.Context, id string) (Writer, error)
	// List yields the digests after one, ascending; the zero Digest begins at the first.
	List(ctx context.Context, after millpond.Digest) iter.Seq2[millpond.Digest, error]
	// Delete removes a blob. Readers that have it open read on. NotFound if it is not there.
	Delete(ctx context.Context, d millpond.Digest) error
	// Room says how much more can be kept. Stores without a limit say so with a negative Free.
	Room(ctx context.Context) (Room, error)
	// Tidy drops blobs last written before a time and neither committed nor being written, but those whose ID stays (nil:
	// none does), and what a crash has left over.
	Tidy(ctx context.Context, before time.Time, stays func(id string) bool) error
}

// Info is what a store knows of a blob.
type Info struct {
	Size int64
	// Sealed is when its bytes were last sealed, in whole seconds: sealing bytes that are already held moves it, so that a
	// sweep which leaves young blobs alone does not take what somebody is about to name.
	Sealed time.Time
}

// Room is a store's space, in bytes.
type Room struct{ Free, Total int64 }

// A Writer is a blob on its way in: one type serves uploads in chunks, resumed downloads, and the readers of a download in
// flight, who follow it with ReadAt. One goroutine writes; ReadAt and Size may be called by others meanwhile, and ReadAt
// works until Close even after Commit.
type Writer interface {
	io.Writer
	io.ReaderAt
	// ID names the unfinished blob for Resume.
	ID() string
	// Size is how many bytes were written so far, all of which ReadAt can read.
	Size() int64
	// Commit seals the blob if it has every digest in want, and makes it durable. Corrupt if it has not: nothing is kept
	// then. It returns the sha256. Digests whose algorithm only a format can compute are not in want. Sealing bytes that
	// are already held is no error.
	Commit(ctx context.Context, want ...millpond.Digest) (millpond.Digest, error)
	// Discard drops the bytes, which then cannot be resumed.
	Discard() error
	// Close ends the use of the Writer. Without Commit or Discard the bytes are kept for Resume.
	io.Closer
}

// Hint tells a writer how many bytes are to come, so that a store can refuse at once what has no room. Writers that take a
// hint implement it.
type Hint interface {
	// Expect is Full if n more bytes have no room.
	Expect(n int64) error
}

// Declarer tells a writer which algorithms Commit will be asked for, so that the bytes are hashed once, as they come. It
// is called before the first Write after Create or Resume; algorithms that only a format can compute are ignored. What was
// not declared costs Commit a second reading. Writers that hash as they write implement it.
type Declarer interface {
	Declare(algorithms ...string)
}

// Checker tells whether what was written has digests, before it is sealed. Writers that hash as they write implement it.
type Checker interface {
	// Check is Corrupt if the bytes written so far have not every digest in want; they stay as they are in any case.
	Check(ctx context.Context, want ...millpond.Digest) error
}

// Filed is a Writer whose bytes are in a file, so that the kernel can send them to those who follow it.
type Filed interface {
	// File is the file, which the Writer closes; nil if there is none to be shared. The bytes written so far, Size of them, are
	// at its beginning; what is behind them may change. Nobody moves its offset.
	File() *os.File
}

// A Placer is a Writer that also takes bytes ahead of those written so far, each at its own place, as the parts of an upload
// come. What was placed belongs to the blob once it is taken; Commit drops what was not. PlaceAt, ReadAt and Flush may be
// called by many goroutines at once. ReadAt reads what was placed as well; where nothing was, it reads zeros. Writers whose
// bytes may come in any order implement it.
type Placer interface {
	// PlaceAt keeps p at off, which is not before Size. Full as for Write; what it has kept of p then may be placed again.
	PlaceAt(p []byte, off int64) error
	// Flush makes durable what was written and placed so far.
	Flush() error
	// Take makes the first size bytes the blob's, which were all written or placed. They stay as they are from then on.
	// Nothing changes where they are the blob's already.
	Take(ctx context.Context, size int64) error
	// Rewind makes the first size bytes all that are the blob's, which were written or taken before: what is behind them
	// counts as placed. After Resume all bytes are the blob's, until it is called.
	Rewind(size int64) error
	// Sum is the sha256 of the bytes that are the blob's: what Commit would return.
	Sum(ctx context.Context) (millpond.Digest, error)
}

// Aside takes a damaged blob out of service: it is NotFound from then on, until its bytes are sealed anew. Stores whose
// bytes can rot implement it.
type Aside interface {
	// SetAside keeps the damaged bytes where a person can look at them and nothing serves them. NotFound if d is not here.
	SetAside(ctx context.Context, d millpond.Digest) error
}

// Sweeper deletes for a sweep, which decided some time ago that nothing names a blob.
type Sweeper interface {
	// DeleteOlder is Delete, but Conflict if the blob was sealed at or after before, even while this call runs.
	DeleteOlder(ctx context.Context, d millpond.Digest, before time.Time) error
}

// Stopper is a store that ends all writing when it can no longer promise that what it acknowledges will last.
type Stopper interface {
	// Stopped is why nothing can be written until a restart; nil while all is well.
	Stopped() error
}
