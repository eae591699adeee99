package raw

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format"
	"millpond/format/formattest"
	"millpond/repo"
)

// TestSumsBesideStrangeNames: names are no addresses: what looks like an escape in them is part of the name, also in the file
// that has a file's digests, and in what that is called.
func TestSumsBesideStrangeNames(t *testing.T) {
	const name = "a/100% f%41?#.bin"
	body := []byte("one")
	sum := millpond.SHA256(body).Hex()
	for option, list := range map[string]string{".sha256": name + ".sha256", "SUMS%41": "a/SUMS%41", "more/SUMS": "a/more/SUMS"} {
		h := readHouse(t, func(c *repo.Config) { c.Options = map[string]string{"sums": option} })
		h.Up.Put("/tree/"+escape(name), faulty.Object{Body: body, ETag: `"1"`})
		h.Up.Put("/tree/"+escape(list), faulty.Object{Body: []byte(sum + "  " + base(name) + "\n"), Type: "text/plain", ETag: `"s"`})
		p, err := h.As("").Repo().Package(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := hexOf(p.Versions[0].Files[0].Digests, "sha256"); got != sum {
			t.Errorf("sums %s: the digest is %q, want %q of %s; the upstream was asked for %v", option, got, sum, list, h.Up.Requests(""))
		}
		h.Good(option, h.Get("/"+escape(name)), body)
	}
}

// writes are the pieces that an answer was given in.
type writes struct {
	*httptest.ResponseRecorder
	pieces []string
}

func (w *writes) Write(b []byte) (int, error) {
	w.pieces = append(w.pieces, string(b))
	return w.ResponseRecorder.Write(b)
}

// TestSumsPageByPage: the digests of a directory that is larger than a page are given page by page, and none is missing or there
// twice; a client that was given a part is not told that it is all.
func TestSumsPageByPage(t *testing.T) {
	h := newHouse(t)
	var want []string
	for i := range 5 {
		name := fmt.Sprintf("d/%d/f", i)
		h.Want("put", put(h, "/d/"+name, name), http.StatusCreated)
		want = append(want, fmt.Sprintf("%s  %s\n", millpond.SHA256([]byte(name)).Hex(), name))
	}
	one := handler{repo: h.As(formattest.Owner).Repo()}
	ask := func(method string, most int) *writes {
		w := &writes{ResponseRecorder: httptest.NewRecorder()}
		if err := one.getSums(w, httptest.NewRequest(method, "/d/?format=sha256sums&recursive=1", nil), directory{prefix: "d/", deep: true, most: most}); err != nil {
			t.Errorf("%s with %d a page: %v", method, most, err)
		}
		return w
	}
	for most, pieces := range map[int]int{2: 3, 4: 2, 100: 1} {
		w := ask("GET", most)
		if got := w.Body.String(); got != strings.Join(want, "") || len(w.pieces) != pieces {
			t.Errorf("%d a page: got %q in %d pieces, want %q in %d", most, got, len(w.pieces), want, pieces)
		}
		if tag := w.Header().Get("Etag"); (tag != "") != (pieces == 1) {
			t.Errorf("%d a page: the entity tag is %q", most, tag)
		}
		if w := ask("HEAD", most); w.Body.Len() != 0 || w.Header().Get("Content-Type") != typeText {
			t.Errorf("HEAD with %d a page: %d bytes, %v", most, w.Body.Len(), w.Header())
		}
	}

	w := &writes{ResponseRecorder: httptest.NewRecorder()}
	one.repo = failing{one.repo, &w.pieces}
	defer func() {
		if got := recover(); got != http.ErrAbortHandler || !slices.Equal(w.pieces, []string{want[0] + want[1]}) {
			t.Errorf("a page that cannot be read: %v after %q, want the connection cut after the first page", got, w.pieces)
		}
	}()
	one.getSums(w, httptest.NewRequest("GET", "/d/?format=sha256sums&recursive=1", nil), directory{prefix: "d/", deep: true, most: 2})
}

// failing cannot list what comes after what was written.
type failing struct {
	format.Repo
	written *[]string
}

func (f failing) List(ctx context.Context, w format.Walk) iter.Seq2[format.Listed, error] {
	if len(*f.written) > 0 {
		return func(yield func(format.Listed, error) bool) { yield(format.Listed{}, io.ErrUnexpectedEOF) }
	}
	return f.Repo.(format.Lister).List(ctx, w)
}

// TestChunkWithoutLength: of a chunk that does not say how long it is, what is missing is taken, and one that has more is refused:
// no file is made of it.
func TestChunkWithoutLength(t *testing.T) {
	h := newHouse(t)
	send := func(method, at, body string, header ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, at, io.MultiReader(strings.NewReader(body))) // whose length nobody knows
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Tus-Resumable", tusVersion)
		r.Header.Set("X-Caller", formattest.Owner)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	const text = "0123456789"
	for _, c := range []struct {
		what  string
		first string // kept before
		sum   string
		kept  string // of the upload, when a chunk was too long
	}{
		{what: "at once", kept: "10"},
		{what: "in two", first: text[:4], kept: "10"},
		{what: "with a checksum", first: text[:4], sum: "sha1 " + base64.StdEncoding.EncodeToString(make([]byte, 20)), kept: "4"},
	} {
		path := strings.ReplaceAll(c.what, " ", "-")
		at := send("POST", h.URL+"/r/-/uploads", "", "Upload-Length", "10", "Upload-Metadata", "path "+base64.StdEncoding.EncodeToString([]byte(path))).Header.Get("Location")
		patch := func(offset int, body string, header ...string) int {
			t.Helper()
			return send("PATCH", at, body, append(header, "Upload-Offset", fmt.Sprint(offset), "Content-Type", typeChunk)...).StatusCode
		}
		if c.first != "" {
			if got := patch(0, c.first); got != http.StatusNoContent {
				t.Fatalf("%s: the first chunk: %d", c.what, got)
			}
		}
		var header []string
		if c.sum != "" {
			header = []string{"Upload-Checksum", c.sum}
		}
		if got := patch(len(c.first), text[len(c.first):]+"x", header...); got != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: one byte too much: got %d, want 413", c.what, got)
		}
		h.Want(c.what, h.Get("/"+path), http.StatusNotFound)
		if got := send("HEAD", at, "").Header.Get("Upload-Offset"); got != c.kept {
			t.Errorf("%s: after a chunk that was too long %s bytes are kept, want %s", c.what, got, c.kept)
		}
		rest := ""
		if c.kept != "10" {
			rest = text[len(c.first):]
		}
		if got := patch(10-len(rest), rest); got != http.StatusNoContent {
			t.Errorf("%s: the rest: %d, want 204", c.what, got)
		}
		h.Good(c.what, h.Get("/"+path), []byte(text))
	}
}
