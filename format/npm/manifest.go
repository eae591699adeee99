package npm

import (
	"bufio"
	"bytes"
	"context"

	"millpond"
	"millpond/format"
)

// manifest is one version's manifest as the full packument has it. Only its own range of the kept document is read.
func manifest(ctx context.Context, repo format.Repo, v *view, one *millpond.Version, base string) ([]byte, error) {
	alone := *v
	alone.shown = []*millpond.Version{one}
	parts := v.pkg.Parts
	for i := range parts {
		if parts[i].Layer == one.Layer {
			pkg := *v.pkg
			pkg.Parts = parts[i : i+1]
			alone.pkg = &pkg
		}
	}
	w, err := newWriter(ctx, repo, &alone, base)
	if err != nil {
		return nil, err
	}
	defer w.close()
	var body bytes.Buffer
	w.out = bufio.NewWriter(&body)
	if err := w.manifest(&w.parts[0], &w.parts[0].members[0]); err != nil {
		return nil, err
	}
	err = w.out.Flush()
	return body.Bytes(), err
}
