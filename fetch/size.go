package fetch

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Size asks how large a file is, by a GET of its first byte: where bytes are kept behind a redirect that is signed for GET, no
// HEAD is answered. It is -1 if the upstream does not say.
func (u *Upstream) Size(ctx context.Context, f File) (int64, error) {
	if u.dir != "" {
		file, info, _, err := u.openLocal(f.URL)
		if err != nil {
			return 0, err
		}
		return info.Size(), file.Close()
	}
	if !u.e.enlist() {
		return 0, stopping()
	}
	defer u.e.work.Done()
	ctx, end := u.both(ctx)
	defer end()
	leave, err := u.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	h := http.Header{"Accept-Encoding": {"identity"}, "Range": {"bytes=0-0"}}
	h.Set("Accept", orAny(f.Accept))
	began := time.Now()
	for tries := 1; ; tries++ {
		size, err := u.size(ctx, question{method: http.MethodGet, url: f.URL, header: h, follow: true, scope: f.Scope})
		if err == nil {
			return size, nil
		}
		if err := u.retry(ctx, err, tries, began); err != nil {
			return 0, err
		}
	}
}

func (u *Upstream) size(ctx context.Context, q question) (int64, error) {
	a, err := u.ask(ctx, q)
	if err != nil {
		return 0, err
	}
	defer a.close() // the rest of a body that was not asked for
	switch a.StatusCode {
	case http.StatusOK:
		return a.ContentLength, nil
	case http.StatusPartialContent:
		_, all, _ := strings.Cut(a.Header.Get("Content-Range"), "/")
		total, err := strconv.ParseInt(all, 10, 64)
		if err != nil {
			return -1, nil
		}
		return total, nil
	case http.StatusRequestedRangeNotSatisfiable: // an empty file has no first byte
		_, all, _ := strings.Cut(a.Header.Get("Content-Range"), "/")
		if total, err := strconv.ParseInt(all, 10, 64); err == nil && total == 0 {
			return 0, nil
		}
	}
	return 0, refused(a.Response, u.e.now())
}
