package npm

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"millpond"
	"millpond/format"
)

// getKeys answers with the upstream's keys, as they were kept, and with our own. A pond that has signed nothing names none:
// a client that is given any key misses the signature of everything that has none.
func (h *handler) getKeys(w http.ResponseWriter, r *http.Request) error {
	k, err := key(r.Context(), h.repo, false)
	if err != nil {
		return err
	}
	if k == nil {
		return h.getDocument(w, r, millpond.Key{File: docKeys}, nil)
	}
	var all struct {
		Keys []json.RawMessage `json:"keys"`
	}
	doc, err := h.repo.Document(r.Context(), millpond.Key{File: docKeys})
	switch {
	case err == nil:
		defer doc.Close()
		if err := json.NewDecoder(doc.Reader()).Decode(&all); err != nil {
			return &millpond.Error{Kind: millpond.BadUpstream, Why: "the upstream's answer is not JSON", Err: err}
		}
	case !millpond.Is(err, millpond.NotFound) && !millpond.Is(err, millpond.Unsupported):
		return err
	}
	id, public, err := publicKey(k)
	if err != nil {
		return err
	}
	own, err := json.Marshal(map[string]any{
		"keyid": id, "key": public, "keytype": "ecdsa-sha2-nistp256", "scheme": "ecdsa-sha2-nistp256", "expires": nil,
	})
	if err != nil {
		return err
	}
	all.Keys = append(all.Keys, own)
	body, err := json.Marshal(all)
	if err != nil {
		return err
	}
	w.Header()["Cache-Control"] = h.cache
	return h.writeJSON(w, r, body)
}

// getBundle answers with the attestations that a version was published with.
func (h *handler) getBundle(w http.ResponseWriter, r *http.Request, k millpond.Key, f *millpond.File) error {
	c, err := h.repo.Open(r.Context(), k)
	if err != nil {
		return err
	}
	defer c.Close()
	text, err := io.ReadAll(io.LimitReader(c, largestRest))
	if err != nil {
		return err
	}
	var facts fileMeta
	json.Unmarshal(f.Meta, &facts) // attestations of a kind that is not known
	body, err := json.Marshal(map[string]any{
		"attestations": []any{map[string]any{"predicateType": facts.PredicateType, "bundle": json.RawMessage(text)}},
	})
	if err != nil {
		return err
	}
	w.Header()["Cache-Control"] = h.cache
	return h.writeJSON(w, r, body)
}

// getAttestations answers with a version's attestations, if they are about the bytes that the listing names.
func (h *handler) getAttestations(w http.ResponseWriter, r *http.Request, p Path) error {
	k := millpond.Key{Package: p.Package, Version: p.Spec, File: docAttestations}
	pkg, err := h.repo.Package(r.Context(), p.Package)
	if err != nil {
		return err
	}
	v := newView(pkg)
	one := v.by[p.Spec]
	if one == nil || mainFile(one) == nil {
		return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s has no version %s", p.Package, p.Spec)}
	}
	if format.IsHosted(one.Layer) {
		f := bundle(one)
		if f == nil {
			return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s@%s was published without attestations", p.Package, p.Spec)}
		}
		k.File = f.Name
		return h.getBundle(w, r, k, f)
	}
	return h.getDocument(w, r, k, func(body []byte) error {
		for _, d := range mainFile(one).Digests {
			if d.Algorithm() == "sha512" && !attests(body, d) {
				return &millpond.Error{
					Kind: millpond.BadUpstream, Key: k,
					Why: fmt.Sprintf("the attestations of %s@%s are about other bytes than its listing", p.Package, p.Spec),
				}
			}
		}
		return nil
	})
}

func (h *handler) getDocument(w http.ResponseWriter, r *http.Request, k millpond.Key, check func([]byte) error) error {
	doc, err := h.repo.Document(r.Context(), k)
	if err != nil {
		return err
	}
	defer doc.Close()
	body, err := io.ReadAll(doc.Reader())
	if err != nil {
		return err
	}
	if !json.Valid(body) {
		return &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: "the upstream's answer is not JSON"}
	}
	if check != nil {
		if err := check(body); err != nil {
			return err
		}
	}
	w.Header()["Cache-Control"] = h.cache
	return h.writeJSON(w, r, body)
}

// attests reports whether every statement among the attestations has the digest among its subjects'.
func attests(body []byte, d millpond.Digest) bool {
	var doc struct {
		Attestations []struct {
			Bundle struct {
				DSSEEnvelope struct {
					Payload string `json:"payload"`
				} `json:"dsseEnvelope"`
			} `json:"bundle"`
		} `json:"attestations"`
	}
	if json.Unmarshal(body, &doc) != nil || len(doc.Attestations) == 0 {
		return false
	}
	for _, one := range doc.Attestations {
		payload, err := base64.StdEncoding.DecodeString(one.Bundle.DSSEEnvelope.Payload)
		if err != nil {
			return false
		}
		var statement struct {
			Subject []struct {
				Digest map[string]string `json:"digest"`
			} `json:"subject"`
		}
		if json.NewDecoder(bytes.NewReader(payload)).Decode(&statement) != nil {
			return false
		}
		match := false
		for _, subject := range statement.Subject {
			match = match || subject.Digest["sha512"] == d.Hex()
		}
		if !match {
			return false
		}
	}
	return true
}
