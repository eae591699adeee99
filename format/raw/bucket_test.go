package raw

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond/fetch"
	"millpond/format/formattest"
	"millpond/repo"
)

// bucketHouse is a pond whose upstream is the bucket of another pond, read with an access key.
func bucketHouse(t *testing.T, changes ...func(*repo.Config)) (up, h *formattest.House) {
	t.Helper()
	up = newHouse(t)
	at, err := url.Parse(up.URL + "/r/")
	if err != nil {
		t.Fatal(err)
	}
	changes = append([]func(*repo.Config){func(c *repo.Config) {
		c.Options = map[string]string{"list": "s3"}
		c.Upstreams = []repo.Upstream{{Settings: fetch.Settings{Name: "bucket", URL: at, Region: "eu-central-1", Username: "KEY", Password: "secret"}}}
	}}, changes...)
	return up, readHouse(t, changes...)
}

func names(t *testing.T, h *formattest.House, path string) (all []string, partial bool) {
	t.Helper()
	for next := ""; ; {
		r := h.Get(path + "?format=json&after=" + url.QueryEscape(next))
		var page listing
		if err := json.Unmarshal(r.Body, &page); err != nil {
			t.Fatalf("%s: %s: %v", path, r, err)
		}
		for _, e := range page.Entries {
			all = append(all, e.Name)
		}
		if next = page.Next; next == "" {
			return all, page.Partial
		}
	}
}

// TestBucketUpstream: a bucket is read through and its directories are listed, together with what is put here.
func TestBucketUpstream(t *testing.T) {
	up, h := bucketHouse(t, func(c *repo.Config) { c.Claims = []string{"ours/**"} })
	for _, name := range []string{"top.txt", "dir/a b+c%ü", "dir/sub/x", "dir/two", "dir2/y", "ours/secret"} {
		up.Want(name, put(up, "/"+escape(name), "bytes of "+name), http.StatusCreated)
	}
	h.Good("an object", h.Get("/"+escape("dir/a b+c%ü")), []byte("bytes of dir/a b+c%ü"))
	h.Want("what is ours", put(h, "/ours/mine", "mine"), http.StatusCreated)
	for _, c := range []struct {
		dir  string
		want []string
	}{
		{"/", []string{"dir/", "dir2/", "ours/", "top.txt"}},
		{"/dir/", []string{"a b+c%ü", "sub/", "two"}},
		{"/ours/", []string{"mine"}},
	} {
		if got, partial := names(t, h, c.dir); !slices.Equal(got, c.want) || partial {
			t.Errorf("%s lists %q, partial %t; want %q and all of it", c.dir, got, partial, c.want)
		}
	}
	h.Want("no such directory", h.Get("/nothing/"), http.StatusNotFound)
	got := read[s3Listing](t, s3(h, "GET", "/?list-type=2&prefix=dir/", ""))
	if len(got.Contents) != 3 || got.Contents[2].Key != "dir/two" || got.Contents[2].Size != int64(len("bytes of dir/two")) {
		t.Errorf("the bucket's own list is %+v", got.Contents)
	}
	if tag, want := got.Contents[0].ETag, s3(up, "HEAD", "/"+escape("dir/a b+c%ü"), "").Header.Get("Etag"); tag != want {
		t.Errorf("the entity tag is %s, the upstream's %s", tag, want)
	}

	// What is added there shows when a minute has passed.
	up.Want("later", put(up, "/dir/zz", "later"), http.StatusCreated)
	if got, _ := names(t, h, "/dir/"); slices.Contains(got, "zz") {
		t.Error("the list is asked for each time")
	}
	h.Pass(2 * time.Minute)
	if got, _ := names(t, h, "/dir/"); !slices.Contains(got, "zz") {
		t.Errorf("after a minute the list is %q", got)
	}
}

// TestBucketBelow: a path that is hosted in a repository below is not the bucket's, neither to be opened nor in a list, also when
// it was deleted.
func TestBucketBelow(t *testing.T) {
	var bucket repo.Upstream
	up, h := bucketHouse(t, func(c *repo.Config) { bucket = c.Upstreams[0] })
	inner, outer := h.Config("inner"), h.Config("r")
	outer.Options = map[string]string{"list": "s3"}
	outer.Upstreams = []repo.Upstream{bucket, {Sibling: "inner"}}
	h.Configure(repo.Settings{}, inner, outer)
	owner := h.As(formattest.Owner)
	for _, name := range []string{"/dir/kept", "/dir/deleted", "/dir/theirs"} {
		up.Want(name, put(up, name, "theirs"), http.StatusCreated)
		if name != "/dir/theirs" {
			h.Want(name, owner.At("PUT", "/inner"+name, nil, []byte("ours")), http.StatusCreated)
		}
	}
	h.Want("delete", owner.At("DELETE", "/inner/dir/deleted", nil, nil), http.StatusNoContent)
	if got, _ := names(t, h, "/dir/"); !slices.Equal(got, []string{"kept", "theirs"}) {
		t.Errorf("the directory lists %q; want what is hosted below, and what is the bucket's alone", got)
	}
	h.Good("hosted below", h.Get("/dir/kept"), []byte("ours"))
	h.Good("the bucket's", h.Get("/dir/theirs"), []byte("theirs"))
	if r := h.Get("/dir/deleted"); r.Err == nil && r.Status < 400 {
		t.Errorf("what was deleted below is the bucket's now: %s", r)
	}
}

// TestBucketIll: without its upstream a directory shows what was listed before, or what is here and that it is not all; S3's
// clients, who delete what is not listed, are told to come again.
func TestBucketIll(t *testing.T) {
	gone := func(c *repo.Config) { c.Upstreams[0].Settings.URL, _ = url.Parse("http://127.0.0.1:1/r/") }
	_, h := bucketHouse(t, gone)
	h.Want("put", put(h, "/dir/here", "here"), http.StatusCreated)
	if got, partial := names(t, h, "/dir/"); !slices.Equal(got, []string{"here"}) || !partial {
		t.Errorf("got %q, partial %t; want what is here, and that it is not all", got, partial)
	}
	r := s3(h, "GET", "/?list-type=2&prefix=dir/", "")
	if h.Want("S3", r, http.StatusServiceUnavailable); !strings.Contains(string(r.Body), "<Code>SlowDown</Code>") {
		t.Errorf("S3's clients are told %s", r)
	}
}

// TestBucketPrefix: an upstream may be a part of a bucket, and what it is not asked for is not listed either.
func TestBucketPrefix(t *testing.T) {
	up, h := bucketHouse(t, func(c *repo.Config) {
		c.Options["prefix"], c.Options["allow"] = "releases/", "*.gz"
	})
	for _, name := range []string{"releases/1/a.gz", "releases/1/b.txt", "releases/top.gz", "other.gz"} {
		up.Want(name, put(up, "/"+name, name), http.StatusCreated)
	}
	h.Good("by its name below the prefix", h.Get("/1/a.gz"), []byte("releases/1/a.gz"))
	h.Want("not allowed", h.Get("/1/b.txt"), http.StatusNotFound)
	h.Want("beside the prefix", h.Get("/other.gz"), http.StatusNotFound)
	for dir, want := range map[string][]string{"/": {"1/", "top.gz"}, "/1/": {"a.gz"}} {
		if got, _ := names(t, h, dir); !slices.Equal(got, want) {
			t.Errorf("%s lists %q, want %q", dir, got, want)
		}
	}
}

// TestBucketRules: where rules may hide names the bucket's list is not shown, for it would tell of what they hide.
func TestBucketRules(t *testing.T) {
	up, h := bucketHouse(t, formattest.Rules(t, map[string]any{"block": "dir/bad*", "why": "it is bad"}))
	for _, name := range []string{"dir/bad", "dir/good"} {
		up.Want(name, put(up, "/"+name, name), http.StatusCreated)
	}
	h.Want("blocked", h.Get("/dir/bad"), http.StatusForbidden)
	h.Good("good", h.Get("/dir/good"), []byte("dir/good"))
	h.Idle()
	if got, partial := names(t, h, "/dir/"); !slices.Equal(got, []string{"good"}) || !partial {
		t.Errorf("got %q, partial %t; want what is held, and that it is not all", got, partial)
	}
}

// TestBucketPages: pages of a bucket and of what is put here, brought together, are the pages of one list of all.
func TestBucketPages(t *testing.T) {
	page := func(all []string, d directory) *listing {
		out := &listing{}
		for _, name := range all {
			after := d.after
			if !strings.HasPrefix(name, d.prefix) || name <= after {
				continue
			}
			e := entry{full: name}
			if i := strings.IndexByte(name[len(d.prefix):], '/'); i >= 0 && !d.deep {
				e.full, e.isPrefix = name[:len(d.prefix)+i+1], true
			}
			if n := len(out.Entries); n > 0 && out.Entries[n-1].full == e.full {
				continue
			}
			if len(out.Entries) == d.most {
				out.Next = out.Entries[d.most-1].full
				break
			}
			out.Entries = append(out.Entries, e)
		}
		return out
	}
	var here, there, all []string
	for i := range 60 {
		name := fmt.Sprintf("d/%c/%c", 'a'+i*7%5, 'a'+i*11%23)
		if i%4 == 0 {
			name = fmt.Sprintf("d/%c", 'a'+i*5%9)
		}
		if i%3 != 0 {
			here = append(here, name)
		}
		if i%3 != 1 {
			there = append(there, name)
		}
		all = append(all, name)
	}
	for _, list := range []*[]string{&here, &there, &all} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	for _, deep := range []bool{true, false} {
		var want []string
		for _, e := range page(all, directory{prefix: "d/", deep: deep, most: 1000}).Entries {
			want = append(want, e.full)
		}
		for most := 1; most < 40; most++ {
			var got []string
			for d := (directory{prefix: "d/", deep: deep, most: most}); ; {
				one := merge(page(here, d), page(there, d), d)
				for _, e := range one.Entries {
					got = append(got, e.full)
				}
				if one.Next == "" || len(got) > 200 {
					break
				}
				d.after = d.behind(one.Next)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("deep %t, %d a page: got %q, want %q", deep, most, got, want)
			}
		}
	}
}
