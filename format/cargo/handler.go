package cargo

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// What answers say of themselves.
const (
	typeText  = "text/plain; charset=utf-8"
	typeJSON  = "application/json"
	typeCrate = "application/gzip"
)

type handler struct{ repo format.Repo }

// Handler speaks the protocol of a sparse registry.
func (Format) Handler(r format.Repo) http.Handler { return handler{r} }

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := Parse(r.URL.EscapedPath())
	if err == nil {
		if allowed := methods(p.Kind); !slices.Contains(allowed, r.Method) {
			allow := strings.Join(allowed, ", ")
			w.Header().Set("Allow", allow)
			err := &millpond.Error{Kind: millpond.Unsupported, Why: "here only these are answered: " + allow}
			h.failAs(w, r, p, err, http.StatusMethodNotAllowed)
			return
		}
		err = h.serve(w, r, p)
	}
	if err != nil {
		h.fail(w, r, p, err)
	}
}

// Welcomes implements format.Welcomer. config.json without a token is refused here, and not before: the refusal tells cargo
// where a person gets one.
func (Format) Welcomes(method, escapedPath string) bool {
	p, err := Parse(escapedPath)
	return err == nil && (p.Kind == Config || p.Kind == Me) && slices.Contains(reads, method)
}

var (
	reads  = []string{http.MethodGet, http.MethodHead} // never changed
	puts   = []string{http.MethodPut}                  // never changed
	drops  = []string{http.MethodDelete}               // never changed
	owning = []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete}
)

func methods(k Kind) []string {
	switch k {
	case New, Unyank:
		return puts
	case Yank:
		return drops
	case Owners:
		return owning
	}
	return reads
}

func (h handler) serve(w http.ResponseWriter, r *http.Request, p Path) error {
	switch p.Kind {
	case Config:
		return h.getConfig(w, r)
	case Index:
		return h.getIndex(w, r, p)
	case File, Download:
		return h.getFile(w, r, p)
	case Search:
		return h.getSearch(w, r)
	case New:
		return h.putNew(w, r)
	case Yank, Unyank:
		return h.yank(w, r, p)
	case Owners:
		return h.owners(w, r, p)
	}
	http.Redirect(w, r, h.repo.Root(r).String()+"-/login", http.StatusFound)
	return nil
}

// getConfig answers with config.json. cargo asks for it on every run and at every turn while it waits for what it published,
// so it is derived: once an hour, when the same question is put to the upstreams, whose files are needed next.
func (h handler) getConfig(w http.ResponseWriter, r *http.Request) error {
	if err := h.repo.May(r.Context(), millpond.VerbRead, ""); err != nil {
		return err
	}
	if strings.HasPrefix(r.UserAgent(), "cargo/") && r.ProtoMajor < 2 && h.repo.Seldom("HTTP/1", time.Minute) {
		format.Note(w, "cargo comes by HTTP/1.1 and asks for one crate at a time: give it TLS, and see that servers in front of the pond speak HTTP/2")
	}
	base := strings.TrimSuffix(h.repo.Base(r).String(), "/")
	hosts := !millpond.Is(h.repo.May(r.Context(), millpond.VerbPublish, ""), millpond.Unsupported)
	stamp := strconv.FormatInt(h.repo.Now().Unix()/int64(configFresh/time.Second), 10)
	d := format.Derivation{Name: configName + " " + base, Stamp: stamp, Type: typeJSON}
	if hosts {
		d.Name += " api"
	}
	if !h.repo.Public() {
		d.Name += " auth"
	}
	w.Header()["Cache-Control"] = []string{h.cache()}
	return format.ServeDerived(w, r, h.repo, d, func(out io.Writer) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 2*time.Second) // others may wait for this
		defer cancel()
		if doc, err := h.repo.Document(ctx, millpond.Key{File: configName}); err == nil {
			doc.Close() // whoever reads an upstream's listing now knows where its files are, or finds out by itself
		}
		return configOf(out, base, hosts, !h.repo.Public())
	})
}

func configOf(out io.Writer, base string, hosts, auth bool) error {
	c := struct {
		DL   string `json:"dl"`
		API  string `json:"api,omitempty"`
		Auth bool   `json:"auth-required,omitempty"`
	}{DL: base + "/crates/{crate}/{version}/{sha256-checksum}.crate", Auth: auth}
	if hosts {
		c.API = base
	}
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = out.Write(append(b, '\n'))
	return err
}

// cache is the Cache-Control of what changes with a publish, which is read back at once.
func (h handler) cache() string {
	if h.repo.Public() {
		return "no-cache"
	}
	return "private, no-cache"
}

func (h handler) getIndex(w http.ResponseWriter, r *http.Request, p Path) error {
	name := identity(p.Crate)
	ctx := r.Context()
	if name != p.Crate || strings.Contains(name, "_") {
		ctx = format.WithSpelling(ctx, p.Crate)
	}
	stamp, _, err := h.repo.Stamp(ctx, name)
	if err != nil {
		return err
	}
	w.Header()["Cache-Control"] = []string{h.cache()}
	d := format.Derivation{Name: "index/" + p.Crate, Stamp: stamp, Type: typeText}
	return format.ServeDerived(w, r, h.repo, d, func(out io.Writer) error {
		// Others may wait for this index when its first reader has left. The repository ends what it asks for.
		ctx := context.WithoutCancel(ctx)
		pkg, err := h.repo.Package(ctx, name)
		if err != nil {
			return err
		}
		return indexer{h.repo, pkg, p.Crate, h.repo.Option("blocked") == "drop"}.write(ctx, out)
	})
}

func (h handler) getFile(w http.ResponseWriter, r *http.Request, p Path) error {
	r = r.WithContext(format.WithSpelling(r.Context(), strings.ToLower(p.Crate)))
	c, err := format.Find(r, h.repo, p.Key())
	if err != nil {
		return err
	}
	if p.Sum != "" && !c.Digest.IsZero() && c.Digest.Algorithm() == "sha256" && c.Digest.Hex() != p.Sum {
		if c.ReadSeekCloser != nil {
			c.Close()
		}
		return &millpond.Error{Kind: millpond.NotFound, Key: p.Key(), Why: p.Key().File + " has another checksum here than " + p.Sum[:12] + "…",
			Hint: "run cargo update for this crate if its lock file is to be trusted less than this registry"}
	}
	header := w.Header()
	header["Content-Type"] = []string{typeCrate}
	header["Cache-Control"] = []string{format.Immutable(h.repo)}
	if p.Sum == "" {
		header["Cache-Control"] = []string{h.cache()}
	}
	return format.Serve(w, r, c)
}

// writeJSON answers what the web API answers.
func writeJSON(w http.ResponseWriter, r *http.Request, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", typeJSON)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(b) // the client that has left is told nothing
	}
	return nil
}

// loginPage is where a person gets a token, as cargo is told it.
func loginPage(base *url.URL) string { return base.String() + "me" }
