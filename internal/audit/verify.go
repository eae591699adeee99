package audit

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"

	"millpond/catalog"
)

// A Report says what verifying has found.
type Report struct {
	Events   int64          // that were read
	Heads    int            // signed heads that were compared
	Break    *catalog.Break // the first thing that is wrong with the log; nil if nothing is
	Problems []string       // what is wrong with the files of signed heads, in words
}

// Sound reports whether nothing was found.
func (r *Report) Sound() bool { return r.Break == nil && len(r.Problems) == 0 }

// Verify walks the log and compares it with itself and with the heads in the files that key signed.
func Verify(ctx context.Context, log catalog.Log, key ed25519.PublicKey, files ...io.Reader) (*Report, error) {
	r := &Report{}
	var heads []catalog.Head
	for i, f := range files {
		signed, problems, err := Read(f, key)
		if err != nil {
			return nil, fmt.Errorf("read signed heads: %w", err)
		}
		for _, p := range problems {
			if len(files) > 1 {
				p = fmt.Sprintf("file %d: %s", i+1, p)
			}
			r.Problems = append(r.Problems, p)
		}
		for j := range signed {
			heads = append(heads, signed[j].Head())
		}
	}
	r.Heads = len(heads)
	var err error
	r.Break, r.Events, err = log.Verify(ctx, heads)
	if err != nil {
		return nil, fmt.Errorf("verify the log: %w", err)
	}
	return r, nil
}
