package raw

import (
	"errors"
	"net/http"

	"millpond"
	"millpond/format"
)

const typeText = "text/plain; charset=utf-8"

var errMethod = errors.New("method not allowed")

// fail answers with an error: the words in text, or as S3 has them.
func (h handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if h.s3 {
		h.failS3(w, r, err)
		return
	}
	why, hint := format.Words(err)
	f := format.Failure{Type: typeText, Body: why + "\n"}
	if hint != "" {
		f.Body += hint + "\n"
	}
	if errors.Is(err, errMethod) {
		f.Status = http.StatusMethodNotAllowed
	}
	if millpond.Is(err, millpond.Gone) && r.Method != http.MethodPut && r.Method != http.MethodPost {
		f.Status = http.StatusNotFound // what was deleted may be put again: it is not there now, and that is all
	}
	if errors.Is(err, errChunkSum) {
		f.Status = statusChecksum
	}
	if millpond.KindOf(err) == millpond.Unauthenticated {
		w.Header().Set("Www-Authenticate", `Basic realm="millpond"`)
	}
	for _, name := range []string{"Content-Disposition", "Repr-Digest", "X-Checksum-Md5", "X-Checksum-Sha1", "X-Checksum-Sha256", "X-Checksum-Sha512"} {
		w.Header().Del(name)
	}
	format.Fail(w, r, h.repo.Now(), err, f)
}
