package cargo

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// datesEvery is how far apart questions about dates are.
const datesEvery = time.Second

// dates are when the versions of a crate were published, as the upstream's web API says, kept for ever.
type dates struct {
	Of string               `json:"of"` // the index file of which every date was asked for
	At map[string]time.Time `json:"at"` // by version
}

func datesName(name string) string { return "dates/" + name }

// wantsDates reports whether the upstream's API is to be asked when versions were published whose lines do not say it.
func (s source) wantsDates() bool { return s.remote.Option("dates") == "api" }

// keptDates are those that were asked for before.
func (s source) keptDates(ctx context.Context, name string) (dates, error) {
	var d dates
	b, err := s.remote.State(ctx, datesName(name))
	if err != nil {
		return d, err
	}
	if b == nil || json.Unmarshal(b, &d) != nil {
		return dates{}, nil
	}
	return d, nil
}

// date sets when versions were published of which the index does not say it. What the API does not tell now is asked for with
// the next reading of the index; meanwhile rules go by when the version was first seen.
func (s source) date(ctx context.Context, p *millpond.Package, spelled string, of millpond.Digest, c config) error {
	kept, err := s.keptDates(ctx, p.Name)
	if err != nil {
		return err
	}
	missing := false
	for i := range p.Versions {
		v := &p.Versions[i]
		_, known := kept.At[v.Name]
		missing = missing || v.Published.IsZero() && !known
	}
	if missing && kept.Of != of.String() && c.API != "" {
		got, err := s.askDates(ctx, spelled, c)
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			if kept.At == nil {
				kept.At = map[string]time.Time{}
			}
			for i := range p.Versions {
				v := &p.Versions[i]
				if at, ok := got[v.Name]; ok && v.Published.IsZero() {
					kept.At[v.Name] = at
				}
			}
			missing = false
		}
	}
	if !missing && kept.Of != of.String() {
		kept.Of = of.String()
		b, err := json.Marshal(kept)
		if err != nil {
			return err
		}
		if err := s.remote.SetState(ctx, datesName(p.Name), b); err != nil {
			return err
		}
	}
	for i := range p.Versions {
		if v := &p.Versions[i]; v.Published.IsZero() {
			v.Published = kept.At[v.Name]
		}
	}
	return nil
}

// askDates asks the upstream's API about one crate.
func (s source) askDates(ctx context.Context, crate string, c config) (map[string]time.Time, error) {
	doc, err := s.remote.Document(ctx, format.Request{
		URL: strings.TrimSuffix(c.API, "/") + "/" + api + "/" + crate, Accept: "application/json", Limit: 32 << 20, Every: datesEvery,
	})
	if err != nil {
		return nil, err
	}
	defer doc.Close()
	var said struct {
		Versions []struct {
			Num     string
			Created time.Time `json:"created_at"`
		}
	}
	if err := json.NewDecoder(doc.Reader()).Decode(&said); err != nil {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "what the upstream's API says of " + crate + " cannot be read", Err: err}
	}
	out := make(map[string]time.Time, len(said.Versions))
	for _, v := range said.Versions {
		if !v.Created.IsZero() && !v.Created.After(s.remote.Now().Add(24*time.Hour)) {
			out[v.Num] = v.Created.UTC()
		}
	}
	return out, nil
}
