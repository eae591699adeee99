package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

// Hosting is what the pond can be asked to do with what is published. It judges the caller's rights itself. *repo.Pond does it.
type Hosting interface {
	// Promote brings what one repository hosts into another: all of it or nothing.
	Promote(ctx context.Context, c repo.Caller, p repo.Promotion) (*repo.Promoted, error)
	TakeDown(ctx context.Context, c repo.Caller, t repo.Takedown) (*repo.Takedown, error)
	Takedowns(ctx context.Context, c repo.Caller) ([]repo.Takedown, error)
	LiftTakedown(ctx context.Context, c repo.Caller, id, why string) error
	AddClaim(ctx context.Context, c repo.Caller, repository, pattern, merge string, force bool) error
	RemoveClaim(ctx context.Context, c repo.Caller, repository, pattern string) error
	Claims(ctx context.Context, c repo.Caller) ([]repo.Claim, error)
	SetMerge(ctx context.Context, c repo.Caller, repository, pkg, merge string) error
}

// The documents of the calls about packages.
type (
	// RepositoryDocument is a repository as the caller may know it.
	RepositoryDocument struct {
		Name   string          `json:"name"`
		Format string          `json:"format"`
		URL    string          `json:"url"`
		Own    string          `json:"own,omitempty"` // its address where it is the root, of a host or a listener of its own
		May    []millpond.Verb `json:"may"`
		Hosted bool            `json:"hosted"` // whether anything can be published there
		Claims []string        `json:"claims,omitempty"`
		Merge  string          `json:"merge"`

		Upstreams []string `json:"upstreams,omitempty"` // in order, without credentials; "repository NAME" is another of this pond
		Rules     []string `json:"rules,omitempty"`
		Volatile  bool     `json:"volatile,omitempty"`
		Unpublish bool     `json:"unpublish,omitempty"`
		Claimed   bool     `json:"claimed_only,omitempty"`
		MaxFile   int64    `json:"max_file,omitempty"` // in bytes
		Hosts     []string `json:"host,omitempty"`     // where it is the root
		Root      bool     `json:"root,omitempty"`     // it has what clients lose on the way
		Listen    string   `json:"listen,omitempty"`
	}
	// PackageDocument is a package as it is hosted.
	PackageDocument struct {
		Repository string            `json:"repository"`
		Name       string            `json:"name"`
		Display    string            `json:"display,omitempty"`
		Merge      string            `json:"merge,omitempty"`
		Changes    int64             `json:"changes"`
		Created    time.Time         `json:"created,omitzero"`
		Changed    time.Time         `json:"changed,omitzero"`
		Versions   []VersionDocument `json:"versions"`
		Refs       []RefDocument     `json:"refs,omitempty"`
		Deleted    []DeletedDocument `json:"deleted,omitempty"`
	}
	// VersionDocument is a version that was published here.
	VersionDocument struct {
		Name      string         `json:"name"`
		By        string         `json:"by,omitempty"`
		Published time.Time      `json:"published,omitzero"`
		Yanked    bool           `json:"yanked,omitempty"`
		YankedWhy string         `json:"yanked_why,omitempty"`
		Licence   string         `json:"licence,omitempty"`
		Files     []FileDocument `json:"files"`
	}
	// FileDocument is a file that was published here.
	FileDocument struct {
		Name   string `json:"name"`
		Size   int64  `json:"size"`
		Digest string `json:"digest,omitempty"`
		Yanked bool   `json:"yanked,omitempty"`
	}
	// RefDocument is a mutable name.
	RefDocument struct {
		Name   string `json:"name"`
		Target string `json:"target"`
	}
	// DeletedDocument is what is no longer there and whose name stays taken.
	DeletedDocument struct {
		Version string    `json:"version"`
		File    string    `json:"file,omitempty"`
		Time    time.Time `json:"time"`
		By      string    `json:"by,omitempty"`
		Why     string    `json:"why,omitempty"`
	}
	// Change says which version or file of a package to change, and why. Without a version it is the whole package.
	Change struct {
		Version string `json:"version,omitempty"`
		File    string `json:"file,omitempty"`
		Why     string `json:"why,omitempty"`
	}
	// Merge says what becomes of other layers' versions of a name: "hide", "union", or "" for what the repository says.
	Merge struct {
		Merge string `json:"merge"`
	}
	// PublishedDocument says what came of a file that was published.
	PublishedDocument struct {
		Repository string `json:"repository"`
		Package    string `json:"package"`
		Version    string `json:"version,omitempty"`
		File       string `json:"file,omitempty"`
		New        bool   `json:"new"`
	}
	// PromotionDocument says what to promote.
	PromotionDocument struct {
		From   string        `json:"from"`
		To     string        `json:"to"`
		Items  []KeyDocument `json:"items"`
		DryRun bool          `json:"dry_run,omitempty"` // say what would come of it
		Why    string        `json:"why,omitempty"`
	}
	// PromotedDocument says what came of it.
	PromotedDocument struct {
		Items []PublishedDocument `json:"items"`
	}
	// KeyDocument names a package, a version or a file.
	KeyDocument struct {
		Package string `json:"package"`
		Version string `json:"version,omitempty"`
		File    string `json:"file,omitempty"`
	}
)

func packageRoutes() []route {
	const of = "/-/api/repositories/{repository}"
	publish := route{path: of + "/publish/{filename}", methods: "POST PUT", verb: millpond.VerbPublish, scope: inPath, large: true,
		about: "Publishes the file that is the body, as the command line does. Query parameters are the format's options.",
		query: []string{"tag"}, out: PublishedDocument{}, serve: (*Server).publishFile}
	return []route{
		op("GET", "/-/api/repositories", verbOpen, inPond, "The repositories that the caller may know of, and what it may do there.", (*Server).listRepositories),
		op("GET", of+"/packages/{package}", millpond.VerbPublish, inPath, "A package as it is hosted, for those who may publish it: no rule hides anything of it.", (*Server).showPackage),
		op("POST", of+"/packages/{package}/yank", millpond.VerbYank, inPath, "Withdraws a version or a file: served still, not to be chosen.", func(s *Server, c *call, in Change) (nothing, error) { return nothing{}, s.yank(c, in, true) }),
		op("POST", of+"/packages/{package}/unyank", millpond.VerbYank, inPath, "Takes a yank back.", func(s *Server, c *call, in Change) (nothing, error) { return nothing{}, s.yank(c, in, false) }),
		op("POST", of+"/packages/{package}/delete", millpond.VerbDelete, inPath, "Removes a package, a version or a file.", (*Server).deletePackage),
		op("POST", of+"/packages/{package}/restore", millpond.VerbDelete, inPath, "Brings back what was deleted.", (*Server).restorePackage),
		op("GET", of+"/retention", millpond.VerbDelete, inPath, "What the options of a repository say is to go at the next sweep. Nothing is changed.", (*Server).showRetention),
		op("PUT", of+"/packages/{package}/merge", millpond.VerbGrant, inPath, "Says what becomes of other layers' versions of a name.", (*Server).mergePackage),
		publish,
		op("POST", "/-/api/promote", millpond.VerbPromote, inBody, "Brings what one repository hosts into another, all of it or nothing.", (*Server).promote),
	}
}

func (s *Server) listRepositories(c *call, _ nothing) ([]RepositoryDocument, error) {
	out := []RepositoryDocument{}
	for _, m := range c.t.order {
		if !mayEnter(&c.caller, &m.config) {
			continue
		}
		one := RepositoryDocument{Name: m.name, Format: m.info.Name, URL: c.t.base(c.peer).JoinPath(m.name + "/").String(),
			May: []millpond.Verb{}, Hosted: !m.config.ReadOnly, Claims: m.config.Claims, Merge: "hide"}
		one.Rules, one.Volatile, one.Unpublish, one.MaxFile = m.config.Policy.Names(), m.config.Volatile, m.config.Unpublish, m.config.MaxFile
		one.Hosts, one.Root, one.Listen, one.Claimed = m.config.Hosts, m.config.Root, m.config.Listen, m.config.ClaimedOnly
		for _, u := range m.config.Upstreams {
			switch {
			case u.Sibling != "":
				one.Upstreams = append(one.Upstreams, "repository "+u.Sibling)
			case u.URL != nil:
				one.Upstreams = append(one.Upstreams, redact(u.URL.String()))
			}
		}
		if own := c.t.own(m, c.peer); own != nil {
			one.Own = own.String()
		}
		if m.config.Union {
			one.Merge = "union"
		}
		for _, v := range millpond.Verbs() {
			if v == millpond.VerbRead && m.config.Public || c.caller.Rights != nil && c.caller.Rights.May(v, m.name, "") {
				one.May = append(one.May, v)
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// named is the repository and the canonical package that the path names. The route's verb was judged already.
func (s *Server) named(c *call) (format.Repo, *mount, string, error) {
	m := c.t.mounts[c.arg("repository")]
	pkg, err := m.config.Format.Canon(c.arg("package"))
	if err != nil {
		return nil, nil, "", err
	}
	return s.as(&c.response.caller, c.response.peer, c.t, m), m, pkg, nil
}

func (s *Server) showPackage(c *call, _ nothing) (*PackageDocument, error) {
	r, m, pkg, err := s.named(c)
	if err != nil {
		return nil, err
	}
	h, err := r.Hosted(c.r.Context(), pkg)
	if err != nil {
		return nil, err
	}
	return describePackage(m.name, h), nil
}

func describePackage(repository string, h *format.Hosting) *PackageDocument {
	d := &PackageDocument{Repository: repository, Name: h.Name, Display: h.Display, Merge: h.Merge, Changes: h.Changes,
		Created: h.Created, Changed: h.Changed, Versions: []VersionDocument{}}
	for i := range h.Versions {
		v := &h.Versions[i]
		one := VersionDocument{Name: v.Name, By: h.By[v.Name], Published: v.Published, Yanked: v.Yanked, YankedWhy: v.YankedWhy,
			Licence: v.Licence, Files: []FileDocument{}}
		for _, f := range v.Files {
			one.Files = append(one.Files, FileDocument{Name: f.Name, Size: f.Size, Digest: f.Blob.String(), Yanked: f.Yanked})
		}
		d.Versions = append(d.Versions, one)
	}
	for _, ref := range h.Refs {
		d.Refs = append(d.Refs, RefDocument{ref.Name, ref.Target})
	}
	for _, x := range h.Deleted {
		d.Deleted = append(d.Deleted, DeletedDocument(x))
	}
	return d
}

// yank withdraws a version, with all its files, or one file; or takes that back.
func (s *Server) yank(c *call, in Change, yanked bool) error {
	r, _, pkg, err := s.named(c)
	if err != nil {
		return err
	}
	if in.Version == "" {
		return &millpond.Error{Kind: millpond.Invalid, Why: "a version is needed"}
	}
	verb, why := "yank", in.Why
	if !yanked {
		verb, why = "unyank", ""
	}
	return r.Amend(c.r.Context(), format.Amendment{Package: pkg, Version: in.Version, File: in.File, Verb: verb, Why: in.Why,
		Edit: func(now *format.Hosting) error {
			v := now.Version(in.Version)
			if v == nil {
				return absentKey(millpond.Key{Package: pkg, Version: in.Version})
			}
			if in.File != "" {
				f := v.File(in.File)
				if f == nil {
					return absentKey(millpond.Key{Package: pkg, Version: in.Version, File: in.File})
				}
				f.Yanked, f.YankedWhy = yanked, why
				return nil
			}
			v.Yanked, v.YankedWhy = yanked, why
			for i := range v.Files {
				v.Files[i].Yanked, v.Files[i].YankedWhy = yanked, why
			}
			return nil
		}})
}

func absentKey(k millpond.Key) error {
	return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: "no " + k.String() + " is hosted here"}
}

func (s *Server) deletePackage(c *call, in Change) (nothing, error) {
	r, _, pkg, err := s.named(c)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, r.Delete(c.r.Context(), format.Deletion{Key: millpond.Key{Package: pkg, Version: in.Version, File: in.File}, Why: in.Why})
}

func (s *Server) restorePackage(c *call, in Change) (nothing, error) {
	r, _, pkg, err := s.named(c)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, r.Restore(c.r.Context(), millpond.Key{Package: pkg, Version: in.Version, File: in.File})
}

func (s *Server) mergePackage(c *call, in Merge) (nothing, error) {
	_, m, pkg, err := s.named(c)
	if err != nil {
		return nothing{}, err
	}
	if !slices.Contains([]string{"", "hide", "union"}, in.Merge) {
		return nothing{}, &millpond.Error{Kind: millpond.Invalid, Why: "merge is " + quote(in.Merge), Hint: "it is hide, union, or empty for what the repository says"}
	}
	return nothing{}, s.parts.Pond.SetMerge(c.r.Context(), c.caller, m.name, pkg, in.Merge)
}

// publishFile publishes the file that is the body.
func (s *Server) publishFile(c *call) error {
	m := c.t.mounts[c.arg("repository")]
	p, ok := m.config.Format.(format.Publisher)
	if !ok {
		return &millpond.Error{Kind: millpond.Unsupported, Why: fmt.Sprintf("%s, of format %s, takes no file in this way", m.name, m.info.Name), Hint: "publish with a client's own command; docs/formats says how"}
	}
	f := format.PublishedFile{Name: c.arg("filename"), Size: c.r.ContentLength, Options: map[string]string{}, Body: c.r.Body}
	for name, values := range c.r.URL.Query() {
		if len(values) != 1 {
			return &millpond.Error{Kind: millpond.Invalid, Why: "the option " + quote(name) + " is given twice"}
		}
		f.Options[name] = values[0]
	}
	if m.config.MaxFile > 0 && f.Size > m.config.MaxFile {
		return &millpond.Error{Kind: millpond.TooLarge, Why: fmt.Sprintf("%s is %s; %s takes files of up to %s", f.Name, bytesText(f.Size), m.name, bytesText(m.config.MaxFile))}
	}
	done, err := p.PublishFile(c.r.Context(), s.as(&c.response.caller, c.response.peer, c.t, m), f)
	if err != nil {
		if _, unread := err.(*http.MaxBytesError); unread {
			return bodyError(err)
		}
		return err
	}
	io.Copy(io.Discard, io.LimitReader(c.r.Body, 64<<10)) // what stands behind an archive; else the connection is lost
	return sendJSON(c, http.StatusOK, &PublishedDocument{Repository: m.name, Package: done.Key.Package, Version: done.Key.Version, File: done.Key.File, New: done.New})
}

func (s *Server) promote(c *call, in PromotionDocument) (*PromotedDocument, error) {
	from, to := c.t.mounts[in.From], c.t.mounts[in.To]
	for name, m := range map[string]*mount{in.From: from, in.To: to} {
		if m == nil || !mayEnter(&c.caller, &m.config) {
			return nil, c.t.unknown(name, &c.caller)
		}
	}
	if len(in.Items) == 0 {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "nothing to promote was named"}
	}
	p := repo.Promotion{From: in.From, To: in.To, DryRun: in.DryRun, Why: in.Why}
	for _, k := range in.Items {
		name, err := from.config.Format.Canon(k.Package)
		if err != nil {
			return nil, err
		}
		p.Items = append(p.Items, millpond.Key{Package: name, Version: k.Version, File: k.File})
	}
	done, err := s.parts.Pond.Promote(c.r.Context(), c.caller, p)
	if err != nil {
		return nil, err
	}
	out := &PromotedDocument{Items: []PublishedDocument{}}
	for _, one := range done.Items {
		out.Items = append(out.Items, PublishedDocument{Repository: in.To, Package: one.Key.Package, Version: one.Key.Version, File: one.Key.File, New: one.New})
	}
	return out, nil
}
