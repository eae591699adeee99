package pear

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// What answers say of themselves. The client reads XML only where it is called so.
const (
	typeXML     = "text/xml; charset=utf-8"
	typeSerial  = "text/plain"
	typeArchive = "application/x-gzip"
)

var (
	maxAge   = []string{"max-age=60"} // of what moves; never changed
	closing  = []string{"close"}      // never changed
	xmlType  = []string{typeXML}      // never changed
	textType = []string{typeSerial}   // never changed
)

type handler struct{ repo format.Repo }

// Handler speaks the channel protocol: by path, and in absolute form.
func (Format) Handler(r format.Repo) http.Handler { return handler{repo: r} }

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.serve(w, r); err != nil {
		h.fail(w, r, err)
	}
}

func (h handler) serve(w http.ResponseWriter, r *http.Request) error {
	p, err := h.place(r)
	if r.URL.Host != "" {
		w.Header()["Connection"] = closing // it reads to the end of the connection
		if err == nil {
			err = h.answer(w, r, p)
		}
		return h.known(r.Context(), strings.ToLower(r.URL.Host), err)
	}
	if err != nil {
		return err
	}
	return h.answer(w, r, p)
}

// place says which channel a request is for, and what of it.
func (h handler) place(r *http.Request) (Path, error) {
	if r.URL.Host != "" {
		channel := strings.ToLower(r.URL.Host)
		if !isChannel(channel) {
			return Path{}, errOtherHost(channel)
		}
		return ParseIn(channel, r.URL.EscapedPath())
	}
	p, err := Parse(r.URL.EscapedPath())
	if err != nil || p.Channel != "" {
		return p, err
	}
	// The root of a host: the host is the channel, or there is one only.
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host = strings.ToLower(host); format.RootOf(r.Context()) == nil {
		return p, &millpond.Error{Kind: millpond.NotFound, Why: "this address names no channel", Hint: "it is " + h.repo.Base(r).String() + "CHANNEL/…"}
	}
	if p.Channel = host; !hosts(h.repo, host) {
		if own := channels(h.repo); len(own) == 1 {
			p.Channel = own[0]
		}
	}
	if !isChannel(p.Channel) {
		return p, &millpond.Error{Kind: millpond.NotFound, Why: host + " is no channel"}
	}
	return p, nil
}

func errOtherHost(host string) error {
	return &millpond.Error{Kind: millpond.Denied, Why: host + " is no channel that this pond serves, and it asks no other hosts"}
}

// known tells of a channel that nobody here knows that it is none: the pond is no proxy for it.
func (h handler) known(ctx context.Context, channel string, err error) error {
	if err == nil || hosts(h.repo, channel) || !millpond.Is(err, millpond.NotFound) && !millpond.Is(err, millpond.Invalid) {
		return err
	}
	if _, e := h.repo.Package(ctx, channel); millpond.Is(e, millpond.NotFound) {
		return errOtherHost(channel)
	}
	return err
}

// channels are those that are hosted here.
func channels(repo format.Tools) []string {
	return strings.FieldsFunc(strings.ToLower(repo.Option("channel")), func(r rune) bool { return r == ' ' || r == ',' || r == '\n' })
}

func hosts(repo format.Tools, channel string) bool { return slices.Contains(channels(repo), channel) }

func (h handler) answer(w http.ResponseWriter, r *http.Request, p Path) error {
	allow := "GET, HEAD"
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return h.get(w, r, p)
	case http.MethodPut:
		if p.Kind == Archive {
			return h.publish(w, r, p)
		}
	case http.MethodPost:
		if p.Kind == Submit {
			return h.publish(w, r, p)
		}
	}
	switch p.Kind {
	case Archive:
		allow += ", PUT"
	case Submit:
		allow = "POST"
	}
	w.Header().Set("Allow", allow)
	err := &millpond.Error{Kind: millpond.Unsupported, Why: r.Method + " is not for this address", Hint: "it takes " + allow}
	format.Fail(w, r, h.repo.Now(), err, format.Failure{Status: http.StatusMethodNotAllowed, Type: typeText, Body: err.Why + "\n" + err.Hint + "\n"})
	return nil
}

func (h handler) get(w http.ResponseWriter, r *http.Request, p Path) error {
	switch p.Kind {
	case Releases, Releases2:
		return h.getReleases(w, r, p)
	case Ref:
		return h.getRef(w, r, p)
	case Archive:
		return h.getArchive(w, r, p)
	case ReleaseFile:
		return h.getReleaseFile(w, r, p)
	case PackageDoc:
		return h.getPackageDoc(w, r, p)
	case Channel, ChannelDoc:
		return h.getChannelDoc(w, r, p)
	}
	return &millpond.Error{Kind: millpond.NotFound, Why: "a channel has no page; its client asks for " + p.String() + "channel.xml"}
}

func (h handler) getReleases(w http.ResponseWriter, r *http.Request, p Path) error {
	name := p.Package()
	stamp, _, err := h.repo.Stamp(r.Context(), name)
	if err != nil {
		return err
	}
	w.Header()["Cache-Control"] = maxAge
	d := format.Derivation{Name: "allreleases/" + name, Stamp: stamp, Type: typeXML}
	if p.Kind == Releases2 {
		d.Name = "allreleases2/" + name
	}
	return format.ServeDerived(w, r, h.repo, d, func(out io.Writer) error {
		// Others may wait for this list when its first reader has left.
		v, err := h.repo.Package(context.WithoutCancel(r.Context()), name)
		if err != nil {
			return err
		}
		return writeReleases(out, v, p.Kind == Releases2)
	})
}

func (h handler) getRef(w http.ResponseWriter, r *http.Request, p Path) error {
	name := p.Package()
	stamp, _, err := h.repo.Stamp(r.Context(), name)
	if err != nil {
		return err
	}
	w.Header()["Cache-Control"] = maxAge
	d := format.Derivation{Name: p.File + "/" + name, Stamp: stamp, Type: typeSerial}
	return format.ServeDerived(w, r, h.repo, d, func(out io.Writer) error {
		v, err := h.repo.Package(context.WithoutCancel(r.Context()), name)
		if err != nil {
			return err
		}
		version, err := newest(v, p.File)
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, version)
		return err
	})
}

func (h handler) getArchive(w http.ResponseWriter, r *http.Request, p Path) error {
	c, err := format.Find(r, h.repo, p.Key())
	if err != nil {
		return err
	}
	if body, ok := c.ReadSeekCloser.(millpond.Arriving); ok && c.Growing && c.Size < 0 {
		// The client takes nothing whose end it cannot tell.
		whole := body.Await(r.Context(), 1<<62)
		if c.Close(); !whole {
			if err := r.Context().Err(); err != nil {
				return err
			}
		}
		if c, err = h.repo.Open(r.Context(), p.Key()); err != nil {
			return err
		}
	}
	head := w.Header()
	head["Content-Type"], head["Cache-Control"] = []string{typeArchive}, []string{format.Immutable(h.repo)}
	c.Type = ""
	return format.Serve(w, r, c)
}

// getReleaseFile answers with a document of a release: whole, however it comes.
func (h handler) getReleaseFile(w http.ResponseWriter, r *http.Request, p Path) error {
	c, err := h.repo.Open(r.Context(), p.Key())
	if err != nil {
		return err
	}
	head := w.Header()
	head["Cache-Control"] = []string{format.Immutable(h.repo)}
	to := ""
	if !strings.HasPrefix(p.File, "package.") && !strings.HasPrefix(p.File, "deps.") {
		to = h.reached(r, p.Channel)
	}
	if to == "" && !c.Growing && c.ReadSeekCloser != nil {
		c.Type = ""
		head["Content-Type"] = typeOf(p.File)
		return format.Serve(w, r, c)
	}
	modified, digest, growing := c.Modified, c.Digest, c.Growing
	b, err := readAll(c)
	if err != nil {
		return err
	}
	changed := b
	if to != "" {
		changed = readdress(b, "<g", p.Channel, to)
	}
	if growing || !bytes.Equal(changed, b) {
		digest = millpond.Digest{}
	}
	return h.send(w, r, p.File, changed, digest, modified)
}

func typeOf(file string) []string {
	if strings.HasSuffix(file, ".txt") {
		return textType
	}
	return xmlType
}

// send answers with a small document.
func (h handler) send(w http.ResponseWriter, r *http.Request, file string, b []byte, digest millpond.Digest, modified time.Time) error {
	if digest.Algorithm() != "sha256" {
		digest = millpond.SHA256(b)
	}
	head := w.Header()
	head["Content-Type"] = typeOf(file)
	if len(head["Cache-Control"]) == 0 {
		head["Cache-Control"] = maxAge
	}
	return format.Serve(w, r, &millpond.Content{
		ReadSeekCloser: struct {
			*bytes.Reader
			io.Closer
		}{bytes.NewReader(b), io.NopCloser(nil)},
		Size: int64(len(b)), Digest: digest, Modified: modified,
	})
}

// reached is the address by which a client reaches a channel: over plain http where the pond stands between, or below the
// repository for what is hosted. It is "" where a document is given as it is. Nothing else of a document changes.
func (h handler) reached(r *http.Request, channel string) string {
	switch {
	case r.URL.Host != "" || format.RootOf(r.Context()) != nil:
		return "http://" + channel + "/"
	case hosts(h.repo, channel):
		return h.repo.Base(r).String() + channel + "/"
	}
	return ""
}

// readdress replaces the channel's address at the beginning of the text of every element of that name.
func readdress(doc []byte, tag, channel, to string) []byte {
	var out []byte
	rest := doc
	for {
		i := bytes.Index(rest, []byte(tag))
		if i < 0 {
			break
		}
		end := bytes.IndexByte(rest[i:], '>')
		if end < 0 {
			break
		}
		if after := rest[i+len(tag)]; after != '>' && after != ' ' && after != '\n' && after != '\t' && after != '\r' {
			out, rest = append(out, rest[:i+end+1]...), rest[i+end+1:]
			continue
		}
		at := i + end + 1
		for at < len(rest) && (rest[at] == ' ' || rest[at] == '\n' || rest[at] == '\t' || rest[at] == '\r') {
			at++
		}
		out, rest = append(out, rest[:at]...), rest[at:]
		for _, scheme := range []string{"https://", "http://"} {
			old := scheme + channel + "/"
			if len(rest) >= len(old) && strings.EqualFold(string(rest[:len(old)]), old) {
				out, rest = append(out, to...), rest[len(old):]
				break
			}
		}
	}
	return append(out, rest...)
}

// getPackageDoc answers with what is said of a package: our own words for what is hosted, else the upstream's.
func (h handler) getPackageDoc(w http.ResponseWriter, r *http.Request, p Path) error {
	v, err := h.repo.Package(r.Context(), p.Package())
	if err != nil && !millpond.Is(err, millpond.NotFound) {
		return err
	}
	if v != nil {
		if v.Blocked != "" {
			return &millpond.Error{Kind: millpond.Blocked, Key: millpond.Key{Package: v.Name}, Why: v.Blocked}
		}
		if rec := recordOf(v.Parts); rec.Hosted {
			return h.send(w, r, p.File, packageDoc(p, rec), millpond.Digest{}, time.Time{})
		}
	}
	return h.sendDocument(w, r, p)
}

func (h handler) getChannelDoc(w http.ResponseWriter, r *http.Request, p Path) error {
	if hosts(h.repo, p.Channel) {
		b, err := h.hostedDoc(r, p)
		if err != nil {
			return err
		}
		return h.send(w, r, p.File, b, millpond.Digest{}, time.Time{})
	}
	return h.sendDocument(w, r, p)
}

// sendDocument answers with a document of the upstream's.
func (h handler) sendDocument(w http.ResponseWriter, r *http.Request, p Path) error {
	doc, err := h.repo.Document(r.Context(), p.Key())
	if err != nil {
		return err
	}
	defer doc.Close()
	b := make([]byte, doc.Size)
	if n, err := doc.ReadAt(b, 0); n < len(b) {
		return err
	}
	if to := h.reached(r, p.Channel); to != "" && p.Kind == Channel {
		b = readdress(b, "<baseurl", p.Channel, to)
	}
	return h.send(w, r, p.File, b, millpond.Digest{}, doc.Modified)
}
