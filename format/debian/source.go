package debian

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

const (
	keptSnapshots = 4              // the current one and three before it,
	keptFor       = 72 * time.Hour // and all that are not older,
	mostSnapshots = 24             // but no more

	securityFresh = 30 * time.Second // half of Info.Fresh: of these suites people wait for what is new

	ahead = 10 * time.Second // what apt takes of a Release that is of a time to come
)

// A source reads one archive, or all that are below one address.
type source struct {
	format.NoSource
	remote format.Remote
}

var (
	_ format.Successor = source{}
	_ format.Elsewhere = source{}
	_ format.Sniffer   = source{}
	_ format.Asker     = source{}
)

// Source reads an archive.
func (Format) Source(r format.Remote) format.Source { return source{remote: r} }

// probe is the package of no file: whether an address is below an upstream is asked as if it were one of its files.
const probe = "proxy/"

// address is where a path below the repository is kept upstream. An archive is also known by its host and path, as a client
// of a proxy names it.
func (s source) address(path string) (string, bool) {
	base := s.remote.URL()
	base.RawQuery, base.Fragment = "", ""
	if rest, ok := strings.CutPrefix(path, s.place()+"/"); ok {
		return base.String() + escape(rest), true
	}
	if archive, _, ok := cutDists(path + "/x"); ok && archive != "" && s.remote.Option("archives") != "*" {
		return "", false
	}
	return base.String() + escape(path), true
}

// place is the upstream's host and path, as those say it who take the pond for a proxy: in lower case, without the port that the
// scheme has anyway.
func (s source) place() string {
	u := s.remote.URL()
	host := strings.ToLower(u.Host)
	if port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; port != "" {
		host = strings.TrimSuffix(host, port)
	}
	return strings.Trim(host+u.Path, "/")
}

// suiteURL is the address of a suite's folder, with a slash at its end.
func (s source) suiteURL(suite string) (string, bool) {
	if isFlat(suite) {
		dir := flatDir(suite)
		if dir == "" {
			u := s.remote.URL()
			u.RawQuery, u.Fragment = "", ""
			return u.String(), true
		}
		at, ok := s.address(dir + "/x")
		return strings.TrimSuffix(at, "x"), ok
	}
	at, ok := s.address(suite)
	return at + "/", ok
}

// absent says that this upstream has no such suite, without asking it.
func absent(name, why string) error {
	return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name}, Why: why}
}

// Succeed reads the Release of a suite. If it is a new one it becomes the suite's newest version when everything that is held
// of the one before, and has changed, is held of it too.
func (s source) Succeed(ctx context.Context, name string, before *millpond.Package, k format.Keeper) (*millpond.Package, error) {
	if !IsSuite(name) {
		return nil, absent(name, "no suite that is held here lists "+name)
	}
	at, ok := s.suiteURL(name)
	if !ok {
		return nil, absent(name, s.remote.Name()+" is not the archive of "+name)
	}
	if f, ok := s.remote.(format.Fresher); ok && strings.HasSuffix(name, "-security") {
		f.Fresh(securityFresh)
	}
	p, err := s.succeed(ctx, name, at, before, k, false)
	if millpond.Is(err, millpond.Corrupt) || errors.Is(err, errTorn) {
		// Caught while it was changing, or a cache on the way is behind: what it says now, past all caches.
		p, err = s.succeed(ctx, name, at, before, k, true)
	}
	switch {
	case err == nil || errors.Is(err, format.Unchanged):
		if _, again := s.torn(ctx, name, false); again != nil {
			return nil, again
		}
		return p, err
	case millpond.Is(err, millpond.NotFound) && before != nil && !errors.Is(err, errTorn):
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Key: millpond.Key{Package: name},
			Why: fmt.Sprintf("%s says that it has no %s any more; the last snapshot of it is kept", s.remote.Name(), name)}
	case millpond.Is(err, millpond.Corrupt), errors.Is(err, errTorn):
		after, again := s.torn(ctx, name, true)
		if again != nil {
			return nil, again
		}
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Key: millpond.Key{Package: name}, Err: err, After: after,
			Why: fmt.Sprintf("the indexes of %s at %s do not belong to its Release; the last snapshot is kept", name, s.remote.Name())}
	}
	return nil, err
}

// A signed is a Release as it was fetched.
type signed struct {
	*release
	parts     []part
	unchanged bool
}

type part struct {
	name string
	body []byte
}

func (s source) read(ctx context.Context, at, name string, fresh, empty bool) ([]byte, bool, error) {
	doc, err := s.remote.Document(ctx, format.Request{URL: at + name, Limit: releaseLimit, Fresh: fresh, Empty: empty})
	if err != nil {
		return nil, false, err
	}
	defer doc.Close()
	b := make([]byte, doc.Size)
	if n, err := doc.ReadAt(b, 0); int64(n) < doc.Size {
		return nil, false, fmt.Errorf("read %s: %w", name, err)
	}
	return b, doc.Unchanged, nil
}

// fetch reads InRelease, or Release and Release.gpg where that is not there, and checks what signs them.
func (s source) fetch(ctx context.Context, name, at string, fresh bool) (*signed, error) {
	var text, hashed, binary []byte
	var armored []string
	out := &signed{}
	body, same, err := s.read(ctx, at, "InRelease", fresh, false)
	switch {
	case err == nil:
		out.parts, out.unchanged = []part{{"InRelease", body}}, same
		if text, hashed, armored, err = splitSigned(body); err != nil {
			return nil, err
		}
	case millpond.Is(err, millpond.NotFound):
		if text, same, err = s.read(ctx, at, "Release", fresh, false); err != nil {
			return nil, fmt.Errorf("read the Release of %s: %w", name, err)
		}
		out.parts, out.unchanged, hashed = []part{{"Release", text}}, same, text
		signature, same, err := s.read(ctx, at, "Release.gpg", fresh, false)
		if err != nil && !millpond.Is(err, millpond.NotFound) {
			return nil, fmt.Errorf("read the signature of %s: %w", name, err)
		}
		if err == nil {
			out.parts = append(out.parts, part{"Release.gpg", signature})
			out.unchanged = out.unchanged && same
			armored, binary = dearmor(signature)
		}
	default:
		return nil, fmt.Errorf("read the Release of %s: %w", name, err)
	}
	if out.release, err = parseRelease(text); err != nil {
		return nil, err
	}
	switch mode := s.remote.Option("verify"); mode {
	case "", "none":
	case "keyring":
		keys, err := readKeys(s.remote.Option("keyring"))
		if err != nil {
			return nil, err
		}
		if err := verify(keys, hashed, armored, binary, s.remote.Now()); err != nil {
			return nil, err
		}
	default:
		return nil, &millpond.Error{Kind: millpond.Unready, Why: "the option verify is " + strconv.Quote(mode) + ": not none or keyring"}
	}
	return out, nil
}

func (s source) succeed(ctx context.Context, name, at string, before *millpond.Package, k format.Keeper, fresh bool) (*millpond.Package, error) {
	got, err := s.fetch(ctx, name, at, fresh)
	if err != nil {
		return nil, err
	}
	var last *millpond.Version
	if before != nil && len(before.Versions) > 0 {
		last = &before.Versions[0]
	}
	now := s.remote.Now().UTC().Truncate(time.Second)
	id := ""
	if last != nil {
		id = last.Name
	}
	v := millpond.Version{Name: snapshotName(got.Date, got.parts[0].body, id), Published: got.Date, Seen: now}
	if last != nil {
		if partOf(last, got.parts[0]) {
			return nil, format.Unchanged
		}
		if got.Date.Before(last.Published) {
			return nil, refused(name, fmt.Sprintf("the Release is of %s, older than the one that is kept, of %s", date(got.Date), date(last.Published)))
		}
		if !v.Seen.After(last.Seen) {
			v.Seen = last.Seen.Add(time.Second)
		}
	}
	if got.Date.After(now.Add(ahead)) {
		return nil, refused(name, "the Release is of "+date(got.Date)+", which is yet to come")
	}
	if !got.ValidUntil.IsZero() && !now.Before(got.ValidUntil) {
		return nil, refused(name, "the Release was valid until "+date(got.ValidUntil))
	}
	meta, err := json.Marshal(got.Fields)
	if err != nil {
		return nil, err
	}
	v.Meta = meta
	for _, one := range got.parts {
		f := millpond.File{Name: one.name, Size: int64(len(one.body)), Digests: []millpond.Digest{millpond.SHA256(one.body)}, URL: at + one.name, Type: typeText}
		v.Files = append(v.Files, f)
		if err := k.Put(ctx, millpond.Key{Package: name, Version: v.Name, File: one.name}, one.body, typeText, v.Seen); err != nil {
			return nil, err
		}
	}
	for _, one := range got.Files {
		if isRelease(one.Path) {
			continue
		}
		f := millpond.File{Name: one.Path, Size: one.Size, Digests: one.Digests, URL: at + escape(one.Path), Type: typeOf(one.Path)}
		if got.ByHash {
			f.URL = byHashURL(at, one)
		}
		v.Files = append(v.Files, f)
	}
	if err := s.hold(ctx, name, &v, last, got.ByHash, k); err != nil {
		return nil, err
	}
	p := &millpond.Package{Name: name, Versions: []millpond.Version{v}, Refs: []millpond.Ref{{Name: current, Target: v.Name}}}
	if before != nil {
		for i, old := range before.Versions {
			if n := i + 1; n >= mostSnapshots || n >= keptSnapshots && now.Sub(old.Seen) > keptFor {
				if err := k.Drop(ctx, name, old.Name); err != nil {
					return nil, err
				}
				continue
			}
			p.Versions = append(p.Versions, old)
		}
	}
	return p, nil
}

// current is the ref of a suite that points at its newest snapshot.
const current = "current"

func partOf(v *millpond.Version, p part) bool {
	f := v.File(p.name)
	return f != nil && slices.Contains(f.Digests, millpond.SHA256(p.body))
}

func refused(name, why string) error {
	return &millpond.Error{Kind: millpond.BadUpstream, Key: millpond.Key{Package: name}, Why: why + "; it is not taken"}
}

func date(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04:05 UTC") }

func byHashURL(at string, f indexFile) string {
	for _, d := range f.Digests {
		for _, h := range hashFolders {
			if h.algorithm == d.Algorithm() && d.Strong() {
				dir, _ := split(f.Path)
				return at + escape(join(dir, "by-hash/"+h.folder+"/"+d.Hex()))
			}
		}
	}
	return at + escape(f.Path)
}

// Elsewhere is the plain path of an index that was not to be had by its digest.
func (s source) Elsewhere(k millpond.Key, f *millpond.File) string {
	if !IsSuite(k.Package) || !strings.Contains(f.URL, "/by-hash/") {
		return ""
	}
	at, ok := s.suiteURL(k.Package)
	if !ok {
		return ""
	}
	return at + escape(f.Name)
}

// File locates a file of a package from a name that says all there is to say: see poolName.
func (s source) File(_ context.Context, k millpond.Key) (*millpond.File, error) {
	if k.Package == probe {
		if _, ok := s.address(k.File); !ok || !s.names(k.File) {
			return nil, absent(k.File, s.remote.Name()+" is not the archive of "+k.File)
		}
		return &millpond.File{Name: k.File, Size: 0}, nil
	}
	n, ok := parsePoolName(k.File)
	if !ok || IsSuite(k.Package) {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Key: k, Why: "an index lists it"}
	}
	if _, own := split(n.layer); n.layer != "" && own != s.remote.Name() {
		return nil, absent(k.Package, "another archive lists it")
	}
	f := &millpond.File{Name: n.canonical(), Size: n.size, Type: typeOf(n.path), Published: n.seen}
	if f.URL, ok = s.address(n.path); !ok {
		return nil, absent(k.Package, s.remote.Name()+" is not its archive")
	}
	if !n.digest.IsZero() {
		f.Digests = []millpond.Digest{n.digest}
	}
	return f, nil
}

// Asks says that a package's file, by its digest, is the same by whatever address clients know its archive: by that of the
// repository, or by the archive's own, through a proxy.
func (s source) Asks(k millpond.Key) format.Asking {
	n, ok := parsePoolName(k.File)
	return format.Asking{Shared: ok && !IsSuite(k.Package) && n.digest.Strong()}
}

// names reports whether a path begins with the host and path of this upstream.
func (s source) names(path string) bool {
	return strings.HasPrefix(path+"/", s.place()+"/")
}

// Document reads a file below a suite that its Release does not list.
func (s source) Document(ctx context.Context, k millpond.Key) (*format.Document, error) {
	at, ok := s.suiteURL(k.Package)
	if !ok || !IsSuite(k.Package) || !clean(k.File) {
		return nil, absent(k.Package, s.remote.Name()+" is not its archive")
	}
	return s.remote.Document(ctx, format.Request{URL: at + escape(k.File), Empty: true})
}

// Changes lists nothing: an archive has no list of its suites, and that of its packages is an index of each.
func (s source) Changes(context.Context, string) iter.Seq2[format.Change, error] {
	return func(func(format.Change, error) bool) {}
}

// Version tells nothing of a package: an index has no dates.
func (s source) Version(_ context.Context, name, version string) (*millpond.Version, error) {
	return nil, absent(name, "no index that is held here lists "+name+" "+version)
}

// Sniff refuses a web page in place of a file.
func (s source) Sniff(k millpond.Key, head []byte) error {
	text := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n"))
	if bytes.HasPrefix(text, []byte("<!doctype html")) || bytes.HasPrefix(text, []byte("<html")) {
		return &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: "the upstream gave a web page for " + k.String()}
	}
	return nil
}

// readAll reads a small content whole and closes it.
func readAll(c *millpond.Content, limit int64) ([]byte, error) {
	if c.ReadSeekCloser == nil {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "the bytes are not held here"}
	}
	defer c.Close()
	b, err := io.ReadAll(io.LimitReader(c, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = &millpond.Error{Kind: millpond.TooLarge, Why: fmt.Sprintf("more than %d bytes", limit)}
	}
	return b, err
}
