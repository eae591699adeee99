package rubygems

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"millpond"
)

// A described is a version as dashboards and updaters read it.
type described struct {
	Name       string   `json:"name,omitempty"`
	Number     string   `json:"number,omitempty"`
	Version    string   `json:"version,omitempty"`
	Platform   string   `json:"platform"`
	Prerelease bool     `json:"prerelease"`
	Created    string   `json:"created_at,omitempty"`
	SHA        string   `json:"sha,omitempty"`
	Summary    string   `json:"summary,omitempty"`
	Info       string   `json:"info,omitempty"`
	Authors    string   `json:"authors,omitempty"`
	Homepage   string   `json:"homepage_uri,omitempty"`
	Licences   []string `json:"licenses"`
	GemURI     string   `json:"gem_uri,omitempty"`
}

// getJSON answers the questions of updaters out of the records.
func (h handler) getJSON(w http.ResponseWriter, r *http.Request, p Path) error {
	pkg, err := h.repo.Package(r.Context(), p.Package)
	if err != nil {
		return err
	}
	all := make([]described, 0, len(pkg.Versions))
	var latest *millpond.Version
	for i := range pkg.Versions {
		v := &pkg.Versions[i]
		if v.Yanked {
			continue
		}
		if latest == nil || latest.Prerelease && !v.Prerelease {
			latest = v
		}
		number, _ := split(v.Name)
		one := h.describe(v)
		one.Number = number
		all = append(all, one)
	}
	switch {
	case p.Kind == Releases:
		return h.json(w, r, all)
	case p.Kind == Latest:
		version := "unknown"
		if latest != nil {
			version, _ = split(latest.Name)
		}
		return h.json(w, r, map[string]string{"version": version})
	case latest == nil:
		return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: p.Package}, Why: p.Package + " has no version to show"}
	}
	one := h.describe(latest)
	one.Name = p.Package
	one.Version, _ = split(latest.Name)
	one.Info, one.Summary = one.Summary, ""
	one.GemURI = h.repo.Base(r).JoinPath(Path{Kind: Gem, File: p.Package + "-" + latest.Name}.String()).String()
	return h.json(w, r, one)
}

func (h handler) describe(v *millpond.Version) described {
	_, platform := split(v.Name)
	d := described{Platform: platform, Prerelease: v.Prerelease, Licences: []string{}}
	if !v.Published.IsZero() {
		d.Created = v.Published.UTC().Format(time.RFC3339)
	}
	if len(v.Files) > 0 && len(v.Files[0].Digests) > 0 {
		d.SHA = v.Files[0].Digests[0].Hex()
	}
	if rec, err := readRecord(v.Meta); err == nil && rec.About != nil {
		d.Summary, d.Authors, d.Homepage = rec.About.Summary, strings.Join(rec.About.Authors, ", "), rec.About.Homepage
		if len(rec.About.Licences) > 0 {
			d.Licences = rec.About.Licences
		}
	}
	return d
}

func (h handler) json(w http.ResponseWriter, r *http.Request, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	header := w.Header()
	header["Content-Type"] = []string{"application/json; charset=utf-8"}
	header["Cache-Control"] = []string{h.moves()}
	return h.text(w, r, text)
}
