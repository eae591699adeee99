package golang

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"millpond"
	"millpond/format"
)

const (
	// sumPackage begins the names of the packages under which databases' files are kept. No module is called so: the first
	// part of a module path has a dot.
	sumPackage = "sumdb/"
	tileHeight = 8 // the only one in use
	sumLimit   = 1 << 20
)

// A database is a checksum database as the option sumdb names it.
type database struct {
	Name string
	Key  string // its verifier key; "" if only its name is known, and it can be relayed but not believed
	URL  string // "" is by way of the module upstream, if that relays it, else https and its name
}

// databases reads the option sumdb: one database a line (or between semicolons), each as in GOSUMDB: a verifier key, and
// perhaps a space and a URL. The first is the one that files are verified by.
func databases(option string) []database {
	var all []database
	for line := range strings.FieldsFuncSeq(option, func(r rune) bool { return r == '\n' || r == ';' }) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "off" {
			continue
		}
		d := database{Name: fields[0]}
		if name, _, ok := strings.Cut(fields[0], "+"); ok {
			d.Name, d.Key = name, fields[0]
		}
		if len(fields) > 1 {
			d.URL = strings.TrimSuffix(fields[1], "/") + "/"
		}
		if isDatabase(d.Name) {
			all = append(all, d)
		}
	}
	return all
}

// findDatabase returns the configured database of that name.
func findDatabase(option, name string) (database, error) {
	for _, d := range databases(option) {
		if d.Name == name {
			return d, nil
		}
	}
	return database{}, &millpond.Error{
		Kind: millpond.NotFound,
		Why:  fmt.Sprintf("no checksum database %.100q is configured here", name),
		Hint: "the option sumdb of the repository names those that are",
	}
}

// verifiers are of the database's key; nil if it is not known.
func (d database) verifiers() (note.Verifiers, error) {
	if d.Key == "" {
		return nil, nil
	}
	v, err := note.NewVerifier(d.Key)
	if err != nil {
		return nil, &millpond.Error{Kind: millpond.Internal, Why: "the option sumdb has a verifier key that cannot be read", Err: err}
	}
	return note.VerifierList(v), nil
}

func lookupKey(database, path, version string) millpond.Key {
	return millpond.Key{Package: sumPackage + database, File: "lookup/" + escapePath(path) + "@" + escapeVersion(version)}
}

// sumFile locates a look-up or a tile of a database.
func (s source) sumFile(ctx context.Context, name string, k millpond.Key) (*millpond.File, error) {
	p, err := Parse("/" + sumPackage + name + "/" + k.File)
	if err != nil || p.Kind != SumLookup && p.Kind != SumTile {
		return nil, noFile(k)
	}
	base, err := s.sumBase(ctx, name)
	if err != nil {
		return nil, err
	}
	f := &millpond.File{Name: k.File, Size: -1, URL: base + k.File, Type: typeText}
	if p.Kind == SumTile {
		f.Type = typeTile
	}
	return f, nil
}

// A route is what was found out about the way to a database without an address of its own: through the module upstream if
// that relays it, as the protocol has it, else https and its name, as the go command goes then.
type route struct {
	Relayed bool
	Checked time.Time
}

const routeFresh = 24 * time.Hour

// sumBase is where the files of a database are. It asks nobody where that is configured, or was found out today.
func (s source) sumBase(ctx context.Context, name string) (string, error) {
	d, err := findDatabase(s.remote.Option("sumdb"), name)
	if err != nil {
		return "", err
	}
	if d.URL != "" {
		return d.URL, nil
	}
	known, err := s.route(ctx, name)
	if err != nil {
		return "", err
	}
	if s.remote.Now().Sub(known.Checked) > routeFresh {
		doc, found, err := s.explore(ctx, name)
		if err == nil {
			known = found
			if doc != nil {
				doc.Close()
			}
		} else if known.Checked.IsZero() {
			known.Relayed = true // the upstream is ill, or must not be asked: the protocol's own way, until it is known better
		}
	}
	return s.sumAddress(name, known), nil
}

func (s source) sumAddress(name string, r route) string {
	if r.Relayed {
		return s.address(sumPackage + name + "/")
	}
	return "https://" + name + "/"
}

func routeState(name string) string { return sumPackage + name + "/route" }

func (s source) route(ctx context.Context, name string) (route, error) {
	b, err := s.remote.State(ctx, routeState(name))
	if err != nil || len(b) == 0 {
		return route{}, err
	}
	var r route
	if err := json.Unmarshal(b, &r); err != nil {
		return route{}, fmt.Errorf("read the way to %s: %w", name, err)
	}
	return r, nil
}

// explore asks the module upstream for the head of the database's log. If it has it, that is returned too, to be closed.
func (s source) explore(ctx context.Context, name string) (*format.Document, route, error) {
	r := route{Relayed: true, Checked: s.remote.Now()}
	doc, err := s.readHead(ctx, name, s.sumAddress(name, r))
	switch {
	case err == nil:
	case millpond.Is(err, millpond.NotFound), errors.Is(err, errNoHead):
		r.Relayed = false
	default:
		return nil, route{}, err
	}
	b, err := json.Marshal(r)
	if err == nil {
		err = s.remote.SetState(ctx, routeState(name), b)
	}
	if err != nil && doc != nil {
		doc.Close()
	}
	return doc, r, err
}

// sumHead reads the head of a database's log.
func (s source) sumHead(ctx context.Context, name string) (*format.Document, error) {
	d, err := findDatabase(s.remote.Option("sumdb"), name)
	if err != nil {
		return nil, err
	}
	base := d.URL
	if base == "" {
		known, err := s.route(ctx, name)
		if err != nil {
			return nil, err
		}
		if s.remote.Now().Sub(known.Checked) > routeFresh {
			doc, found, err := s.explore(ctx, name)
			if doc != nil || err != nil {
				return doc, err
			}
			known = found
		}
		base = s.sumAddress(name, known)
	}
	return s.readHead(ctx, name, base)
}

func (s source) readHead(ctx context.Context, name, base string) (*format.Document, error) {
	doc, err := s.remote.Document(ctx, format.Request{URL: base + "latest", Limit: sumLimit})
	if err != nil {
		return nil, fmt.Errorf("read the head of %s: %w", name, err)
	}
	b, err := io.ReadAll(doc.Reader())
	if err == nil {
		err = s.checkHead(name, b)
	}
	if err != nil {
		doc.Close()
		return nil, err
	}
	return doc, nil
}

// headText is what is signed of a head, without its signatures.
func headText(head []byte) []byte {
	if i := bytes.Index(head, []byte("\n\n")); i >= 0 {
		return head[:i+1]
	}
	return head
}

var errNoHead = errors.New("no signed head of a log")

// checkHead refuses what is no signed head of the database's log.
func (s source) checkHead(name string, b []byte) error {
	bad := func(err error) error {
		return &millpond.Error{
			Kind: millpond.BadUpstream, Why: "what came as the head of " + name + " is not signed by it",
			Err: errors.Join(errNoHead, err),
		}
	}
	d, err := findDatabase(s.remote.Option("sumdb"), name)
	if err != nil {
		return err
	}
	known, err := d.verifiers()
	if err != nil {
		return err
	}
	text := b
	if known != nil {
		n, err := note.Open(b, known)
		if err != nil {
			return bad(err)
		}
		text = []byte(n.Text)
	} else {
		text = headText(b)
	}
	if _, err := tlog.ParseTree(text); err != nil {
		return bad(err)
	}
	return nil
}

// verifySum refuses a database's file that cannot be what its name says: it is kept for ever, and a wrong one would fail
// every client for as long. Whether the log itself is honest is what clients check, and verifyHash.
func (s source) verifySum(name string, k millpond.Key, r io.ReaderAt, size int64) error {
	b, err := readAt(k, r, size, sumLimit)
	if err != nil {
		return err
	}
	p, err := Parse("/" + sumPackage + name + "/" + k.File)
	if err != nil {
		return err
	}
	if p.Kind == SumTile {
		return verifyTile(k, p.Tile, b)
	}
	_, text, head, err := tlog.ParseRecord(b)
	if err != nil {
		return corrupt(k, k.File+" is no answer of a checksum database")
	}
	if !bytes.HasPrefix(text, []byte(p.Module+" "+p.Version+" ")) && !bytes.Contains(text, []byte("\n"+p.Module+" "+p.Version+" ")) {
		return corrupt(k, "what came for "+k.File+" is about another module")
	}
	if err := s.checkHead(name, head); err != nil {
		return err
	}
	return nil
}

func verifyTile(k millpond.Key, path string, b []byte) error {
	t, err := tlog.ParseTilePath(path)
	if err != nil {
		return noFile(k)
	}
	if t.L >= 0 {
		if len(b) != t.W*tlog.HashSize {
			return corrupt(k, fmt.Sprintf("a tile of %d hashes has %d bytes", t.W, len(b)))
		}
		return nil
	}
	// Records are lines, and each ends with an empty one.
	if records := bytes.Count(b, []byte("\n\n")); records != t.W || !bytes.HasSuffix(b, []byte("\n\n")) {
		return corrupt(k, fmt.Sprintf("a tile of %d records has %d", t.W, records))
	}
	return nil
}

// unsummed reports whether the option no_sum keeps a module from every database.
func unsummed(option, path string) bool {
	return option != "" && module.MatchPrefixPatterns(option, path)
}
