package debian

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"millpond/format/formattest"
	"millpond/repo"
)

// hashPath is where an index of stable is found by its digest.
func hashPath(folder, hex string) string {
	return "/dists/stable/main/binary-amd64/by-hash/" + folder + "/" + hex
}

// TestCase15ByHash: an index is found by every digest that its Release lists, and by no other.
func TestCase15ByHash(t *testing.T) {
	for name, byHash := range map[string]bool{"an archive that says yes": true, "an archive that says no": false} {
		for _, more := range []bool{false, true} {
			h, a := stocked(t, nil)
			a.ByHash, a.More = byHash, more
			a.Lay(t, formattest.Epoch().AddDate(0, -2, 0))
			index := good(t, h, packages, nil).Body
			good(t, h, hashPath("SHA256", hexSHA(index)), index)
			wrong := []string{"SHA256/" + hexSHA([]byte("x")), "SHA256/abc", "SHA3/" + hexSHA(index), "SHA512/" + hexSHA(index), "SHA1/" + hexOf("sha1", index)}
			for _, folder := range []string{"SHA512", "MD5Sum"} {
				hex := hexOf(map[string]string{"SHA512": "sha512", "MD5Sum": "md5"}[folder], index)
				if more {
					good(t, h, hashPath(folder, hex), index)
				} else {
					wrong = append(wrong, folder+"/"+hex)
				}
			}
			for _, wrong := range wrong {
				h.Want(name+", "+wrong, h.Get("/dists/stable/main/binary-amd64/by-hash/"+wrong), http.StatusNotFound)
			}
		}
	}
}

// TestCase15MadeByHash: a Release that is made here lists its indexes as text, by gzip and by zstd, all of one content, and finds
// them by every digest that it lists: by SHA256, and by those of the option; those of older Releases by what these listed.
func TestCase15MadeByHash(t *testing.T) {
	for name, options := range map[string]map[string]string{"hosted": {"architectures": "amd64"}, "curated": {"curated": "stable"}} {
		t.Run(name, func(t *testing.T) {
			h, a := stocked(t, options)
			a.More = true
			a.extra = map[string][]byte{"main/i18n/Translation-en": []byte("Package: hello\n")}
			a.Lay(t, formattest.Epoch().AddDate(0, -1, 1))
			if name == "hosted" {
				h.Up.Refuse()
				h.Published("publish", h.As(formattest.Owner).Do("PUT", "/dists/stable/Release", nil, []byte("Architectures: amd64 arm64\n")))
				h.Published("publish", h.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, deb(t, "hello", "1.0", "amd64", "", 0)))
			}
			read := func(path string) *release {
				t.Helper()
				text, _, _, err := splitSigned(good(t, h, path, nil).Body)
				if err != nil {
					t.Fatal(err)
				}
				r, err := parseRelease(text)
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			bare := read(inRelease)
			old := good(t, h, packages, nil).Body
			for _, f := range bare.Files {
				if len(f.Digests) != 1 || f.Digests[0].Algorithm() != "sha256" {
					t.Errorf("without the option %s has the digests %v", f.Path, f.Digests)
				}
			}
			h.Want("by SHA512, which is not listed", h.Get(hashPath("SHA512", hexOf("sha512", old))), http.StatusNotFound)

			h.Pass(time.Minute)
			with := map[string]string{"release_digests": "SHA512 MD5Sum"}
			for k, v := range options {
				with[k] = v
			}
			c := h.Config("r", h.Up)
			c.Options = with
			h.Configure(repo.Settings{}, c)
			full := read(inRelease)
			if !full.Date.After(bare.Date) {
				t.Errorf("with the option there is no later Release: %v after %v", full.Date, bare.Date)
			}
			plain := map[string][]byte{}
			for _, f := range full.Files {
				if len(f.Digests) != 3 {
					t.Errorf("%s has the digests %v, want three", f.Path, f.Digests)
				}
				body := good(t, h, "/dists/stable/"+f.Path, nil).Body
				dir, _ := split(f.Path)
				for _, d := range f.Digests {
					for _, folder := range hashFolders {
						if folder.algorithm != d.Algorithm() {
							continue
						}
						if hexOf(d.Algorithm(), body) != d.Hex() || int64(len(body)) != f.Size {
							t.Errorf("%s is not what its %s says", f.Path, folder.folder)
						}
						good(t, h, "/dists/stable/"+dir+"/by-hash/"+folder.folder+"/"+d.Hex(), body)
					}
				}
				text, done, err := unpack(f.Path, bytes.NewReader(body), 1<<20)
				if err != nil {
					t.Fatalf("%s: %v", f.Path, err)
				}
				var b bytes.Buffer
				if _, err := b.ReadFrom(text); err != nil {
					t.Errorf("%s: %v", f.Path, err)
				}
				done()
				name, _ := unpackedName(f.Path)
				if was, ok := plain[name]; ok && !bytes.Equal(was, b.Bytes()) {
					t.Errorf("%s unpacks to\n%s\nwant\n%s", f.Path, &b, was)
				}
				plain[name] = b.Bytes()
			}
			if n := len(plain); name == "hosted" && n != 2 || name == "curated" && n != 2 {
				t.Errorf("%d indexes, want two: %v", n, full.Files)
			}
			good(t, h, hashPath("SHA256", hexSHA(old)), old)
			c.Options["release_digests"] = "SHA3"
			h.Configure(repo.Settings{}, c)
			if r := h.Want("digests that nobody knows", h.Get(inRelease), http.StatusServiceUnavailable); !strings.Contains(string(r.Body), "SHA3") {
				t.Errorf("it is not said which: %s", r)
			}
		})
	}
}

// TestPack: pieces of a form, one behind the other, unpack to what they were, none of them too.
func TestPack(t *testing.T) {
	var b bytes.Buffer
	for _, one := range []string{"", "a", "", "bc"} {
		if err := pack(&b, ".zst", []byte(one)); err != nil {
			t.Fatal(err)
		}
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if got, err := z.DecodeAll(b.Bytes(), nil); err != nil || string(got) != "abc" {
		t.Errorf("got %q, %v, want abc", got, err)
	}
}
