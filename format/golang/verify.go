package golang

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"millpond"
	"millpond/format"
)

// errNoHash says that a database answered, and not about the version.
var errNoHash = errors.New("its answer is about something else") // never changed

// modSuffix is what a database's lines put behind a version for its go.mod.
const modSuffix = "/go.mod"

// patience is how long a checksum database may be silent before a file is judged without it.
const patience = 10 * time.Second

// verifyHash compares a file's h1 hash with the one the checksum database has for the version (with modSuffix for its
// go.mod). The look-up and the hashing go on side by side.
//
// A hash that differs is Corrupt, whatever the options say, and so is a database that contradicts itself. Where the
// database cannot be asked or does not know the version, the option verify decides: available keeps the file unverified, to
// be asked about again, and required refuses it.
func (s source) verifyHash(ctx context.Context, k millpond.Key, suffix string, hash func(context.Context) (string, error)) error {
	mode := s.remote.Option("verify")
	if s.exempt(k) {
		return nil
	}
	unverified := func(why string, err error) error {
		if mode == "available" || mode == "" {
			if err == nil {
				return nil // there is nobody to ask, now or later
			}
			return &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: k.File + " is unverified: " + why, Err: errors.Join(format.Unverified, err)}
		}
		return &millpond.Error{
			Kind: millpond.BadUpstream, Key: k, Err: err,
			Why:  fmt.Sprintf("%s cannot be verified: %s", k.File, why),
			Hint: "the repository's option verify is " + mode + "; no_sum lists modules that no database knows",
		}
	}
	db, ok := s.database()
	if !ok {
		return unverified("no checksum database with its key is configured", nil)
	}
	g, gctx := errgroup.WithContext(ctx)
	var got string
	g.Go(func() (err error) {
		got, err = hash(gctx)
		if err != nil && gctx.Err() == nil {
			err = &millpond.Error{Kind: millpond.Corrupt, Key: k, Why: k.File + " cannot be hashed; nothing was kept", Err: err}
		}
		return err
	})
	var want []string
	var unknown error
	g.Go(func() (err error) {
		want, unknown, err = s.lookUp(gctx, db, k.Package, k.Version+suffix)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if unknown != nil {
		return unverified(db.Name+" did not say its hash", unknown)
	}
	prefix := k.Package + " " + k.Version + suffix + " "
	for _, line := range want {
		if strings.TrimPrefix(line, prefix) == got {
			return nil
		}
	}
	if len(want) == 0 {
		return unverified(db.Name+" has no hash of it", errNoHash)
	}
	return corrupt(k, fmt.Sprintf("checksum mismatch: %s has %s, and %s says %s",
		k.File, got, db.Name, strings.TrimPrefix(want[0], prefix)))
}

// database is the one that files are compared with; ok is false if none is configured with its key.
func (s source) database() (d database, ok bool) {
	all := databases(s.remote.Option("sumdb"))
	if len(all) == 0 || all[0].Key == "" {
		return database{}, false
	}
	return all[0], true
}

// exempt reports whether a file is one that no database is asked about.
func (s source) exempt(k millpond.Key) bool {
	return s.built || s.remote.Option("verify") == "off" || unsummed(s.remote.Option("no_sum"), k.Package)
}

// An inquiry is what a database has said of one version: Prepare and Verify of a source ask it once.
type inquiry struct {
	turn    chan struct{} // holds one while somebody asks, or reads the fields below
	version string        // that it is about, "path@version"; "" before the first
	lines   []string
	unknown error
	err     error
}

func newInquiry() *inquiry { return &inquiry{turn: make(chan struct{}, 1)} }

// lookUp returns the go.sum lines that a database has for a version. unknown says why it could not be asked; err that it
// answered what an honest log does not.
func (s source) lookUp(ctx context.Context, d database, path, version string) (lines []string, unknown, err error) {
	q := s.asked
	select {
	case q.turn <- struct{}{}:
		defer func() { <-q.turn }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if q.version == path+"@"+version {
		return q.lines, q.unknown, q.err
	}
	lines, unknown, err = s.ask(ctx, d, path, version)
	if ctx.Err() == nil { // who stops waiting has learned nothing
		q.version, q.lines, q.unknown, q.err = path+"@"+version, lines, unknown, err
	}
	return lines, unknown, err
}

// ask is lookUp, each time anew.
func (s source) ask(ctx context.Context, d database, path, version string) (lines []string, unknown, err error) {
	state := "sumdb/" + d.Name
	if err := s.alarmed(ctx, d); err != nil {
		return nil, nil, err
	}
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ops := &clientOps{ctx: asking, remote: s.remote, db: d, state: state + "/head"}
	lines, lookErr := sumdb.NewClient(ops).Lookup(path, version)
	ops.reading.Wait()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if ops.alarm != "" {
		if err := s.remote.SetState(ctx, state+"/alarm", []byte(ops.alarm)); err != nil {
			return nil, nil, err
		}
		return nil, nil, s.alarmed(ctx, d)
	}
	if lookErr == nil {
		return lines, nil, nil
	}
	if ops.failed == nil {
		return nil, nil, &millpond.Error{
			Kind: millpond.Corrupt, Err: lookErr,
			Why: fmt.Sprintf("%s answered about %s@%s what its log does not bear out; nothing was kept", d.Name, path, version),
		}
	}
	switch millpond.KindOf(ops.failed) {
	case millpond.NotFound, millpond.Gone, millpond.BadUpstream, millpond.Throttled, millpond.Offline, millpond.Canceled:
		return nil, ops.failed, nil
	}
	return nil, nil, fmt.Errorf("ask %s about %s@%s: %w", d.Name, path, version, ops.failed)
}

// alarmed refuses to go on with a database that has shown two histories, until the option sumdb_accept names the alarm.
func (s source) alarmed(ctx context.Context, d database) error {
	state := "sumdb/" + d.Name
	alarm, err := s.remote.State(ctx, state+"/alarm")
	if err != nil {
		return err
	}
	if len(alarm) == 0 {
		return nil
	}
	sum := sha256.Sum256(alarm)
	id := hex.EncodeToString(sum[:4])
	if s.remote.Option("sumdb_accept") == id {
		if err := s.remote.SetState(ctx, state+"/head", nil); err != nil {
			return err
		}
		return s.remote.SetState(ctx, state+"/alarm", nil)
	}
	return &millpond.Error{
		Kind: millpond.Corrupt, Err: errors.New(string(alarm)),
		Why:  "the checksum database " + d.Name + " has shown two histories; nothing new is taken until an operator has looked",
		Hint: "to go on with what it says now set the option sumdb_accept: " + id,
	}
}

// clientOps let a sumdb.Client read through the pond: what it reads is kept as any file, and the head of the log that it
// has seen last as a state.
type clientOps struct {
	ctx    context.Context // of the one Lookup that the client is made for
	remote format.Remote
	db     database
	state  string

	reading sync.WaitGroup // what ahead has begun

	mu     sync.Mutex // guards failed and alarm; never held across I/O
	failed error      // the first reading that failed
	alarm  string
}

func (o *clientOps) fail(err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == nil {
		o.failed = err
	}
	return err
}

func (o *clientOps) ReadRemote(path string) ([]byte, error) {
	c, err := o.remote.Open(o.ctx, millpond.Key{Package: sumPackage + o.db.Name, File: strings.TrimPrefix(path, "/")})
	if err != nil {
		return nil, o.fail(err)
	}
	b, err := readAll(c, sumLimit)
	if err != nil {
		return nil, o.fail(err)
	}
	if strings.HasPrefix(path, "/lookup/") {
		o.ahead(b)
	}
	return b, nil
}

// ahead begins to read the complete tiles above a record. The client will want them when it has proved that the log was only
// appended to, which takes it a round of its own.
func (o *clientOps) ahead(answer []byte) {
	id, _, head, err := tlog.ParseRecord(answer)
	if err != nil {
		return
	}
	tree, err := tlog.ParseTree(headText(head))
	if err != nil {
		return
	}
	for level := range 4 { // of 2^32 records
		below := tileHeight * (level + 1)
		n := id >> below
		if (n+1)<<below > tree.N {
			return
		}
		name := strings.TrimPrefix(tlog.Tile{H: tileHeight, L: level, N: n, W: 1 << tileHeight}.Path(), "/")
		o.reading.Go(func() {
			c, err := o.remote.Open(o.ctx, millpond.Key{Package: sumPackage + o.db.Name, File: name})
			if err != nil {
				return // the client asks itself, and hears why
			}
			io.Copy(io.Discard, c)
			c.Close()
		})
	}
}

func (o *clientOps) ReadConfig(file string) ([]byte, error) {
	if file == "key" {
		return []byte(o.db.Key), nil
	}
	b, err := o.remote.State(o.ctx, o.state)
	if err != nil {
		return nil, o.fail(err)
	}
	return b, nil
}

// WriteConfig is not atomic: of two heads written at once either may stay. Both are signed, and were found to be of one
// history; with the older one kept the next look-up only has more to prove.
func (o *clientOps) WriteConfig(file string, old, new []byte) error {
	now, err := o.ReadConfig(file)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, old) {
		return sumdb.ErrWriteConflict
	}
	if err := o.remote.SetState(o.ctx, o.state, new); err != nil {
		return o.fail(err)
	}
	return nil
}

// ReadCache has nothing: ReadRemote reads what the pond keeps.
func (o *clientOps) ReadCache(string) ([]byte, error) { return nil, errors.New("not cached") }

func (o *clientOps) WriteCache(string, []byte) {}

func (o *clientOps) Log(string) {}

func (o *clientOps) SecurityError(msg string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.alarm = msg
}
