package raw

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"millpond"
)

// A boxCatalog is what vagrant reads of a box.
type boxCatalog struct {
	Name     string       `json:"name"`
	Versions []boxVersion `json:"versions"`
}

type boxVersion struct {
	Version   string        `json:"version"`
	Status    string        `json:"status"`
	Providers []boxProvider `json:"providers"`
}

type boxProvider struct {
	Name         string `json:"name"`
	URL          string `json:"url"`
	ChecksumType string `json:"checksum_type"`
	Checksum     string `json:"checksum"`
	Architecture string `json:"architecture,omitempty"`
	Default      bool   `json:"default_architecture,omitempty"`
}

// architectures are those that vagrant knows by these names; never changed.
var architectures = []string{"amd64", "arm64", "i386", "arm", "armhf", "armel", "ppc64le", "s390x", "riscv64", "mips64le"}

// getVagrant answers with the catalog of the boxes below a directory: <version>/<provider>[-<architecture>].box.
func (h handler) getVagrant(w http.ResponseWriter, r *http.Request, p Path) error {
	d := directory{prefix: p.Name + "/", deep: true, most: mostListed}
	out := boxCatalog{Name: p.Name}
	base := h.repo.Base(r)
	for {
		page, err := h.page(r.Context(), d)
		if err != nil {
			return err
		}
		for i := range page.Entries {
			e := &page.Entries[i]
			version, file, ok := strings.Cut(e.Name, "/")
			provider, isBox := strings.CutSuffix(file, ".box")
			if !ok || !isBox || strings.Contains(file, "/") || e.SHA256 == "" || e.Yanked {
				continue
			}
			b := boxProvider{Name: provider, URL: base.String() + escape(e.full), ChecksumType: "sha256", Checksum: e.SHA256}
			for _, arch := range architectures {
				if name, ok := strings.CutSuffix(provider, "-"+arch); ok && name != "" {
					b.Name, b.Architecture, b.Default = name, arch, arch == "amd64"
				}
			}
			if n := len(out.Versions); n == 0 || out.Versions[n-1].Version != version {
				out.Versions = append(out.Versions, boxVersion{Version: version, Status: "active"})
			}
			v := &out.Versions[len(out.Versions)-1]
			v.Providers = append(v.Providers, b)
		}
		if page.Next == "" {
			break
		}
		d.after = page.Next
	}
	if len(out.Versions) == 0 {
		return &millpond.Error{Kind: millpond.NotFound, Why: "there is no box below " + p.Name, Hint: "put one at " + p.Name + "/1.0.0/virtualbox.box"}
	}
	for i := range out.Versions {
		slices.SortStableFunc(out.Versions[i].Providers, func(a, b boxProvider) int {
			switch { // clients that know no architectures take the last of a provider
			case a.Default == b.Default:
				return 0
			case a.Default:
				return 1
			}
			return -1
		})
	}
	slices.SortStableFunc(out.Versions, func(a, b boxVersion) int { return compareNumbers(a.Version, b.Version) })
	body, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	return h.answer(w, r, "application/json", append(body, '\n'))
}

// compareNumbers orders dotted numbers as people do.
func compareNumbers(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if x == y {
			continue
		}
		if xn, yn := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0"); strings.Trim(x+y, "0123456789") == "" && len(xn) != len(yn) {
			return len(xn) - len(yn)
		}
		return strings.Compare(x, y)
	}
	return 0
}
