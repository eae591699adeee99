package npm

import (
	"encoding/json"
	"maps"
	"slices"
)

// policy writes the value of "policyRestrictions": the upstream's own, and what the rules of this pond hide.
func (w *writer) policy() error {
	own := map[string]json.RawMessage{}
	if first := &w.parts[0]; !first.meta.policy.empty() {
		// A policy that is no object says nothing.
		if err := json.NewDecoder(first.text.reader(first.meta.policy)).Decode(&own); err != nil || own == nil {
			own = map[string]json.RawMessage{}
		}
	}
	var said string
	var versions map[string]json.RawMessage
	json.Unmarshal(own["message"], &said)      // none is no message
	json.Unmarshal(own["versions"], &versions) // likewise
	if message := w.view.message(); message != "" {
		if said != "" {
			message += "; " + said
		}
		if versions == nil {
			versions = map[string]json.RawMessage{}
		}
		for i := range w.view.gone {
			version := w.view.gone[i].Version.Name
			b := append([]byte(`{"name":`), appendQuoted(nil, w.view.pkg.Name)...)
			b = appendQuoted(append(b, `,"version":`...), version)
			versions[version] = append(b, '}')
		}
		own["message"] = appendQuoted(nil, message)
	}
	if versions != nil {
		own["versions"] = nil
	}
	sep := byte('{')
	for _, key := range slices.Sorted(maps.Keys(own)) {
		w.out.WriteByte(sep)
		sep = ','
		w.quote(key)
		w.out.WriteByte(':')
		if key == "versions" && versions != nil {
			w.object(versions)
		} else {
			w.out.Write(own[key])
		}
	}
	if sep == '{' {
		w.out.WriteByte('{')
	}
	return w.out.WriteByte('}')
}

// object writes members in order of their names. What fails is told by the next write or Flush.
func (w *writer) object(members map[string]json.RawMessage) {
	w.out.WriteByte('{')
	for i, key := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			w.out.WriteByte(',')
		}
		w.quote(key)
		w.out.WriteByte(':')
		w.out.Write(members[key])
	}
	w.out.WriteByte('}')
}
