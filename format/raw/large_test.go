package raw

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millpond"
	"millpond/blob/disk"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/fetch"
	"millpond/repo"
)

// everything is what an owner may.
type everything struct{}

func (everything) May(millpond.Verb, string, string) bool { return true }
func (everything) Scope(millpond.Verb, string) string     { return "*" }
func (e everything) Now(catalog.Tx) (repo.Rights, error)  { return e, nil }

// oneSecret is the same for all.
type oneSecret struct{}

func (oneSecret) Secret(context.Context, string, func() ([]byte, error)) ([]byte, error) {
	return []byte("a key of the test"), nil
}

// TestCase04Sparse: an upload of 100 GiB, nearly all of which came already as far as its file says, is where it is, and takes
// neither more than is missing nor what belongs elsewhere. With -long one of 5 GiB goes to its end, and is read behind 4 GiB.
func TestCase04Sparse(t *testing.T) {
	dir := t.TempDir()
	blobs, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer blobs.Close()
	records, err := sql.Open(t.Context(), dir, sql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	pond, err := repo.New(t.Context(), repo.Parts{Blobs: blobs, Catalog: records, Fetch: &fetch.Engine{Blobs: blobs}, Secrets: oneSecret{}})
	if err != nil {
		t.Fatal(err)
	}
	defer pond.Close(t.Context())
	if err := pond.Configure(t.Context(), repo.Settings{}, []repo.Config{{Name: "r", Format: Format{}, Public: true, MaxFile: 1 << 40}}); err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Tus-Resumable", "1.0.0")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		Format{}.Handler(pond.Repository("r").For(repo.Caller{Actor: millpond.Actor{Name: "ann"}, Rights: everything{}})).ServeHTTP(w, r)
		return w
	}
	want := func(what string, w *httptest.ResponseRecorder, status int) *httptest.ResponseRecorder {
		t.Helper()
		if w.Code != status {
			t.Fatalf("%s: got %d %s, want %d", what, w.Code, w.Body, status)
		}
		return w
	}
	chunk := func(at, body string, offset, length int64) *httptest.ResponseRecorder {
		return ask("PATCH", at, body, "Upload-Offset", fmt.Sprint(offset), "Upload-Length", fmt.Sprint(length), "Content-Type", typeChunk)
	}
	// begun is an upload of which so much came.
	begun := func(name string, came int64) string {
		t.Helper()
		meta := "path " + base64.StdEncoding.EncodeToString([]byte(name))
		location := want("begin", ask("POST", "/-/uploads", "", "Upload-Metadata", meta, "Upload-Defer-Length", "1"), http.StatusCreated).Header().Get("Location")
		files, err := filepath.Glob(filepath.Join(dir, "incoming", "*"))
		if err != nil || len(files) != 1 {
			t.Fatalf("unfinished are %q, %v", files, err)
		}
		if err := os.Truncate(files[0], came); err != nil {
			t.Skipf("the disk takes no file of %d GiB with nothing in it: %v", came>>30, err)
		}
		at := location[strings.Index(location, "/-/uploads"):]
		if got := want("HEAD", ask("HEAD", at, ""), http.StatusOK).Header().Get("Upload-Offset"); got != fmt.Sprint(came) {
			t.Errorf("the offset is %s, want %d", got, came)
		}
		return at
	}
	const all = int64(100 << 30)
	at := begun("huge", all-3)
	for _, offset := range []int64{0, 1, all - 4, all - 2, all, (all - 3) & (1<<32 - 1), all - 3 + 1<<32} {
		want(fmt.Sprintf("at %d", offset), chunk(at, "end", offset, all), http.StatusConflict)
	}
	want("more than is missing", chunk(at, "ends", all-3, all), http.StatusRequestEntityTooLarge)
	want("a length that is passed", chunk(at, "end", all-3, all-4), http.StatusBadRequest)
	want("terminate", ask("DELETE", at, ""), http.StatusNoContent)
	if !*long {
		return
	}
	const five = int64(5 << 30)
	at = begun("large", five-3)
	want("the end", chunk(at, "end", five-3, five), http.StatusNoContent)
	got := want("read", ask("GET", "/large", "", "Range", fmt.Sprintf("bytes=%d-", five-5)), http.StatusPartialContent)
	if got.Body.String() != "\x00\x00end" || got.Header().Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", five-5, five-1, five) {
		t.Errorf("behind 4 GiB: got %q, %v", got.Body, got.Header())
	}
}
