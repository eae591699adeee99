package repo

import (
	"context"
	"iter"
	"net/http"
	"time"

	"millpond"
	"millpond/fetch"
	"millpond/format"
)

// A layer is one source of a repository's packages. Its packages' versions carry its name, or its name, a slash, and a name
// of its own choice.
type layer interface {
	layerName() string
	union() bool // joins what the layers above have, instead of being hidden by it
	// listing is what the layer says of a package. asking false asks nobody.
	listing(ctx context.Context, name string, asking bool) (*listing, error)
	// again is a listing not older than a few seconds.
	again(ctx context.Context, name string) (*listing, error)
	// describe completes a version that was only named.
	describe(ctx context.Context, pkg, version string, asking bool) (*millpond.Version, error)
	// locate finds a file from its name alone. Unsupported sends the reader to the listing.
	locate(ctx context.Context, k millpond.Key) (*millpond.File, error)
	// has reports whether any file of the version is held from this layer.
	has(ctx context.Context, k millpond.Key) (bool, error)
	// holds reports which files of a package are held: version and file.
	holds(ctx context.Context, pkg string) (map[[2]string]bool, error)
	// flags are what was found in files of a package that publishing would refuse: by version and file.
	flags(ctx context.Context, pkg string) (map[[2]string]string, error)
	open(ctx context.Context, k millpond.Key, f *millpond.File, o opening) (*millpond.Content, error)
	ref(ctx context.Context, pkg, name string, asking bool) (millpond.Ref, error)
	document(ctx context.Context, k millpond.Key, asking bool) (*format.Document, error)
	names(ctx context.Context, asking bool) (*nameList, error)
	relay(ctx context.Context, q format.Question) (*http.Response, error)
	state() fetch.State
}

// A listing is one layer's word on a package, decoded.
type listing struct {
	pkg     *millpond.Package
	id      string    // changes whenever pkg does
	changed time.Time // when it last changed
	checked time.Time
	fresh   time.Time
	stale   error  // why it is not fresh; nil if it is
	bump    uint64 // the package's generation that began when it came in; 0 if it was kept
	deleted bool   // a version that was published here was deleted
}

// A nameList is the names that a layer lists.
type nameList struct {
	id    string
	joins bool // what the layers above have of the same name does not hide it
	fresh time.Time
	each  iter.Seq2[format.Change, error]
}

// An opening says how a file is opened.
type opening struct {
	asking bool // it may be fetched
	stat   bool // only its facts are wanted
	mode   Mode // what to do with a file that is not held; "" is Store
	ahead  bool // nobody waits for it
	listed bool // what is told of it is what its package's listing says
}
