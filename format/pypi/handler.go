package pypi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"millpond"
	"millpond/format"
)

// serialHeader is the header in which mirrors look for the serial of a page.
const serialHeader = "X-PyPI-Last-Serial"

// Handler serves one repository.
func (Format) Handler(repo format.Repo) http.Handler { return handler{repo} }

type handler struct{ repo format.Repo }

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.serve(w, r); err != nil {
		fail(w, r, h.repo, err)
	}
}

func (h handler) serve(w http.ResponseWriter, r *http.Request) error {
	p, err := Parse(r.URL.EscapedPath())
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		return h.options(w)
	case http.MethodPost:
		if p.Kind == Root || p.Kind == Legacy || p.Kind == Index {
			h.post(w, r)
			return nil
		}
		return errMethod{}
	default:
		return errMethod{}
	}
	switch p.Kind {
	case Index:
		return h.getIndex(w, r, p)
	case Page:
		return h.getPage(w, r, p)
	case File:
		return h.getFile(w, r, p)
	case ByDigest, ByName:
		return h.getAlias(w, r, p)
	case Provenance:
		return h.getProvenance(w, r, p)
	case ProjectJSON, VersionJSON:
		return h.getJSON(w, r, p)
	}
	return errNoPath
}

// options answers a browser that asks before it reads: installers that run in one do.
func (h handler) options(w http.ResponseWriter) error {
	w.Header().Set("Allow", "GET, HEAD, OPTIONS")
	if h.repo.Public() {
		w.Header()["Access-Control-Allow-Origin"] = anyOrigin
		w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD")
		w.Header().Set("Access-Control-Allow-Headers", "Accept, Cache-Control, If-None-Match, Range")
		w.Header().Set("Access-Control-Max-Age", "86400")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Header values that every page bears. They never change.
var (
	varyPage     = []string{"Accept, Accept-Encoding"}
	anyOrigin    = []string{"*"}
	exposeSerial = []string{serialHeader}
)

// getPage serves the page of a project: derived once per stamp and form.
func (h handler) getPage(w http.ResponseWriter, r *http.Request, p Path) error {
	name, err := Format{}.Canon(p.Project)
	if err != nil {
		return err
	}
	if p.Bare || name != p.Project {
		up := "../"
		if p.Bare {
			up = ""
		}
		return redirect(w, r, http.StatusMovedPermanently, up+name+"/")
	}
	return h.derived(w, r, name, "simple/"+name, func(ctx context.Context, f form, stamp string, serial int64, w io.Writer) error {
		view, err := h.repo.Package(ctx, name)
		if err != nil {
			return err
		}
		if view.Stamp != stamp {
			return errMoved
		}
		h.ahead(ctx, view)
		h.serials().saw(view, h.repo.Now())
		return writePage(w, f, view, h.external(), serial)
	})
}

// getIndex serves the list of all projects.
func (h handler) getIndex(w http.ResponseWriter, r *http.Request, p Path) error {
	if p.Bare {
		return redirect(w, r, http.StatusMovedPermanently, "simple/")
	}
	s := h.serials()
	return h.derived(w, r, "", "simple", func(ctx context.Context, f form, _ string, serial int64, w io.Writer) error {
		return writeIndex(w, f, h.repo.Names(ctx), serial, s.of)
	})
}

// errMoved says that the view was another when it was read than when its stamp was: ask again.
var errMoved = errors.New("the view has changed meanwhile") // never changed

// derived serves the form that the client wants of a document that is derived from one stamp; name "" is the root index's.
func (h handler) derived(w http.ResponseWriter, r *http.Request, name, doc string, write func(ctx context.Context, f form, stamp string, serial int64, w io.Writer) error) error {
	f, err := negotiate(r.Header["Accept"], r.URL.RawQuery)
	if err != nil {
		return err
	}
	// A derivation is for whoever waits for it, not only for this reader: it ends with the records it reads.
	ctx := context.WithoutCancel(r.Context())
	head := w.Header()
	head["Vary"] = varyPage
	if h.repo.Public() {
		head["Access-Control-Allow-Origin"] = anyOrigin
		head["Access-Control-Expose-Headers"] = exposeSerial
	}
	for try := 0; ; try++ {
		stamp, fresh, err := h.repo.Stamp(r.Context(), name)
		if err != nil {
			return err
		}
		serial, err := h.serial(ctx, name, stamp)
		if err == nil {
			d := format.Derivation{Name: doc + f.suffix(), Stamp: stamp, Type: f.contentType()}
			if serial != 0 {
				text := strconv.FormatInt(serial, 10)
				head[serialHeaderKey] = []string{text}
				d.Stamp += " " + text
			}
			head["Cache-Control"] = []string{cacheControl(h.repo, fresh)}
			err = format.ServeDerived(w, r, h.repo, d, func(w io.Writer) error { return write(ctx, f, stamp, serial, w) })
		}
		if !errors.Is(err, errMoved) || try == 3 {
			return err
		}
	}
}

// serialHeaderKey is serialHeader as the header map has it.
var serialHeaderKey = http.CanonicalHeaderKey(serialHeader) // never changed

// serial is the number of the view with that stamp, 0 if it has none; of the list of all names, "", it is the highest.
func (h handler) serial(ctx context.Context, name, stamp string) (int64, error) {
	s := h.serials()
	if s != nil && name == "" {
		return s.poll(ctx, h)
	}
	n, err := h.upstreamSerial(ctx, name, stamp)
	if err != nil {
		return 0, err
	}
	return h.number(ctx, name, n)
}

// upstreamSerial are the upstreams' own, by layer; not to be changed. They are a derived document, a few bytes long, because the
// header must be known without reading the page.
func (h handler) upstreamSerial(ctx context.Context, name, stamp string) (map[string]int64, error) {
	lately := h.lately()
	if serials, ok := lately.get(name, stamp); ok {
		return serials, nil
	}
	d := format.Derivation{Name: "serials/" + name, Stamp: stamp, Type: "application/json"}
	c, err := h.repo.Derive(ctx, d, func(w io.Writer) error {
		all, err := h.computeSerial(ctx, name, stamp)
		if err != nil {
			return err
		}
		return json.NewEncoder(w).Encode(all)
	})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var serials map[string]int64
	if err := json.NewDecoder(io.LimitReader(c, 1<<20)).Decode(&serials); err != nil {
		return nil, fmt.Errorf("read the serials of %q: %w", name, err)
	}
	lately.put(name, stamp, serials)
	return serials, nil
}

func (h handler) computeSerial(ctx context.Context, name, stamp string) (map[string]int64, error) {
	if name == "" {
		return h.highest(ctx)
	}
	view, err := h.repo.Package(ctx, name)
	if err != nil {
		return nil, err
	}
	if view.Stamp != stamp {
		return nil, errMoved
	}
	return partSerials(view.Parts), nil
}

// cacheControl is what is left of the upstream's freshness, in bounds; a hosted project changes at any time.
func cacheControl(repo format.Repo, fresh time.Time) string {
	private := ""
	if !repo.Public() {
		private = "private, "
	}
	if fresh.IsZero() {
		return private + "max-age=0, must-revalidate"
	}
	left := fresh.Sub(repo.Now()).Truncate(time.Second)
	left = min(max(left, time.Minute), 10*time.Minute)
	return private + "max-age=" + strconv.Itoa(int(left/time.Second))
}

// redirect sends a client to a URL relative to the one it asked for, which is right under any mount and behind any proxy.
func redirect(w http.ResponseWriter, r *http.Request, status int, location string) error {
	if r.URL.RawQuery != "" {
		location += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", location)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
	return nil
}

// external is the repository's configured https address, or "" if its address is what each client says it is: nothing that
// is kept may depend on that.
func (h handler) external() string {
	var said [2]string
	for i, host := range [...]string{"one.invalid", "two.invalid"} {
		r, err := http.NewRequest(http.MethodGet, "https://"+host+"/", nil)
		if err != nil {
			return ""
		}
		base := h.repo.Base(r)
		if base.Scheme != "https" {
			return ""
		}
		said[i] = base.String()
	}
	if said[0] != said[1] {
		return ""
	}
	return said[0]
}

// ahead starts fetching the metadata that installers ask for right after a page: of the newest three versions, of the
// wheels that most machines take.
func (h handler) ahead(ctx context.Context, p *millpond.Package) {
	var keys []millpond.Key
	versions := 0
	for i := range p.Versions {
		v := &p.Versions[i]
		if v.Prerelease || v.Yanked {
			continue
		}
		n := 0
		for j := range v.Files {
			f := &v.Files[j]
			if _, end := cutSide(f.Name); end == Metadata && common(f.Platform) && f.Blob.IsZero() && !f.Corrupt && n < mostAhead {
				keys = append(keys, millpond.Key{Package: p.Name, Version: v.Name, File: f.Name})
				n++
			}
		}
		if versions++; versions == 3 {
			break
		}
	}
	if len(keys) > 0 {
		h.repo.Ahead(ctx, keys...)
	}
}

// mostAhead bounds how many wheels' metadata of one version is fetched ahead.
const mostAhead = 4
