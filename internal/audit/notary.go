package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millpond"
	"millpond/catalog"
)

// Secrets keep keys apart from the catalog and its backups, as repo.Secrets does.
type Secrets interface {
	// Secret returns the secret of that name, made by make, and kept durably, if there was none.
	Secret(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error)
}

// secretName is the name of the key's seed among the secrets.
const secretName = "audit-heads"

// Key returns the key that signs heads, made if there was none.
func Key(ctx context.Context, secrets Secrets) (ed25519.PrivateKey, error) {
	seed, err := secrets.Secret(ctx, secretName, func() ([]byte, error) {
		seed := make([]byte, ed25519.SeedSize)
		rand.Read(seed) // never fails
		return seed, nil
	})
	if err != nil {
		return nil, fmt.Errorf("key for the heads of the log: %w", err)
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the secret %s has %d bytes, not %d", secretName, len(seed), ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// every is how often a head is signed at most.
const every = time.Minute

// Options of a notary. The zero value is good.
type Options struct {
	Log *slog.Logger     // nil discards
	Now func() time.Time // nil is time.Now
}

// A Notary signs the ends of a log into a file.
type Notary struct {
	log   catalog.Log
	key   ed25519.PrivateKey
	words *slog.Logger
	now   func() time.Time

	well atomic.Int64 // when the head was last seen to be signed, in unix nanoseconds; 0 if it never was

	file *os.File
	size int64  // of the whole lines in the file
	last Signed // the last of them

	mu    sync.Mutex // guards sinks; not held while one is written to
	sinks []*sinking
}

// A sinking is a sink and what it has.
type sinking struct {
	Sink
	kept millpond.Digest // of the head that it has; used by Run alone
	ill  bool
}

// sinkLimit is how long a sink may take.
const sinkLimit = 10 * time.Second

// SendTo has heads sent to these places from now on, the last one too.
func (n *Notary) SendTo(sinks ...Sink) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sinks = nil
	for _, s := range sinks {
		n.sinks = append(n.sinks, &sinking{Sink: s})
	}
}

// send brings the last head to every sink that does not have it. A sink that is ill keeps no other from it, and is tried
// again with the newest head.
func (n *Notary) send(ctx context.Context, limit time.Duration) {
	n.mu.Lock()
	sinks := slices.Clone(n.sinks)
	n.mu.Unlock()
	line, err := json.Marshal(&n.last)
	if err != nil || n.last.Seq == 0 {
		return
	}
	line = append(line, '\n')
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range sinks {
		if s.kept == n.last.Hash {
			continue
		}
		all.Go(func() {
			if err := s.Keep(ctx, line); err != nil {
				n.words.ErrorContext(ctx, "a signed head of the log did not get to where it is kept; it is tried again", "sink", s.String(), "head", n.last.Seq, "error", err)
				s.ill = true
				return
			}
			if s.ill {
				n.words.InfoContext(ctx, "signed heads of the log get to where they are kept again", "sink", s.String(), "head", n.last.Seq)
			}
			s.kept, s.ill = n.last.Hash, false
		})
	}
	all.Wait()
}

// Open opens the file, which is made if it is not there; what a crash left of a line is cut off. Only one notary may have
// a file open. Run or Note it, then Close it.
func Open(ctx context.Context, path string, secrets Secrets, log catalog.Log, o Options) (*Notary, error) {
	key, err := Key(ctx, secrets)
	if err != nil {
		return nil, err
	}
	n := &Notary{log: log, key: key, words: o.Log, now: o.Now}
	if n.words == nil {
		n.words = slog.New(slog.DiscardHandler)
	}
	if n.now == nil {
		n.now = time.Now
	}
	n.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := n.resume(path); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), n.file.Close())
	}
	return n, nil
}

// resume finds the end of the whole lines and the last of them, and makes the file's name durable.
func (n *Notary) resume(path string) error {
	info, err := n.file.Stat()
	if err != nil {
		return err
	}
	from := max(0, info.Size()-2*longestLine)
	tail, err := io.ReadAll(io.NewSectionReader(n.file, from, info.Size()-from))
	if err != nil {
		return err
	}
	end := bytes.LastIndexByte(tail, '\n') + 1
	if end == 0 && from > 0 {
		return errors.New("it does not look like a file of signed heads")
	}
	n.size = from + int64(end)
	if n.size < info.Size() {
		if err := n.file.Truncate(n.size); err != nil {
			return err
		}
	}
	whole := bytes.TrimSuffix(tail[:end], []byte("\n"))
	line := whole[bytes.LastIndexByte(whole, '\n')+1:]
	if json.Unmarshal(line, &n.last) != nil || n.last.Check(n.PublicKey()) != nil {
		n.last = Signed{} // the next head is signed, whatever this was; Verify will tell of it
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(n.file.Sync(), dir.Sync(), dir.Close())
}

// PublicKey is what the signatures are checked with. It belongs with whoever is to check them.
func (n *Notary) PublicKey() ed25519.PublicKey { return n.key.Public().(ed25519.PublicKey) }

// Run signs the head now, then once a minute if there is a new one, and once more when ctx ends, and sends it to the sinks.
// What goes wrong is logged and tried again.
func (n *Notary) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		_, err := n.Note(ctx)
		if err != nil && ctx.Err() == nil {
			n.words.ErrorContext(ctx, "the head of the log could not be signed; it is tried again", "err", err)
		}
		n.send(ctx, sinkLimit)
		select {
		case <-tick.C:
		case <-ctx.Done():
			if _, err := n.Note(context.WithoutCancel(ctx)); err != nil { // short: one read and one write
				n.words.Error("the last head of the log could not be signed", "err", err)
			}
			n.send(context.WithoutCancel(ctx), sinkLimit/5)
			return
		}
	}
}

// Note signs the head of the log as it is now, durably; nil if nothing has happened since the last. Not to be called while
// Run runs.
func (n *Notary) Note(ctx context.Context) (*Signed, error) {
	h, err := n.log.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the head of the log: %w", err)
	}
	s, err := n.note(ctx, h)
	if err == nil {
		n.well.Store(n.now().UnixNano())
	}
	return s, err
}

// Well is when the head of the log was last signed, or seen to be signed already; zero if it never was.
func (n *Notary) Well() time.Time {
	if at := n.well.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// note signs a head.
func (n *Notary) note(ctx context.Context, h catalog.Head) (*Signed, error) {
	if h.Seq == 0 || h.Epoch == n.last.Epoch && h.Seq == n.last.Seq && h.Hash == n.last.Hash {
		return nil, nil
	}
	if h.Epoch == n.last.Epoch && h.Seq < n.last.Seq {
		// Signed all the same: what is, is. Verify tells of what was lost.
		n.words.ErrorContext(ctx, "the log is shorter than it was: if the catalog was restored from a backup, begin an epoch",
			"was", n.last.Seq, "is", h.Seq, "noted", n.last.Noted)
	}
	s := Sign(n.key, h, n.now())
	line, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	line = append(line, '\n')
	_, err = n.file.WriteAt(line, n.size)
	if err == nil {
		err = n.file.Sync()
	}
	if err != nil {
		// Half a line must not stand before the next one.
		return nil, errors.Join(fmt.Errorf("write head %d: %w", h.Seq, err), n.file.Truncate(n.size))
	}
	n.size, n.last = n.size+int64(len(line)), *s
	return s, nil
}

// readBack is how much of the file's end Heads reads: those of two days in which something happens every minute. Each says
// all about the log before it.
const readBack = 1 << 20

// Heads reads back the last heads in the file, with words for what is wrong with it. It may be called while Run runs.
func (n *Notary) Heads() (heads []Signed, problems []string, err error) {
	info, err := n.file.Stat()
	if err != nil {
		return nil, nil, err
	}
	from := max(0, info.Size()-readBack)
	tail := bufio.NewReader(io.NewSectionReader(n.file, from, info.Size()-from))
	if from > 0 {
		if _, err := tail.ReadSlice('\n'); err != nil { // a line is shorter than the buffer
			return nil, nil, err
		}
	}
	return Read(tail, n.PublicKey())
}

// KeyText is the public key as ParseKey reads it.
func (n *Notary) KeyText() string { return hex.EncodeToString(n.PublicKey()) }

// Close closes the file.
func (n *Notary) Close() error { return n.file.Close() }
