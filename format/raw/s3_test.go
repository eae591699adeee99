package raw

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond/format/formattest"
)

// s3 sends an unsigned request of S3's as the owner. Who signs it is judged before it comes here: see internal/auth.
func s3(h *formattest.House, method, path string, body string, header ...string) formattest.Reply {
	h.T.Helper()
	hd := http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}}
	for i := 0; i < len(header); i += 2 {
		hd.Set(header[i], header[i+1])
	}
	return h.As(formattest.Owner).Do(method, path, hd, []byte(body))
}

func read[T any](t testing.TB, r formattest.Reply) T {
	t.Helper()
	var v T
	if err := xml.Unmarshal(r.Body, &v); err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	return v
}

func TestS3Object(t *testing.T) {
	h := newHouse(t)
	sum := md5.Sum([]byte("hello"))
	tag := `"` + hex.EncodeToString(sum[:]) + `"`
	r := h.Want("put", s3(h, "PUT", "/k/a%20b%2Bc", "hello", "X-Amz-Meta-Color", "red", "X-Amz-Tagging", "team=x", "Content-Md5", base64.StdEncoding.EncodeToString(sum[:])), 200)
	if got := r.Header.Get("Etag"); got != tag {
		t.Errorf("ETag is %s, want the MD5 %s", got, tag)
	}
	got := h.Good("get", s3(h, "GET", "/k/a%20b%2Bc", ""), []byte("hello"))
	if got.Header.Get("Etag") != tag || got.Header.Get("X-Amz-Meta-Color") != "red" || got.Header.Get("X-Amz-Tagging-Count") != "1" {
		t.Errorf("get: the header is %v", got.Header)
	}
	h.Want("range", s3(h, "GET", "/k/a%20b%2Bc", "", "Range", "bytes=1-2", "If-Match", tag), http.StatusPartialContent)
	// A client compares what it is told with what it reads: of a part, or of an error, the checksum of the whole is none.
	for what, c := range map[string]struct {
		header []string
		status int
		told   bool
	}{
		"the whole": {nil, 200, true}, "a part": {[]string{"Range", "bytes=1-2"}, 206, false}, "an error": {[]string{"If-Match", `"other"`}, 412, false},
	} {
		r := h.Want(what, s3(h, "GET", "/k/a%20b%2Bc", "", append(c.header, "X-Amz-Checksum-Mode", "ENABLED")...), c.status)
		if told := r.Header.Get("X-Amz-Checksum-Sha256") != ""; told != c.told || c.status > 299 && r.Header.Get("X-Amz-Meta-Color") != "" {
			t.Errorf("%s: the header is %v, want a checksum: %v", what, r.Header, c.told)
		}
	}
	h.Want("bad digest", s3(h, "PUT", "/k/x", "hello", "Content-Md5", base64.StdEncoding.EncodeToString(make([]byte, 16))), 400)
	if e := read[s3Error](t, s3(h, "PUT", "/k/x", "hello", "Content-Md5", base64.StdEncoding.EncodeToString(make([]byte, 16)))); e.Code != "BadDigest" {
		t.Errorf("bad digest: code is %s", e.Code)
	}
	for what, c := range map[string]struct{ method, path, code string }{
		"no such key": {"GET", "/none", "NoSuchKey"}, "acl": {"GET", "/k/x?acl", "NotImplemented"}, "lifecycle": {"GET", "/?lifecycle", "NotImplemented"},
		"upload": {"PUT", "/k/x?partNumber=1&uploadId=abc", "NoSuchUpload"},
	} {
		if e := read[s3Error](t, s3(h, c.method, c.path, "")); e.Code != c.code || e.Message == "" {
			t.Errorf("%s: got %+v, want code %s", what, e, c.code)
		}
	}
	h.Want("create only", s3(h, "PUT", "/k/a%20b%2Bc", "other", "If-None-Match", "*"), http.StatusPreconditionFailed)
	h.Want("copy", s3(h, "PUT", "/copy", "", "X-Amz-Copy-Source", "/r/k/a%20b%2Bc"), 200)
	if got := h.Good("copied", s3(h, "GET", "/copy", ""), []byte("hello")); got.Header.Get("X-Amz-Meta-Color") != "red" {
		t.Errorf("copied: the header is %v", got.Header)
	}
	h.Want("copy with other metadata", s3(h, "PUT", "/copy", "", "X-Amz-Copy-Source", "r/copy", "X-Amz-Metadata-Directive", "REPLACE", "X-Amz-Meta-Shape", "round"), 200)
	if got := s3(h, "HEAD", "/copy", ""); got.Header.Get("X-Amz-Meta-Shape") != "round" || got.Header.Get("X-Amz-Meta-Color") != "" {
		t.Errorf("replaced: the header is %v", got.Header)
	}
	if got := read[tagSet](t, s3(h, "GET", "/k/a%20b%2Bc?tagging", "")); len(got.Tags) != 1 || got.Tags[0] != (s3Tag{"team", "x"}) {
		t.Errorf("tagging: got %+v", got)
	}
	h.Want("put tagging", s3(h, "PUT", "/copy?tagging", "<Tagging><TagSet><Tag><Key>pin</Key><Value>1</Value></Tag></TagSet></Tagging>"), 200)
	h.Want("delete", s3(h, "DELETE", "/copy", ""), 204)
	h.Want("delete what is not there", s3(h, "DELETE", "/copy", ""), 204)
	out := read[s3Deleted](t, s3(h, "POST", "/?delete", "<Delete><Object><Key>k/a b+c</Key></Object><Object><Key>none</Key></Object></Delete>"))
	if len(out.Deleted) != 2 || len(out.Error) != 0 {
		t.Errorf("deleted: got %+v", out)
	}
	h.Want("marker", s3(h, "PUT", "/dir/", ""), 200)
	h.Want("marker is there", s3(h, "HEAD", "/dir/", ""), 200)
	h.Good("marked and empty", h.Get("/dir/"), nil)
	h.Want("anonymous", h.As("").Do("PUT", "/x", http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}}, []byte("x")), http.StatusForbidden)
	plain := h.Do("GET", "/r?location", nil)
	if !bytes.Contains(plain.Body, []byte("LocationConstraint")) && plain.Status != 404 { // without its slash the House knows no mount
		t.Errorf("location: %s", plain)
	}
}

// TestCase08Listing compares pages of many keys with what a plain reading of them gives.
func TestCase08Listing(t *testing.T) {
	h := newHouse(t)
	rng := rand.New(rand.NewPCG(1, 2))
	keys := map[string]bool{"a": true, "a/": true, "a/b": true, "a.b": true, "a0": true}
	most, parts, sizes := 400, 3, []int{1, 7, 1000}
	if *long {
		most, parts, sizes = 10_000, 6, []int{97, 1000}
	}
	for len(keys) < most {
		var b strings.Builder
		for range 1 + rng.IntN(parts) {
			b.WriteString([]string{"x", "y", "z é", "x+", "w/", "x.", "%"}[rng.IntN(7)])
			if rng.IntN(2) == 0 {
				b.WriteByte('/')
			}
		}
		key := strings.Trim(strings.ReplaceAll(b.String(), "//", "/"), "/")
		keys[key] = true
	}
	for key := range keys {
		h.Want(key, s3(h, "PUT", "/"+escape(key), ""), 200)
	}
	sorted := slices.Sorted(maps.Keys(keys))
	reference := func(prefix, delimiter string) (out []string) {
		for _, k := range sorted {
			rest, ok := strings.CutPrefix(k, prefix)
			if !ok {
				continue
			}
			if i := strings.Index(rest, delimiter); delimiter != "" && i >= 0 {
				k = "P " + prefix + rest[:i+len(delimiter)]
			}
			if len(out) == 0 || out[len(out)-1] != k {
				out = append(out, k)
			}
		}
		return out
	}
	for _, prefix := range []string{"", "a", "a/", "x", "x/", "z é/", "none"} {
		for _, delimiter := range []string{"", "/", "y", "./"} {
			sizes := sizes
			if delimiter != "" && delimiter != "/" {
				sizes = sizes[:2][1:] // as one
			}
			for _, most := range sizes {
				for _, v2 := range []bool{true, false} {
					var got []string
					token, marker := "", ""
					for range 1000 {
						q := url.Values{"prefix": {prefix}, "delimiter": {delimiter}, "max-keys": {fmt.Sprint(most)}}
						if v2 {
							q.Set("list-type", "2")
						}
						if token != "" {
							q.Set("continuation-token", token)
						}
						if marker != "" {
							q.Set("marker", marker)
						}
						page := read[s3Listing](t, h.Good("list", s3(h, "GET", "/?"+q.Encode(), ""), nil))
						var one []string
						for _, c := range page.Contents {
							one = append(one, c.Key)
						}
						for _, p := range page.CommonPrefixes {
							one = append(one, "P "+p.Prefix)
						}
						slices.SortFunc(one, func(a, b string) int {
							return strings.Compare(strings.TrimPrefix(a, "P "), strings.TrimPrefix(b, "P "))
						})
						if len(one) > most {
							t.Fatalf("a page of %d has %d", most, len(one))
						}
						got = append(got, one...)
						if !page.IsTruncated {
							break
						}
						token, marker = page.NextContinuationToken, page.NextMarker
					}
					if want := reference(prefix, delimiter); !slices.Equal(got, want) {
						t.Errorf("prefix %q delimiter %q max-keys %d v2 %v: got %d %q, want %d %q", prefix, delimiter, most, v2, len(got), got, len(want), want)
					}
				}
			}
			if testing.Short() {
				return
			}
		}
	}
	page := read[s3Listing](t, s3(h, "GET", "/?list-type=2&encoding-type=url&prefix=x%2B", ""))
	if len(page.Contents) == 0 || !strings.HasPrefix(page.Contents[0].Key, "x%2B") {
		t.Errorf("encoded: got %+v", page.Contents)
	}
}

func TestCase06Multipart(t *testing.T) {
	h := newHouse(t)
	type begun struct {
		UploadID string `xml:"UploadId"`
	}
	begin := func(path string) string {
		return read[begun](t, h.Want("begin", s3(h, "POST", path+"?uploads", "", "Content-Type", "text/x-big", "X-Amz-Meta-K", "v"), 200)).UploadID
	}
	part := func(path, id string, n int, body string) string {
		return h.Want(fmt.Sprintf("part %d", n), s3(h, "PUT", fmt.Sprintf("%s?partNumber=%d&uploadId=%s", path, n, id), body), 200).Header.Get("Etag")
	}
	complete := func(path, id string, parts ...string) formattest.Reply {
		var b strings.Builder
		b.WriteString("<CompleteMultipartUpload>")
		for i := 0; i < len(parts); i += 2 {
			fmt.Fprintf(&b, "<Part><PartNumber>%s</PartNumber><ETag>%s</ETag></Part>", parts[i], strings.ReplaceAll(parts[i+1], `"`, "&quot;"))
		}
		b.WriteString("</CompleteMultipartUpload>")
		return s3(h, "POST", path+"?uploadId="+id, b.String())
	}
	one, two := strings.Repeat("1", smallestPart), strings.Repeat("2", 100)
	id := begin("/big")
	b := part("/big", id, 2, two) // out of order
	part("/big", id, 1, strings.Repeat("x", smallestPart))
	a := part("/big", id, 1, one) // again, other bytes
	list := read[struct{ Part []s3Part }](t, s3(h, "GET", "/big?uploadId="+id, ""))
	if len(list.Part) != 2 || list.Part[1].Size != 100 {
		t.Errorf("parts: got %+v", list)
	}
	h.Want("not there before it is complete", h.Get("/big"), http.StatusNotFound)
	for what, c := range map[string]struct {
		parts []string
		code  string
	}{
		"wrong tag": {[]string{"1", b, "2", b}, "InvalidPart"}, "missing": {[]string{"1", a, "3", b}, "InvalidPart"},
		"order": {[]string{"2", b, "1", a}, "InvalidPartOrder"}, "none": {nil, "MalformedXML"},
	} {
		if e := read[s3Error](t, complete("/big", id, c.parts...)); e.Code != c.code {
			t.Errorf("%s: got %+v, want %s", what, e, c.code)
		}
	}
	h.Want("complete", complete("/big", id, "1", a, "2", b), 200)
	x, y := md5.Sum([]byte(one)), md5.Sum([]byte(two))
	want := fmt.Sprintf(`"%x-2"`, md5.Sum(append(x[:], y[:]...)))
	got := h.Good("get", s3(h, "GET", "/big", ""), []byte(one+two))
	if got.Header.Get("Etag") != want || got.Header.Get("X-Amz-Meta-K") != "v" || got.Header.Get("Content-Type") != "text/x-big" {
		t.Errorf("get: the header is %v, want tag %s", got.Header, want)
	}
	if e := read[s3Error](t, complete("/big", id, "1", a, "2", b)); e.Code != "NoSuchUpload" {
		t.Errorf("complete again: got %+v", e)
	}
	h.WantLog("one event", "publish")
	h.Want("Case09: overwritten by a plain put", put(h, "/big", "small", "If-Match", want), 200)

	id = begin("/small")
	a, b = part("/small", id, 1, "short"), part("/small", id, 2, "x")
	if e := read[s3Error](t, complete("/small", id, "1", a, "2", b)); e.Code != "EntityTooSmall" {
		t.Errorf("a small part: got %+v", e)
	}
	h.Want("abort", s3(h, "DELETE", "/small?uploadId="+id, ""), 204)
	if e := read[s3Error](t, complete("/small", id, "1", a)); e.Code != "NoSuchUpload" {
		t.Errorf("after abort: got %+v", e)
	}
	h.Pass(48 * time.Hour)
	if _, err := h.Pond.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := h.Kept(); n > 2 {
		t.Errorf("%d blobs are kept after the sweep, want the two of /big", n)
	}
}

// TestCase06AbortWhileCompleting: of who completes an upload of one part and who aborts it at the same time either comes first;
// what is told is so.
func TestCase06AbortWhileCompleting(t *testing.T) {
	h := newHouse(t)
	won := map[bool]int{}
	for round := range 20 {
		path, body := fmt.Sprintf("/one/%d", round), fmt.Sprintf("part of %d", round)
		id := read[struct {
			ID string `xml:"UploadId"`
		}](t, h.Want("begin", s3(h, "POST", path+"?uploads", ""), 200)).ID
		tag := h.Want("part", s3(h, "PUT", path+"?partNumber=7&uploadId="+id, body), 200).Header.Get("Etag")
		list := "<CompleteMultipartUpload><Part><PartNumber>7</PartNumber><ETag>" + strings.Trim(tag, `"`) + "</ETag></Part></CompleteMultipartUpload>"
		var wg sync.WaitGroup
		var completed, aborted formattest.Reply
		wg.Go(func() { completed = s3(h, "POST", path+"?uploadId="+id, list) })
		wg.Go(func() { aborted = s3(h, "DELETE", path+"?uploadId="+id, "") })
		wg.Wait()
		there := completed.Status == 200 && !bytes.Contains(completed.Body, []byte("<Error>"))
		won[there]++
		if there {
			h.Good(path, s3(h, "GET", path, ""), []byte(body))
		} else {
			h.Want(path+" is not there: "+string(completed.Body), h.Get(path), http.StatusNotFound)
		}
		if aborted.Status != 204 && aborted.Status != 404 {
			t.Errorf("%s: the abort is answered %s", path, aborted)
		}
		if e := read[s3Error](t, s3(h, "GET", path+"?uploadId="+id, "")); e.Code != "NoSuchUpload" {
			t.Errorf("%s afterwards: got %+v", path, e)
		}
	}
	t.Logf("completed %d times, aborted %d", won[true], won[false])
}

// TestCase07Chunks reads bodies in chunks, as streaming clients send them, with a checksum behind.
func TestCase07Chunks(t *testing.T) {
	h := newHouse(t)
	body := strings.Repeat("0123456789", 5000)
	crc := func(algorithm string) string {
		if algorithm == "crc32" {
			var b [4]byte
			sum := crc32.ChecksumIEEE([]byte(body))
			b[0], b[1], b[2], b[3] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
			return base64.StdEncoding.EncodeToString(b[:])
		}
		s := crc64.New(nvme)
		s.Write([]byte(body))
		return base64.StdEncoding.EncodeToString(s.Sum(nil))
	}
	framed := func(trailer string) string {
		var b strings.Builder
		for rest := body; rest != ""; {
			n := min(len(rest), 16<<10)
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		return b.String() + "0\r\n" + trailer + "\r\n"
	}
	send := func(path, text string, trailer string) formattest.Reply {
		return s3(h, "PUT", path, text, "X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length", fmt.Sprint(len(body)),
			"X-Amz-Trailer", trailer, "Content-Encoding", "aws-chunked")
	}
	for _, algorithm := range []string{"crc32", "crc64nvme"} {
		name := "x-amz-checksum-" + algorithm
		h.Want(algorithm, send("/"+algorithm, framed(name+":"+crc(algorithm)+"\r\n"), name), 200)
		got := h.Good(algorithm, s3(h, "GET", "/"+algorithm, "", "X-Amz-Checksum-Mode", "ENABLED"), []byte(body))
		if got.Header.Get(name) != crc(algorithm) || got.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: the header is %v", algorithm, got.Header)
		}
		if e := read[s3Error](t, send("/wrong", framed(name+":"+base64.StdEncoding.EncodeToString(make([]byte, len(crc(algorithm))/4*3-strings.Count(crc(algorithm), "=")))+"\r\n"), name)); e.Code != "BadDigest" {
			t.Errorf("%s, wrong: got %+v", algorithm, e)
		}
	}
	whole := framed("")
	for _, at := range []int{1, 10, 20000, len(whole) - 6} {
		if r := send("/cut", whole[:at], ""); r.Status != 400 {
			t.Errorf("cut at %d: got %s, want 400", at, r)
		}
	}
	h.Want("nothing of it", h.Get("/cut"), http.StatusNotFound)
	h.Want("nothing of what was wrong", h.Get("/wrong"), http.StatusNotFound)
	sum := crc64.New(nvme)
	sum.Write([]byte("123456789"))
	if got := fmt.Sprintf("%x", sum.Sum(nil)); got != "ae8b14860a799888" {
		t.Errorf("CRC-64/NVME of 123456789 is %s, want ae8b14860a799888", got)
	}
}
