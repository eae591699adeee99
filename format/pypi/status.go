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

// Blocked is why nothing of a hosted project may be opened: it is quarantined.
func (Format) Blocked(name string, meta json.RawMessage) string {
	m := readParts([]millpond.Part{{Meta: meta}})
	if m.Status != quarantined {
		return ""
	}
	why := name + " is quarantined here"
	if m.Reason != "" {
		why += ": " + m.Reason
	}
	return why
}
