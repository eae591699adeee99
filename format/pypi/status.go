package pypi

import (
	"context"
	"encoding/json"

	"millpond"
	"millpond/format"
)

// The statuses of a project as a whole (PEP 792). Archived and quarantined take no uploads; quarantined gives no file.
const (
	active      = "active"
	archived    = "archived"
	deprecated  = "deprecated"
	quarantined = "quarantined"
)

// SetStatus marks a hosted project as its owners want, in one event. Invalid for a status that is none, NotFound if nothing
// of the name is hosted.
func SetStatus(ctx context.Context, repo format.Repo, name, status, reason string) error {
	switch status {
	case active, archived, deprecated, quarantined:
	default:
		return invalid("%.40q is no status; it can be active, archived, deprecated or quarantined", status)
	}
	return repo.Amend(ctx, format.Amendment{Package: name, Verb: "status", Why: reason, Edit: func(now *format.Hosting) error {
		if len(now.Parts) == 0 {
			now.Parts = []millpond.Part{{}}
		}
		meta := readParts(now.Parts[:1])
		meta.Status, meta.Reason = status, reason
		if status == active {
			meta.Status = "" // which is what active is, with or without a reason
		}
		text, err := json.Marshal(meta)
		now.Parts[0].Meta = text
		return err
	}})
}

// blocked is why nothing of a project may be opened; "" if it may. A layer's own word on it is in p.Blocked already; what
// is hosted says it by its status.
func blocked(p *millpond.Package) string {
	if p.Blocked != "" {
		return p.Blocked
	}
	for _, part := range p.Parts {
		if part.Layer != "" {
			continue
		}
		if meta := readParts([]millpond.Part{part}); meta.Status == quarantined {
			why := p.Name + " is quarantined here"
			if meta.Reason != "" {
				why += ": " + meta.Reason
			}
			return why
		}
	}
	return ""
}
