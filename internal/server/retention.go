package server

import (
	"context"

	"millpond"
)

// A retaining Repository knows what of it is to go.
type retaining interface {
	Retention(ctx context.Context) ([]millpond.Key, error)
}

// showRetention lists what the next sweep deletes because options say so.
func (s *Server) showRetention(c *call, _ nothing) ([]KeyDocument, error) {
	out := []KeyDocument{}
	r, ok := c.t.mounts[c.arg("repository")].repository.(retaining)
	if !ok {
		return out, nil
	}
	keys, err := r.Retention(c.r.Context())
	for _, k := range keys {
		out = append(out, KeyDocument{Package: k.Package, Version: k.Version})
	}
	return out, err
}
