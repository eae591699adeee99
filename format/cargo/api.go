package cargo

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// yank withdraws a version that is hosted, or takes that back. Doing it twice is doing it once.
func (h handler) yank(w http.ResponseWriter, r *http.Request, p Path) error {
	name, withdraw, verb := identity(p.Crate), p.Kind == Yank, "yank"
	if !withdraw {
		verb = "unyank"
	}
	err := h.repo.Amend(r.Context(), format.Amendment{
		Package: name, Version: p.Version, Verb: verb,
		Edit: func(now *format.Hosting) error {
			v := now.Version(p.Version)
			if v == nil {
				return &millpond.Error{Kind: millpond.NotFound, Key: p.Key(), Why: fmt.Sprintf("%s %s is not hosted here", p.Crate, p.Version)}
			}
			if v.Yanked == withdraw {
				return nil // the words that it was yanked with stay
			}
			v.Yanked, v.YankedWhy = withdraw, ""
			for i := range v.Files {
				v.Files[i].Yanked, v.Files[i].YankedWhy = withdraw, ""
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	return writeJSON(w, r, map[string]bool{"ok": true})
}

// An owner is a person as cargo lists them.
type owner struct {
	ID    uint32 `json:"id"`
	Login string `json:"login"`
	Name  string `json:"name"`
}

// owners lists who may publish a crate, or changes it: who cargo calls an owner is granted the crate by the pond.
func (h handler) owners(w http.ResponseWriter, r *http.Request, p Path) error {
	steward, ok := h.repo.(format.Steward)
	if !ok {
		return &millpond.Error{Kind: millpond.Unsupported, Why: "this pond keeps no owners"}
	}
	ctx, name := r.Context(), identity(p.Crate)
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		logins, err := steward.Owners(ctx, name)
		if err != nil {
			return err
		}
		users := []owner{}
		for _, login := range logins {
			id := fnv.New32a()
			io.WriteString(id, login) // a hash does not fail
			users = append(users, owner{id.Sum32(), login, login})
		}
		return writeJSON(w, r, map[string][]owner{"users": users})
	}
	if err := h.repo.May(ctx, millpond.VerbGrant, name); err != nil {
		return err // and nothing is read of who may not
	}
	var asked struct{ Users []string }
	if err := json.NewDecoder(io.LimitReader(r.Body, mostOwners)).Decode(&asked); err != nil || len(asked.Users) == 0 {
		return &millpond.Error{Kind: millpond.Invalid, Why: `the owners to be changed cannot be read: {"users": ["NAME"]} is wanted`, Err: err}
	}
	var said []string
	for _, login := range asked.Users { // in order, as far as it goes
		if r.Method == http.MethodDelete {
			if err := steward.RemoveOwner(ctx, name, login); err != nil {
				return err
			}
			said = append(said, login+" is no owner of "+p.Crate+" any more")
			continue
		}
		added, err := steward.AddOwner(ctx, name, login)
		if err != nil {
			return err
		}
		if word := " is an owner of "; added {
			said = append(said, login+word+p.Crate+" now")
		} else {
			said = append(said, login+word+p.Crate+" already")
		}
	}
	return writeJSON(w, r, map[string]any{"ok": true, "msg": strings.Join(said, "; ")})
}

// mostOwners is how long a list of owners may be, in bytes.
const mostOwners = 64 << 10

// A found is a crate as a search shows it.
type found struct {
	Name        string `json:"name"`
	MaxVersion  string `json:"max_version"`
	Description string `json:"description"`
}

type foundAll struct {
	Crates []found `json:"crates"`
	Meta   struct {
		Total int `json:"total"`
	} `json:"meta"`
}

const (
	searchName = "search?"
	mostFound  = 100
)

// getSearch shows what is hosted, then what the first upstream that can be searched says. Words that name something of ours go
// nowhere.
func (h handler) getSearch(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if err := h.repo.May(ctx, millpond.VerbRead, ""); err != nil {
		return err
	}
	asked := r.URL.Query()
	words := strings.TrimSpace(asked.Get("q"))
	per, err := strconv.Atoi(asked.Get("per_page"))
	if err != nil || per < 1 {
		per = 10
	}
	per = min(per, mostFound)
	out := foundAll{Crates: []found{}}
	own := map[string]bool{}
	for record, err := range h.repo.Records(ctx, "") {
		if err != nil {
			return err
		}
		var about packageMeta
		json.Unmarshal(record.Meta, &about) // what cannot be read describes nothing
		own[record.Name] = true
		if !matches(record, about, words) {
			continue
		}
		out.Meta.Total++
		if len(out.Crates) == per {
			continue
		}
		one := found{Name: about.Name, Description: about.Description}
		if one.Name == "" {
			one.Name = record.Display
		}
		if one.MaxVersion = h.newest(ctx, record.Name); one.MaxVersion == "" {
			out.Meta.Total--
			continue
		}
		out.Crates = append(out.Crates, one)
	}
	if words != "" && len(words) <= 200 && !h.namesOurs(words, own) {
		h.searchUpstream(ctx, w, words, per, own, &out)
	}
	return writeJSON(w, r, out)
}

func matches(r format.Record, about packageMeta, words string) bool {
	for word := range strings.FieldsSeq(words) {
		if !strings.Contains(r.Name, strings.ReplaceAll(strings.ToLower(word), "-", "_")) &&
			!strings.Contains(strings.ToLower(about.Description), strings.ToLower(word)) {
			return false
		}
	}
	return true
}

// newest is the highest version that is shown of a crate, a release if there is one.
func (h handler) newest(ctx context.Context, name string) string {
	pkg, err := h.repo.Package(ctx, name)
	if err != nil {
		return ""
	}
	return newestOf(pkg)
}

func newestOf(pkg *millpond.Package) string {
	if pkg.Blocked != "" {
		return ""
	}
	best := ""
	for i := range pkg.Versions { // newest first
		v := &pkg.Versions[i]
		if v.Yanked {
			continue
		}
		if !v.Prerelease {
			return v.Name
		}
		if best == "" {
			best = v.Name
		}
	}
	return best
}

// namesOurs reports whether a search holds a word that no upstream may hear of.
func (h handler) namesOurs(words string, own map[string]bool) bool {
	for word := range strings.FieldsFuncSeq(words, func(c rune) bool {
		return !strings.ContainsRune("-_", c) && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	}) {
		if isName(word) && (own[identity(word)] || h.repo.Claimed(identity(word))) {
			return true
		}
	}
	return false
}

// searchUpstream adds what an upstream finds, but for what is ours. An upstream that is ill finds nothing.
func (h handler) searchUpstream(ctx context.Context, w http.ResponseWriter, words string, per int, own map[string]bool, out *foundAll) {
	query := url.Values{"q": {words}, "per_page": {strconv.Itoa(per)}}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	doc, err := h.repo.Document(ctx, millpond.Key{File: configName}) // which says where questions go
	if err == nil {
		doc.Close()
		doc, err = h.repo.Document(ctx, millpond.Key{File: searchName + query.Encode()})
	}
	if err != nil {
		format.Report(w, err)
		return
	}
	defer doc.Close()
	var got foundAll
	if err := json.NewDecoder(doc.Reader()).Decode(&got); err != nil {
		format.Report(w, err)
		return
	}
	out.Meta.Total += got.Meta.Total
	for _, one := range got.Crates[:min(len(got.Crates), mostFound)] { // some upstreams give what they like
		switch {
		case !isName(one.Name) || own[identity(one.Name)] || h.repo.Claimed(identity(one.Name)) || !h.show(ctx, &one):
			out.Meta.Total--
		case len(out.Crates) < per:
			out.Crates = append(out.Crates, one)
		}
	}
}

// show reports whether a crate that an upstream finds may be shown, with the newest of its versions that this reader sees. Its
// index is read only where rules, or a takedown of it, may have a word in that; one of which it cannot be read is not shown then.
func (h handler) show(ctx context.Context, one *found) bool {
	name := identity(one.Name)
	if !h.repo.Ruled() && !h.takenDown(ctx, name, one.MaxVersion) {
		return true
	}
	pkg, err := h.repo.Package(ctx, name)
	if err != nil {
		return false
	}
	if v := pkg.Version(one.MaxVersion); v == nil || v.Yanked || pkg.Blocked != "" {
		one.MaxVersion = newestOf(pkg)
	}
	return one.MaxVersion != ""
}

// takenDown reports whether a crate was taken down, or the version of it, or may not be read. Nobody is asked.
func (h handler) takenDown(ctx context.Context, name, version string) bool {
	if _, err := h.repo.Held().Package(ctx, name); millpond.Is(err, millpond.Blocked) || millpond.Is(err, millpond.Denied) {
		return true
	}
	judger, ok := h.repo.(format.Judger)
	if !ok {
		return false
	}
	_, err := judger.Judge(millpond.Key{Package: name, Version: version}, &millpond.File{Name: fileName(name, version)})
	return err != nil
}
