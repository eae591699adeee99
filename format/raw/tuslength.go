package raw

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"

	"millpond"
	"millpond/format"
)

// An upload may be begun without its length, which one of its chunks tells then, and those behind it need not tell again. The
// address of the upload was given before: what was told is kept as a file of the path that belongs to no version.

func lengthOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return ".tus/" + hex.EncodeToString(sum[:16]) + "/"
}

// recallLength sets the length of an upload to what one of its chunks has told; it stays -1 if none has.
func (h handler) recallLength(ctx context.Context, id string, u *resumable) error {
	looser, ok := h.repo.(format.Looser)
	if u.Length >= 0 || !ok {
		return nil
	}
	files, err := looser.Loose(ctx, u.Path, lengthOf(id))
	if millpond.Is(err, millpond.NotFound) {
		return nil
	}
	for i := range files {
		if n, err := strconv.ParseInt(strings.TrimPrefix(files[i].Name, lengthOf(id)), 10, 64); err == nil {
			u.Length = n
		}
	}
	return err
}

// tellLength takes the length that a chunk of such an upload tells, which stays.
func (h handler) tellLength(r *http.Request, id string, u *resumable, up format.Upload) error {
	v := r.Header.Get("Upload-Length")
	if v == "" {
		return nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < up.Size() || u.Length >= 0 && n != u.Length {
		return &millpond.Error{Kind: millpond.Invalid, Why: "Upload-Length is no length, or not the one that was told before"}
	}
	if u.Length >= 0 {
		return nil
	}
	u.Length = n
	_, err = h.loose(r.Context(), u.Path, lengthOf(id)+strconv.FormatInt(n, 10), strings.NewReader(v), nil, int64(len(v)))
	return err
}

// A missing reads the bytes that an upload has not yet, of a chunk that does not say how long it is: when those have come and
// there is another one it fails with more. What came before is kept, but ends no upload.
type missing struct {
	from io.Reader
	left int64
	more error
}

func (m *missing) Read(b []byte) (int, error) {
	if m.left > 0 {
		n, err := m.from.Read(b[:min(int64(len(b)), m.left)])
		m.left -= int64(n)
		return n, err
	}
	if len(b) == 0 {
		return 0, nil
	}
	n, err := m.from.Read(b[:1])
	if n > 0 {
		return 0, m.more
	}
	return 0, err
}
