package npm

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"millpond"
)

// getKeys answers with the upstream's keys, as they were kept.
func (h *handler) getKeys(w http.ResponseWriter, r *http.Request) error {
	return h.getDocument(w, r, millpond.Key{File: docKeys}, nil)
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
	if one == nil || len(one.Files) == 0 {
		return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s has no version %s", p.Package, p.Spec)}
	}
	return h.getDocument(w, r, k, func(body []byte) error {
		for _, d := range one.Files[0].Digests {
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
