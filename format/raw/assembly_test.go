package raw

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond/format/formattest"
	"millpond/repo"
)

// A multipart is an upload in parts that a test is at.
type multipart struct {
	h        *formattest.House
	path, id string
	tags     map[int]string
}

func beginParts(h *formattest.House, path string) *multipart {
	h.T.Helper()
	id := read[struct {
		ID string `xml:"UploadId"`
	}](h.T, h.Want("begin", s3(h, "POST", path+"?uploads", ""), 200)).ID
	return &multipart{h, path, id, map[int]string{}}
}

// try sends a part, and header fields.
func (m *multipart) try(n int, body string, header ...string) formattest.Reply {
	m.h.T.Helper()
	return s3(m.h, "PUT", fmt.Sprintf("%s?partNumber=%d&uploadId=%s", m.path, n, m.id), body, header...)
}

func (m *multipart) put(n int, body string) {
	m.h.T.Helper()
	m.tags[n] = m.h.Want(fmt.Sprintf("part %d", n), m.try(n, body), 200).Header.Get("Etag")
}

// complete puts parts together, with their newest tags.
func (m *multipart) complete(numbers ...int) formattest.Reply {
	m.h.T.Helper()
	var b strings.Builder
	for _, n := range numbers {
		fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", n, strings.Trim(m.tags[n], `"`))
	}
	return s3(m.h, "POST", m.path+"?uploadId="+m.id, "<CompleteMultipartUpload>"+b.String()+"</CompleteMultipartUpload>")
}

// made completes it and compares the file.
func (m *multipart) made(what, want string, numbers ...int) {
	m.h.T.Helper()
	if r := m.h.Want(what+", complete", m.complete(numbers...), 200); !bytes.Contains(r.Body, []byte("<ETag>")) {
		m.h.T.Fatalf("%s: complete answers %s", what, r.Body)
	}
	m.whole(what, want)
}

func (m *multipart) whole(what, want string) {
	m.h.T.Helper()
	got := m.h.Good(what, m.h.Get(m.path), []byte(want)).Header
	one, two, three := md5.Sum([]byte(want)), sha1.Sum([]byte(want)), sha512.Sum512([]byte(want))
	for name, sum := range map[string][]byte{"X-Checksum-Md5": one[:], "X-Checksum-Sha1": two[:], "X-Checksum-Sha512": three[:]} {
		if got.Get(name) != hex.EncodeToString(sum) {
			m.h.T.Errorf("%s: %s is %s, want %x", what, name, got.Get(name), sum)
		}
	}
}

// letters is a part of the least size.
func letters(c string) string { return strings.Repeat(c, smallestPart) }

// TestCase06InPlace: parts that come several at once, in any order, are written once: what is kept is the file, and the note of
// what it was to be. So it is over a restart in the middle, and where another with the same rights goes on.
func TestCase06InPlace(t *testing.T) {
	h := newHouse(t)
	m := beginParts(h, "/once")
	parts := []string{letters("a"), letters("b"), letters("c"), "the end"}
	m.put(2, parts[1])
	h.Restart()
	var wg sync.WaitGroup
	var mu sync.Mutex // guards m.tags
	for _, n := range []int{4, 1, 3} {
		wg.Go(func() {
			tag := h.Want(fmt.Sprintf("part %d", n), m.try(n, parts[n-1]), 200).Header.Get("Etag")
			mu.Lock()
			defer mu.Unlock()
			m.tags[n] = tag
		})
	}
	wg.Wait()
	sizes := []int64{}
	for _, p := range read[struct{ Part []s3Part }](t, s3(h, "GET", m.path+"?uploadId="+m.id, "")).Part {
		sizes = append(sizes, p.Size)
	}
	if want := []int64{smallestPart, smallestPart, smallestPart, 7}; !slices.Equal(sizes, want) {
		t.Errorf("the parts have %v bytes, want %v", sizes, want)
	}
	if n := h.Kept(); n != 1 {
		t.Errorf("%d blobs are kept of parts that are at their places, want the note", n)
	}
	m.made("in place", strings.Join(parts, ""), 1, 2, 3, 4)
	if n := h.Kept(); n != 2 {
		t.Errorf("%d blobs are kept of a file in place, want the file and the note", n)
	}
}

// TestCase06Anyone: who may put the file goes on with its parts, not only who began.
func TestCase06Anyone(t *testing.T) {
	e := ecosystem()
	e.Put, e.Index, e.UpstreamIndex, e.Other = nil, nil, nil, "shared"
	h := formattest.New(t, e, func(c *repo.Config) { c.Upstreams = nil })
	m := beginParts(h, "/shared")
	at := fmt.Sprintf("%s?partNumber=1&uploadId=%s", m.path, m.id)
	for who, want := range map[string]int{formattest.Reader: 403, formattest.Elsewhere: 200} {
		r := h.As(who).Do("PUT", at, http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}}, []byte(letters("t")))
		h.Want("a part of "+who, r, want)
	}
	h.Restart()
	m.tags[1] = fmt.Sprintf("%x", md5.Sum([]byte(letters("t"))))
	m.put(2, "ours")
	m.made("of two", letters("t")+"ours", 1, 2)
	if n := h.Kept(); n != 2 {
		t.Errorf("%d blobs are kept, want the file and the note", n)
	}
}

// TestCase06OutOfPlace: what does not fit in is kept apart, and the file is right all the same.
func TestCase06OutOfPlace(t *testing.T) {
	h := newHouse(t)
	a, b, c := letters("a"), letters("b"), letters("c")
	for _, test := range []struct {
		name string
		do   func(m *multipart) (want string, numbers []int)
	}{
		{"a part again, with other bytes", func(m *multipart) (string, []int) {
			m.put(1, a)
			m.put(2, b)
			m.put(1, c)
			return c + b, []int{1, 2}
		}},
		{"a part again, with the same", func(m *multipart) (string, []int) {
			m.put(1, a)
			m.put(1, a)
			m.put(2, "b")
			return a + "b", []int{1, 2}
		}},
		{"fewer parts than came", func(m *multipart) (string, []int) {
			m.put(1, a)
			m.put(2, b)
			m.put(3, c)
			return a, []int{1}
		}},
		{"a gap in the numbers", func(m *multipart) (string, []int) {
			m.put(1, a)
			m.put(3, c)
			m.put(900, "far")
			return a + c + "far", []int{1, 3, 900}
		}},
		{"the short one first, then longer ones", func(m *multipart) (string, []int) {
			m.put(3, "end")
			m.put(1, a)
			m.put(2, b)
			return a + b + "end", []int{1, 2, 3}
		}},
		{"one that is cut, then whole", func(m *multipart) (string, []int) {
			m.put(1, a)
			m.h.Want("cut", m.try(2, "bad bytes", "Content-Md5", "AAAAAAAAAAAAAAAAAAAAAA=="), http.StatusBadRequest)
			if e := read[s3Error](m.h.T, m.try(2, "4\r\nlong\r\n4\r\nlong\r\n0\r\n\r\n", "X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
				"X-Amz-Decoded-Content-Length", "4", "Content-Encoding", "aws-chunked")); e.Code == "" {
				m.h.T.Errorf("more than was said is taken")
			}
			m.put(2, "ok")
			return a + "ok", []int{1, 2}
		}},
		{"completed with a condition that fails, then without", func(m *multipart) (string, []int) {
			m.put(1, "new")
			h.Want("the path is taken", put(h, m.path, "old"), 201)
			r := s3(h, "POST", m.path+"?uploadId="+m.id, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+m.tags[1]+
				"</ETag></Part></CompleteMultipartUpload>", "If-None-Match", "*")
			h.Want("create only", r, http.StatusPreconditionFailed)
			return "new", []int{1}
		}},
	} {
		m := beginParts(h, "/"+strings.ReplaceAll(test.name, " ", "-"))
		want, numbers := test.do(m)
		m.made(test.name, want, numbers...)
	}
}

// TestCase06Abort: the bytes of an upload that was aborted are dropped at once, and those of one that was left in a week.
func TestCase06Abort(t *testing.T) {
	h := newHouse(t)
	m := beginParts(h, "/aborted")
	m.put(1, "bytes")
	h.Want("abort", s3(h, "DELETE", m.path+"?uploadId="+m.id, ""), 204)
	left := beginParts(h, "/left")
	left.put(1, "bytes")
	unfinished := func() (n int) {
		for _, one := range []*multipart{m, left} {
			if one.complete(1).Status == 200 {
				n++
			}
		}
		return n
	}
	h.Pass(8 * 24 * time.Hour)
	if n := unfinished(); n != 0 {
		t.Errorf("%d uploads can be completed, want none", n)
	}
	if _, err := h.Pond.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := h.Kept(); n != 0 {
		t.Errorf("%d blobs are kept, want none", n)
	}
}

// TestCase06KilledAtEveryWrite: the pond stops at any write of a part, or of putting parts together. What was answered is there,
// and the same requests make the file afterwards.
func TestCase06KilledAtEveryWrite(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n, hit := 1, true; hit; n++ {
			h := newHouse(t)
			m := beginParts(h, "/killed")
			h.CrashAt(n, after)
			r := m.try(1, "the bytes")
			hit = h.Mended()
			if r.Status != 200 || n%2 == 1 { // a client that had its answer may send it again all the same
				r = h.Want("the part", m.try(1, "the bytes"), 200)
			}
			m.tags[1] = r.Header.Get("Etag")
			m.made(fmt.Sprintf("the part killed at write %d, after it: %t", n, after), "the bytes", 1)
		}
		for n, hit := 1, true; hit; n++ {
			what := fmt.Sprintf("putting together killed at write %d, after it: %t", n, after)
			h := newHouse(t)
			m := beginParts(h, "/killed")
			m.put(1, "the bytes")
			h.CrashAt(n, after)
			r := m.complete(1)
			hit = h.Mended()
			answered := r.Status == 200 && bytes.Contains(r.Body, []byte("<ETag>"))
			again := m.complete(1)
			done := again.Status == 200 && bytes.Contains(again.Body, []byte("<ETag>"))
			if !answered && !done && !bytes.Contains(again.Body, []byte("<Code>NoSuchUpload<")) {
				t.Errorf("%s: then complete answers %s", what, again)
			}
			m.whole(what, "the bytes")
			if n > 40 {
				t.Fatal("it never ends")
			}
		}
	}
}

// TestListOfUploads: what is under way is told by key and by age, in pages, to those who may go on with it.
func TestListOfUploads(t *testing.T) {
	h := newHouse(t)
	var want []string
	ids := map[string]string{}
	for _, path := range []string{"/a", "/dir/one", "/dir/one", "/dir/two%20+", "/z"} {
		m := beginParts(h, path)
		h.Pass(time.Second)
		want = append(want, strings.ReplaceAll(path[1:], "%20", " ")+" "+m.id)
		ids[path] = m.id
	}
	done := beginParts(h, "/done")
	done.put(1, "x")
	done.made("one that is no longer under way", "x", 1)
	h.Want("aborted", s3(h, "DELETE", "/aborted?uploadId="+beginParts(h, "/aborted").id, ""), 204)
	h.Want("no part of it", h.As(formattest.Owner).Do("POST", "/-/uploads", http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Length": {"5"}, "Upload-Metadata": {"path eA=="}}, nil), 201)
	list := func(query string) s3Uploads { return read[s3Uploads](t, s3(h, "GET", "/?uploads"+query, "")) }
	names := func(page s3Uploads) (all []string) {
		for _, u := range page.Upload {
			if when, err := time.Parse(s3Time, u.Initiated); err != nil || when.IsZero() {
				t.Errorf("%s was begun %q", u.Key, u.Initiated)
			}
			all = append(all, u.Key+" "+u.UploadID)
		}
		return all
	}
	if got := names(list("")); !slices.Equal(got, want) {
		t.Errorf("all: got %q, want %q", got, want)
	}
	if got := names(list("&prefix=dir/")); !slices.Equal(got, want[1:4]) {
		t.Errorf("below dir/: got %q, want %q", got, want[1:4])
	}
	if got := list("&prefix=dir/t&encoding-type=url").Upload; len(got) != 1 || got[0].Key != "dir/two%20%2B" {
		t.Errorf("escaped: got %+v", got)
	}
	for most := 1; most <= 5; most++ {
		var got []string
		for at, pages := "", 0; ; pages++ {
			page := list(fmt.Sprintf("&max-uploads=%d%s", most, at))
			if got = append(got, names(page)...); !page.IsTruncated {
				break
			}
			if at = "&key-marker=" + page.NextKeyMarker + "&upload-id-marker=" + page.NextUploadIDMarker; len(page.Upload) != most || pages > 5 {
				t.Fatalf("%d a page: one has %d", most, len(page.Upload))
			}
			at = strings.ReplaceAll(strings.ReplaceAll(at, " ", "%20"), "+", "%2B")
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d a page: got %q, want %q", most, got, want)
		}
	}
	for at, want := range map[string][]string{"": {"a", "dir/", "z"}, "&key-marker=a": {"dir/", "z"}, "&key-marker=dir/": {"z"}} {
		page := list("&delimiter=/" + at)
		var got []string
		for _, u := range page.Upload {
			got = append(got, u.Key)
		}
		for _, p := range page.CommonPrefixes {
			got = append(got, p.Prefix)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("with a delimiter%s: got %q, want %q", at, got, want)
		}
	}
	r := h.As(formattest.Reader).Do("GET", "/?uploads", http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}}, nil)
	if got := read[s3Uploads](t, r).Upload; len(got) != 0 {
		t.Errorf("who may not go on with them is told of %+v", got)
	}
}
