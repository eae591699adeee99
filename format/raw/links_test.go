package raw

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"testing"

	"millpond/format/formattest"
)

// TestLinkBesideS3: what a link says holds for who speaks S3 too: its digest, its limit, and that it is for a file.
func TestLinkBesideS3(t *testing.T) {
	h := newHouse(t, "history", "2")
	put(h, "/f.bin", "one")
	put(h, "/f.bin", "two")
	pinned := fmt.Sprintf("/r/f.bin?mp-v=sha256:%x&mp-sig=x", sha256.Sum256([]byte("one")))
	for what, header := range map[string]http.Header{"plainly": nil, "with a header of S3's": {"X-Amz-Checksum-Mode": {"ENABLED"}}} {
		h.Good(what, h.Do("GET", pinned, header), []byte("one"))
	}
	h.Good("with a parameter of S3's", h.Do("GET", pinned+"&delimiter=x", nil), []byte("one"))
	h.Good("with a question of S3's", h.Do("GET", pinned+"&tagging", nil), []byte("one"))
	owner := h.As(formattest.Owner)
	for what, header := range map[string]http.Header{"plainly": nil, "with a header of S3's": {"X-Amz-Meta-A": {"b"}}} {
		h.Want("put "+what, owner.Do("PUT", "/in.bin?mp-max=3&mp-sig=x", header, []byte("four")), http.StatusRequestEntityTooLarge)
	}
	h.Want("copied", owner.Do("PUT", "/in.bin?mp-max=3&mp-sig=x", http.Header{"X-Amz-Copy-Source": {"r/f.bin"}}, []byte("own")), http.StatusCreated)
	h.Good("what was put", h.Get("/in.bin"), []byte("own"))
}
