package raw

import (
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"millpond/format/formattest"
)

// TestVersionsOfObjects: who asks for one version of an object, or deletes one, does not mean the newest.
func TestVersionsOfObjects(t *testing.T) {
	h := newHouse(t)
	h.Want("put", s3(h, "PUT", "/k", "bytes"), 200)
	for what, r := range map[string]formattest.Reply{
		"get":    s3(h, "GET", "/k?versionId=abc", ""),
		"delete": s3(h, "DELETE", "/k?versionId=abc", ""),
		"copy":   s3(h, "PUT", "/copy", "", "X-Amz-Copy-Source", "r/k?versionId=abc"),
		"tags":   s3(h, "GET", "/?tagging", ""), // of the bucket
	} {
		if e := read[s3Error](t, h.Want(what, r, http.StatusNotImplemented)); e.Code != "NotImplemented" {
			t.Errorf("%s: got %+v, want NotImplemented", what, e)
		}
	}
	out := read[s3Deleted](t, s3(h, "POST", "/?delete", "<Delete><Object><Key>k</Key><VersionId>abc</VersionId></Object></Delete>"))
	if len(out.Deleted) != 0 || len(out.Error) != 1 || out.Error[0].Code != "NotImplemented" {
		t.Errorf("deleted among several: got %+v, want NotImplemented", out)
	}
	h.Good("still there, by the one version that it has", s3(h, "GET", "/k?versionId=null", ""), []byte("bytes"))
	h.Want("delete that", s3(h, "DELETE", "/k?versionId=null", ""), 204)
	h.Want("deleted", h.Get("/k"), http.StatusNotFound)
}

// TestDeleteIf: a delete with a condition is judged by what is there, plainly and by S3.
func TestDeleteIf(t *testing.T) {
	h := newHouse(t)
	owner := h.As(formattest.Owner)
	put(h, "/f", "one")
	tag := fmt.Sprintf(`"%x"`, md5.Sum([]byte("one")))
	h.Want("plain", owner.Do("DELETE", "/f", http.Header{"If-Match": {`"other"`}}, nil), http.StatusPreconditionFailed)
	h.Want("S3", s3(h, "DELETE", "/f", "", "If-Match", `"other"`), http.StatusPreconditionFailed)
	out := read[s3Deleted](t, s3(h, "POST", "/?delete", `<Delete><Object><Key>f</Key><ETag>"other"</ETag></Object></Delete>`))
	if len(out.Deleted) != 0 || len(out.Error) != 1 || out.Error[0].Code != "PreconditionFailed" {
		t.Errorf("among several: got %+v, want PreconditionFailed", out)
	}
	h.Want("what is not there", owner.Do("DELETE", "/none", http.Header{"If-Match": {"*"}}, nil), http.StatusPreconditionFailed)
	h.Good("still there", h.Get("/f"), []byte("one"))
	h.Want("the right one", s3(h, "DELETE", "/f", "", "If-Match", tag), 204)
	h.Want("deleted", h.Get("/f"), http.StatusNotFound)

	// Of a swap and a delete of the same content one comes first.
	for round := range 40 {
		path, one := fmt.Sprintf("/race/%d", round), fmt.Sprintf("one of %d", round)
		put(h, path, one)
		tag := fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(one)))
		var wg sync.WaitGroup
		var swapped, deleted formattest.Reply
		wg.Go(func() { swapped = put(h, path, "two", "If-Match", tag) })
		wg.Go(func() { deleted = owner.Do("DELETE", path, http.Header{"If-Match": {tag}}, nil) })
		wg.Wait()
		if swapped.Status == 200 && deleted.Status == 204 {
			t.Errorf("%s: what was swapped was deleted all the same", path)
		}
	}
}

// TestTypesThatBrowsersReadAsPages: of a type that is none, or several in one, each browser makes its own.
func TestTypesThatBrowsersReadAsPages(t *testing.T) {
	for kind, want := range map[string]bool{
		"image/png, text/html": true, "text/html(x)": true, "text/html x": true, "multipart/x-mixed-replace; boundary=b": true, "message/rfc822": true,
		"image/png; a=b, text/html": true, "html": true, "text/HTML;charset=utf-8": true, "image/svg+xml": true, " text/html": true,
		"": false, "image/png": false, "text/plain; charset=utf-8": false, "application/vnd.x+json": false,
	} {
		if got := runs(kind); got != want {
			t.Errorf("runs(%q) is %v, want %v", kind, got, want)
		}
	}
}

// TestSignedInline: a signature lets its maker say what the header of an answer is, and makes no page of a file.
func TestSignedInline(t *testing.T) {
	h := newHouse(t)
	put(h, "/x.html", "<script>alert(1)</script>")
	put(h, "/x.txt", "text")
	for query, want := range map[string]string{
		"/x.html?response-content-disposition=inline":                                                            "attachment",
		"/x.html?response-content-disposition=inline&response-content-type=text/html":                            "attachment",
		"/x.html?response-content-disposition=inline&response-content-type=text/plain":                           "attachment",
		"/x.html?response-content-disposition=attachment%3B%20filename%3Dy.html":                                 "attachment; filename=y.html",
		"/x.txt?response-content-disposition=inline":                                                             "inline",
		"/x.txt?response-content-type=text/html":                                                                 "attachment",
		"/x.txt?response-content-type=image/png,text/html&response-content-disposition=inline%3B%20filename%3Da": "attachment",
	} {
		r := h.Want(query, s3(h, "GET", query, "", "Authorization", "AWS4-HMAC-SHA256 of the owner"), 200)
		if got := r.Header.Get("Content-Disposition"); got != want {
			t.Errorf("%s: Content-Disposition is %q, want %q", query, got, want)
		}
	}
}

// TestRedirectsStay: a name with a colon in it leads to no other host.
func TestRedirectsStay(t *testing.T) {
	h := newHouse(t)
	put(h, "/http:other.example/f", "bytes")
	put(h, "/latest?alias=http:other.example/f", "")
	for path, want := range map[string]string{"/http:other.example": "./http:other.example/", "/latest": "./http:other.example/f"} {
		if got := h.Get(path).Header.Get("Location"); got != want {
			t.Errorf("%s: Location is %q, want %q", path, got, want)
		}
	}
}

// TestAliasOfWhatNeverChanges: where a path never changes its bytes do not become a way to others.
func TestAliasOfWhatNeverChanges(t *testing.T) {
	h := newHouse(t, "overwrite", "deny")
	h.Want("put", put(h, "/f", "bytes"), http.StatusCreated)
	h.Want("the same bytes, as an alias", put(h, "/f?alias=other", "bytes"), http.StatusConflict)
	h.Good("what was put", h.Get("/f"), []byte("bytes"))
	h.Want("an alias", put(h, "/latest?alias=f", ""), http.StatusCreated)
	h.Want("the same again", put(h, "/latest?alias=f", ""), 200)
	h.Want("moved", put(h, "/latest?alias=other", ""), http.StatusConflict)
}

// TestPromisedTrailer: a checksum that the header promises and that does not come is no good one.
func TestPromisedTrailer(t *testing.T) {
	h := newHouse(t)
	r := s3(h, "PUT", "/k", "5\r\nhello\r\n0\r\n\r\n", "X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length", "5",
		"X-Amz-Trailer", "x-amz-checksum-crc32")
	if e := read[s3Error](t, h.Want("put", r, 400)); e.Code != "MalformedTrailerError" {
		t.Errorf("got %+v, want MalformedTrailerError", e)
	}
	h.Want("nothing is there", h.Get("/k"), http.StatusNotFound)
}

// TestCopiedSecrets: what is refused when it is put is refused when it is copied from where it is taken.
func TestCopiedSecrets(t *testing.T) {
	h := newHouse(t, "secrets", "refuse open/**=allow")
	h.Want("where it is taken", put(h, "/open/key", "-----BEGIN PRIVATE KEY-----\nMIIB"), http.StatusCreated)
	h.Want("put", put(h, "/key", "-----BEGIN PRIVATE KEY-----\nMIIB"), 400)
	h.Want("copied", s3(h, "PUT", "/key", "", "X-Amz-Copy-Source", "r/open/key"), 400)
	h.Want("copied to where it is taken", s3(h, "PUT", "/open/copy", "", "X-Amz-Copy-Source", "r/open/key"), 200)
	h.Good("the copy", h.Get("/open/copy"), []byte("-----BEGIN PRIVATE KEY-----\nMIIB"))
}

// TestUnmodifiedSince: a date is a condition too, of a read and of a copy.
func TestUnmodifiedSince(t *testing.T) {
	h := newHouse(t)
	put(h, "/f", "bytes")
	at := h.Get("/f").Header.Get("Last-Modified")
	when, err := http.ParseTime(at)
	if err != nil {
		t.Fatal(err)
	}
	before := when.Add(-time.Second).Format(http.TimeFormat)
	const prefix = "X-Amz-Copy-Source-If-"
	for _, c := range []struct {
		name, method, field, date string
		status                    int
	}{
		{"read, as it was then", "GET", "If-Unmodified-Since", at, 200},
		{"read, changed since", "GET", "If-Unmodified-Since", before, 412},
		{"read, no date", "GET", "If-Unmodified-Since", "soon", 200},
		{"copied, as it was then", "PUT", prefix + "Unmodified-Since", at, 200},
		{"copied, changed since", "PUT", prefix + "Unmodified-Since", before, 412},
		{"copied if changed since, and it was", "PUT", prefix + "Modified-Since", before, 200},
		{"copied if changed since, and it was not", "PUT", prefix + "Modified-Since", at, 412},
		{"copied, no date", "PUT", prefix + "Modified-Since", "soon", 200},
	} {
		path, header := "/f", []string{c.field, c.date}
		if c.method == "PUT" {
			path, header = "/copy", append(header, "X-Amz-Copy-Source", "r/f")
		}
		h.Want(c.name, s3(h, c.method, path, "", header...), c.status)
	}
}
