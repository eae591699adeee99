package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// tokenPath is where challenges send clients for a token.
const tokenPath = "/-/token"

// AtRoot answers what belongs to no one repository: the ping, the list of all images, tokens, and images whose names begin
// with no repository's.
func (Format) AtRoot(l format.Lobby) http.Handler { return lobby{l} }

// Refused answers as the protocol wants it.
func (Format) Refused(w http.ResponseWriter, r *http.Request, root *url.URL, now time.Time, err error) {
	if millpond.Is(err, millpond.Unauthenticated) && !strings.HasSuffix(r.URL.Path, tokenPath) {
		challenge(w, r, root, "")
	}
	format.Fail(w, r, now, err, failure(err, Ping))
}

type lobby struct{ format.Lobby }

func (l lobby) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := l.serve(w, r); err != nil {
		l.fail(w, r, err)
	}
}

// fail answers an error; who is asked for a credential is told for what.
func (l lobby) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, _ := Parse(r.URL.EscapedPath()) // what cannot be parsed wants no token
	if millpond.Is(err, millpond.Unauthenticated) && r.URL.Path != tokenPath {
		challenge(w, r, l.Root(r), (&visit{Path: p}).scope(r.Method))
	}
	format.Fail(w, r, l.Now(), err, failure(err, p.Kind))
}

func (l lobby) serve(w http.ResponseWriter, r *http.Request) error {
	path := r.URL.EscapedPath()
	if path == tokenPath {
		return l.token(w, r)
	}
	w.Header()["Docker-Distribution-Api-Version"] = apiVersion
	p, err := Parse(path)
	if err != nil {
		return err
	}
	if (p.Kind == Ping || p.Kind == Catalog) && r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return &millpond.Error{Kind: millpond.Unsupported, Why: r.Method + " is not for this address: GET, HEAD"}
	}
	switch p.Kind {
	case Ping:
		// Clients take their challenge from here, and send no credential where there is none: not when they push, either.
		if l.Who().Name == "" && r.Header.Get("Authorization") == "" && (l.Private() || l.publishes(r.Context())) {
			return &millpond.Error{Kind: millpond.Unauthenticated, Why: "a credential is wanted here, or the token that anonymous callers are given"}
		}
		return sendEmpty(w, r)
	case Catalog:
		return l.catalog(w, r)
	}
	repo, err := l.repository(r, p.Image)
	if err != nil {
		return err
	}
	Format{}.Handler(repo).ServeHTTP(w, r)
	return nil
}

// publishes reports whether there is a repository in which the caller could do more with a credential.
func (l lobby) publishes(ctx context.Context) bool {
	return slices.ContainsFunc(l.Repos(), func(one format.Repo) bool {
		return millpond.Is(one.May(ctx, millpond.VerbPublish, ""), millpond.Unauthenticated)
	})
}

// repository finds the one that an image is of whose name begins with no repository's.
func (l lobby) repository(r *http.Request, image string) (format.Repo, error) {
	first, _, below := strings.Cut(image, "/")
	if below && l.Taken(first) { // one that the caller may not know of
		return nil, l.unknown(fmt.Sprintf("no repository %.100q", first))
	}
	all := l.Repos()
	if ns := r.URL.Query().Get("ns"); ns != "" {
		var fit []format.Repo
		listed := false
		for _, one := range all {
			names := strings.Fields(one.Option(optNS))
			listed = listed || len(names) > 0
			if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, ns) }) {
				fit = append(fit, one)
			}
		}
		if len(fit) == 1 {
			return fit[0], nil
		}
		if listed {
			return nil, l.unknown(fmt.Sprintf("no one repository here stands for %.100q", ns))
		}
	}
	var rooted []format.Repo
	for _, one := range all {
		if one.Option(optRoot) == "true" {
			rooted = append(rooted, one)
		}
	}
	if len(rooted) == 0 {
		rooted = all
	}
	if len(rooted) == 1 && !l.hides(rooted[0]) {
		return rooted[0], nil
	}
	return nil, l.unknown(fmt.Sprintf("no repository %.100q", first))
}

// hides reports whether a repository stands for certain registries only, and not for whatever a name may mean.
func (l lobby) hides(one format.Repo) bool {
	return one.Option(optNS) != "" && one.Option(optRoot) != "true"
}

// unknown is the answer for an image of no repository. Anonymous callers are asked who they are, where that could matter.
func (l lobby) unknown(why string) error {
	if l.Who().Name == "" && l.Private() {
		return &millpond.Error{Kind: millpond.Unauthenticated, Why: why + ", or it wants a credential"}
	}
	var names []string
	for _, one := range l.Repos() {
		names = append(names, one.Name())
	}
	hint := "this pond has no repositories of images that you may read"
	if len(names) > 0 {
		hint = "image names begin with a repository's: " + strings.Join(names, ", ")
	}
	return coded(codeNameUnknown, &millpond.Error{Kind: millpond.NotFound, Why: why, Hint: hint})
}

// catalog lists the names of all images that the caller may read, as its client spells them.
func (l lobby) catalog(w http.ResponseWriter, r *http.Request) error {
	p, err := pageOf(r.URL.Query())
	if err != nil {
		return err
	}
	if l.Private() && l.Who().Name == "" && r.Header.Get("Authorization") == "" && len(l.Repos()) == 0 {
		return &millpond.Error{Kind: millpond.Unauthenticated, Why: "the names here are for those who may read them"}
	}
	var names []string
	for _, one := range l.Repos() {
		for c, err := range one.Names(r.Context()) {
			if millpond.Is(err, millpond.Denied) || millpond.Is(err, millpond.Unauthenticated) {
				break
			}
			if err != nil {
				return err
			}
			names = append(names, one.Name()+"/"+c.Name)
		}
	}
	slices.Sort(names)
	part, more := p.of(names)
	if more {
		at := placeOf(r, l)
		p.link(w, at+"/_catalog", part)
	}
	if part == nil {
		part = []string{}
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(map[string][]string{"repositories": part}); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header()["Cache-Control"] = moves
	return format.Serve(w, r, inMemory(b.Bytes()))
}

// mostScopes is how many scopes a token is asked for at once.
const mostScopes = 100

// token gives a short token for what the caller may do of what was asked, never an error for what may not be done.
func (l lobby) token(w http.ResponseWriter, r *http.Request) error {
	in := lobby{l.Lobby}
	var asked url.Values
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		asked = r.URL.Query()
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if err := r.ParseForm(); err != nil {
			return coded(codeUnsupported, &millpond.Error{Kind: millpond.Invalid, Why: "the form cannot be read", Err: err})
		}
		asked = r.PostForm
		name, secret := asked.Get("username"), asked.Get("password")
		if asked.Get("grant_type") == "refresh_token" {
			name, secret = "token", asked.Get("refresh_token")
		}
		if secret != "" {
			other, err := l.As(r.Context(), name, secret)
			if err != nil {
				return err
			}
			in = lobby{other}
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		return &millpond.Error{Kind: millpond.Unsupported, Why: r.Method + " is not for this address: GET, POST"}
	}
	scopes, err := in.scopes(asked["scope"])
	if err != nil {
		return err
	}
	t, granted, err := in.Pass(r.Context(), scopes)
	if err != nil {
		return err
	}
	issued := t.Created.UTC().Truncate(time.Second)
	said := map[string]any{
		"token": t.Secret, "access_token": t.Secret, "expires_in": int(t.Expires.Sub(issued) / time.Second), "issued_at": issued.Format(time.RFC3339),
	}
	if r.Method == http.MethodPost && len(granted) > 0 {
		said["scope"] = strings.Join(asked["scope"], " ")
	}
	body, err := json.Marshal(said)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return format.Serve(w, r, inMemory(body))
}

// scopes reads what a client asks a token for: "repository:oci/app:pull,push", several with spaces between them. What names
// nothing here is passed over.
func (l lobby) scopes(texts []string) ([]format.Scope, error) {
	var all []format.Scope
	for _, text := range texts {
		for one := range strings.FieldsSeq(text) {
			if len(all) == mostScopes {
				return nil, coded(codeUnsupported, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("a token is for %d scopes at most", mostScopes)})
			}
			kind, rest, _ := strings.Cut(one, ":")
			name, actions, ok := cutLastColon(rest)
			kind, _, _ = strings.Cut(kind, "(") // "repository(plugin)"
			switch {
			case !ok:
			case kind == "registry" && name == "catalog":
				all = append(all, format.Scope{Verbs: []millpond.Verb{millpond.VerbRead}})
			case kind == "repository":
				if s, ok := l.scopeOf(name, actions); ok {
					all = append(all, s)
				}
			}
		}
	}
	return all, nil
}

func cutLastColon(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// scopeOf is what a name and actions mean here, in the order in which a request's repository is found.
func (l lobby) scopeOf(name, actions string) (format.Scope, bool) {
	if !isName(name) {
		return format.Scope{}, false
	}
	var repo format.Repo
	image := name
	if first, rest, ok := strings.Cut(name, "/"); ok {
		for _, one := range l.Repos() {
			if one.Name() == first {
				repo, image = one, rest
			}
		}
	}
	if repo == nil {
		// The form with ns= is not seen here: its names are those of the repository at the root too.
		var err error
		if repo, err = l.repository(&http.Request{URL: &url.URL{}}, name); err != nil {
			return format.Scope{}, false
		}
	}
	if strings.IndexByte(image, '/') < 0 && repo.Option(optLibrary) == "true" {
		image = "library/" + image
	}
	s := format.Scope{Repository: repo.Name(), Name: image}
	for action := range strings.SplitSeq(actions, ",") {
		switch action {
		case "pull":
			s.Verbs = append(s.Verbs, millpond.VerbRead)
		case "push":
			s.Verbs = append(s.Verbs, millpond.VerbPublish, millpond.VerbMove, millpond.VerbOverwrite)
		case "delete":
			s.Verbs = append(s.Verbs, millpond.VerbDelete, millpond.VerbPublish, millpond.VerbMove)
		case "*":
			s.Verbs = append(s.Verbs, millpond.VerbRead, millpond.VerbPublish, millpond.VerbMove, millpond.VerbOverwrite, millpond.VerbDelete)
		}
	}
	return s, len(s.Verbs) > 0
}
