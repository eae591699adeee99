package raw

// The numbered cases of this format, and what shows them besides the tests that carry their number:
//
//	 5  scripts raw/aws, raw/s3cmd, raw/rclone, raw/sdk (Amazon's library for Python) and raw/go_sdk (theirs and
//	    MinIO's for Go)
//	 4  script raw/killed; TestUploadResume and TestF28… of repo
//	 6  script raw/killed
//	 7  TestSignature, TestPresigned and TestSignedChunks of internal/auth
//	 9  TestPutAndGet, TestCase06Multipart
//	10  TestCase10Links of internal/auth, scripts raw/curl and raw/install
//	11  script raw/browser
//	12  script raw/install, where Python's plistlib reads the manifest
//	13  script raw/vagrant
//	16  script raw/retention
//	17  TestMoves, TestFreshAsUpstreamSays, TestReadThrough; script raw/read_through
//	18  script raw/wheels

import (
	"bufio"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond/format/formattest"
)

var long = flag.Bool("long", false, "put all the parts that an upload may have")

// TestCase01Mixed: of S3's clients and others, who create a file at once, one does, and of those who swap it.
func TestCase01Mixed(t *testing.T) {
	h := newHouse(t)
	for round := range 20 {
		path := fmt.Sprintf("/race/%d", round)
		for _, header := range [][]string{{"If-None-Match", "*"}, nil} {
			s3Header := header
			if header == nil { // each by the tag that its kind of client knows
				header = []string{"If-Match", h.Get(path).Header.Get("Etag")}
				s3Header = []string{"If-Match", s3(h, "HEAD", path, "").Header.Get("Etag")}
			}
			var wg sync.WaitGroup
			status := make([]int, 8)
			for i := range status {
				body := fmt.Sprintf("%s %d", header[0], i)
				wg.Go(func() {
					if i%2 == 0 {
						status[i] = put(h, path, body, header...).Status
					} else {
						status[i] = s3(h, "PUT", path, body, s3Header...).Status
					}
				})
			}
			wg.Wait()
			slices.Sort(status)
			if status[0] > 201 || status[1] != http.StatusPreconditionFailed || status[7] != http.StatusPreconditionFailed {
				t.Errorf("round %d, %s: got %v, want one success and seven 412", round, header[0], status)
			}
		}
	}
}

// TestCase02Cut: a body that ends before its length, or in chunks without an end, is not there and nothing of it is kept.
func TestCase02Cut(t *testing.T) {
	h := newHouse(t)
	body := strings.Repeat("0123456789", 12)
	send := func(path, header, body string) {
		t.Helper()
		c, err := net.Dial("tcp", strings.TrimPrefix(h.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "PUT /r%s HTTP/1.1\r\nHost: pond.example\r\nX-Caller: %s\r\n%s\r\n\r\n%s", path, formattest.Owner, header, body)
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		// The answer, if there is one, is no success; when the line is closed the pond has done with it.
		answer, err := io.ReadAll(bufio.NewReader(c))
		if err == nil && strings.HasPrefix(string(answer), "HTTP/1.1 2") {
			t.Errorf("%s with %d of the bytes: got %.60q", header, len(body), answer)
		}
	}
	for cut := 0; cut < len(body); cut += 10 {
		send("/cut", fmt.Sprintf("Content-Length: %d", len(body)), body[:cut])
	}
	chunks := fmt.Sprintf("3c\r\n%s\r\n3c\r\n%s\r\n0\r\n\r\n", body[:60], body[60:])
	for cut := 0; cut < len(chunks)-2; cut += 10 {
		send("/cut", "Transfer-Encoding: chunked", chunks[:cut])
	}
	h.Want("nothing is there", h.Get("/cut"), http.StatusNotFound)
	h.WantLog("cut bodies")
	if n := h.Kept(); n != 0 {
		t.Errorf("%d blobs are kept, want none", n)
	}
}

// TestTooMuchForALinkIsRefusedUnread: a client that waits for leave to send sends nothing of what a link does not let in.
func TestTooMuchForALinkIsRefusedUnread(t *testing.T) {
	h := newHouse(t)
	c, err := net.Dial("tcp", strings.TrimPrefix(h.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "PUT /r/drop/x?mp-max=100&mp-sig=x HTTP/1.1\r\nHost: pond.example\r\nX-Caller: %s\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n", formattest.Owner)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %v, %v; want 413 and no leave to send", resp, err)
	}
}

// TestCase04Expiry: an upload that nobody goes on with is gone after a week, and what it will be is judged again at its end.
func TestCase04Expiry(t *testing.T) {
	h := newHouse(t)
	begin := func(path, more string) string {
		r := h.As(formattest.Owner).Do("POST", "/-/uploads", http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Length": {"6"},
			"Upload-Metadata": {"path " + base64.StdEncoding.EncodeToString([]byte(path)) + more}}, nil)
		return strings.TrimPrefix(h.Want("begin", r, http.StatusCreated).Header.Get("Location"), h.URL+"/r")
	}
	patch := func(at, body string, offset int) formattest.Reply {
		return h.As(formattest.Owner).Do("PATCH", at, http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Offset": {fmt.Sprint(offset)}, "Content-Type": {typeChunk}}, []byte(body))
	}
	once := ",if-none-match " + base64.StdEncoding.EncodeToString([]byte("*"))
	at := begin("once", once)
	h.Want("half", patch(at, "abc", 0), http.StatusNoContent)
	h.Want("somebody else is faster", put(h, "/once", "theirs"), http.StatusCreated)
	h.Want("the last chunk", patch(at, "def", 3), http.StatusPreconditionFailed)
	h.Good("theirs stays", h.Get("/once"), []byte("theirs"))
	wrong := ",sha256 " + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("0", 64)))
	h.Want("other bytes than were declared", patch(begin("wrong", wrong), "abcdef", 0), http.StatusBadRequest)
	h.Want("nothing of them", h.Get("/wrong"), http.StatusNotFound)

	at = begin("late", "")
	h.Want("a third", patch(at, "ab", 0), http.StatusNoContent)
	wait := func(d time.Duration) {
		t.Helper()
		h.Pass(d)
		if _, err := h.Pond.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wait(6 * 24 * time.Hour) // which it is moved on by
	r := h.Want("another third", patch(at, "c", 2), http.StatusNoContent)
	ends, err := http.ParseTime(r.Header.Get("Upload-Expires"))
	if left := ends.Sub(h.Now()); err != nil || left > 7*24*time.Hour || left < 7*24*time.Hour-2*time.Minute {
		t.Errorf("Upload-Expires is %q, %v: want a week from %v", r.Header.Get("Upload-Expires"), err, h.Now())
	}
	wait(ends.Sub(h.Now()) - time.Second)
	h.Want("as long as was said", h.As(formattest.Owner).Do("HEAD", at, http.Header{"Tus-Resumable": {"1.0.0"}}, nil), http.StatusOK)
	wait(7*24*time.Hour + time.Minute)
	h.Want("a week later", patch(at, "def", 3), http.StatusNotFound)
	h.Want("nothing of it", h.Get("/late"), http.StatusNotFound)
}

// TestCase06ManyParts: as many parts as there may be are listed page by page, and one more is refused. What a part costs does
// not grow with those that are there; with -long all ten thousand come.
func TestCase06ManyParts(t *testing.T) {
	h := newHouse(t)
	id := read[struct {
		ID string `xml:"UploadId"`
	}](t, s3(h, "POST", "/big?uploads", "")).ID
	// In steps, so that the numbers go to the end in the short run too.
	step := 97
	if *long {
		step = 1
	}
	var want []int
	for n := 1; n <= mostParts; n += step {
		h.Want("part", s3(h, "PUT", fmt.Sprintf("/big?partNumber=%d&uploadId=%s", n, id), fmt.Sprint(n)), 200)
		want = append(want, n)
	}
	if e := read[s3Error](t, s3(h, "PUT", fmt.Sprintf("/big?partNumber=%d&uploadId=%s", mostParts+1, id), "x")); e.Code != "InvalidArgument" {
		t.Errorf("a part too many: got %+v", e)
	}
	var got []int
	for after := 0; ; {
		page := read[struct {
			IsTruncated          bool
			NextPartNumberMarker int
			Part                 []s3Part
		}](t, s3(h, "GET", fmt.Sprintf("/big?uploadId=%s&max-parts=40&part-number-marker=%d", id, after), ""))
		for _, p := range page.Part {
			got = append(got, p.PartNumber)
		}
		if after = page.NextPartNumberMarker; !page.IsTruncated {
			break
		}
		if len(page.Part) != 40 {
			t.Fatalf("a page has %d parts, want 40", len(page.Part))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d parts are listed, %v…, want %d", len(got), got[:min(5, len(got))], len(want))
	}
	h.Want("abort", s3(h, "DELETE", "/big?uploadId="+id, ""), 204)
	h.Pass(48 * time.Hour)
	if _, err := h.Pond.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := h.Kept(); n != 0 {
		t.Errorf("%d blobs are kept after the sweep, want none", n)
	}
}

// TestCase16History: an older content goes when that many days have passed since another was put in its place, and not before;
// what is pinned keeps its history.
func TestCase16History(t *testing.T) {
	h := newHouse(t, "history", "5", "history_days", "logs/**=30")
	for _, path := range []string{"/logs/a", "/logs/pinned", "/other/a"} {
		header := []string{}
		if path == "/logs/pinned" {
			header = []string{"X-Labels", "pin=1"}
		}
		put(h, path, "one", header...)
	}
	h.Pass(40 * 24 * time.Hour) // a content that nobody has replaced does not age
	gone := func() []string {
		keys, err := h.Pond.Repository("r").Retention(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		for _, k := range keys {
			out = append(out, k.Package+" "+k.Version)
		}
		return out
	}
	if got := gone(); len(got) != 0 {
		t.Errorf("of contents that are the newest: %q is to go", got)
	}
	put(h, "/logs/a", "two")
	put(h, "/logs/pinned", "two", "X-Labels", "pin=1")
	put(h, "/other/a", "two")
	h.Pass(30*24*time.Hour - 2*time.Second)
	if got := gone(); len(got) != 0 {
		t.Errorf("two seconds before: %q is to go", got)
	}
	h.Pass(3 * time.Second)
	if got, want := gone(), []string{"logs/a 1"}; !slices.Equal(got, want) {
		t.Errorf("a second after: %q is to go, want %q", got, want)
	}
	if _, err := h.Pond.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Want("the older", h.Get("/logs/a?v=1"), http.StatusNotFound)
	h.Good("the newest", h.Get("/logs/a"), []byte("two"))
	h.Good("what is kept longer", h.Get("/other/a?v=1"), []byte("one"))
}

// TestCase04TakenOver: a client whose connection hangs comes again on another, is told how much there is, and goes on. What the
// hung one sends late is no part of the file.
func TestCase04TakenOver(t *testing.T) {
	h := newHouse(t)
	tus := http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Length": {"6"}, "Upload-Metadata": {"path " + base64.StdEncoding.EncodeToString([]byte("hung"))}}
	r := h.Want("begin", h.As(formattest.Owner).Do("POST", "/-/uploads", tus, nil), http.StatusCreated)
	at := strings.TrimPrefix(r.Header.Get("Location"), h.URL+"/r")
	hung, err := net.Dial("tcp", strings.TrimPrefix(h.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	fmt.Fprintf(hung, "PATCH /r%s HTTP/1.1\r\nHost: pond.example\r\nX-Caller: %s\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: %s\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n",
		at, formattest.Owner, typeChunk)
	in := bufio.NewReader(hung)
	if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "100") { // the pond waits for the body from here on
		t.Fatalf("got %q, %v", line, err)
	}
	fmt.Fprint(hung, "ab") // which may be taken, or come too late
	head := h.Want("how much there is", h.As(formattest.Owner).Do("HEAD", at, http.Header{"Tus-Resumable": {"1.0.0"}}, nil), http.StatusOK)
	offset, err := strconv.Atoi(head.Header.Get("Upload-Offset"))
	if err != nil || offset != 0 && offset != 2 {
		t.Fatalf("the offset is %q, want 0 or 2", head.Header.Get("Upload-Offset"))
	}
	fmt.Fprint(hung, "late")
	rest := http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Offset": {strconv.Itoa(offset)}, "Content-Type": {typeChunk}}
	h.Want("the rest", h.As(formattest.Owner).Do("PATCH", at, rest, []byte("abcdef"[offset:])), http.StatusNoContent)
	h.Good("the file", h.Get("/hung"), []byte("abcdef"))
	answer, err := io.ReadAll(in)
	if strings.Contains(string(answer), " 204 ") {
		t.Errorf("the hung request is told %.60q, %v", answer, err)
	}
}
