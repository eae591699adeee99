package repo

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
)

func listingOfAll() *millpond.Package {
	at := time.Date(2026, 11, 21, 8, 3, 12, 345678000, time.UTC)
	return &millpond.Package{
		Name:    "alpha",
		Blocked: "quarantined upstream",
		Parts:   []millpond.Part{{Layer: "up", Document: millpond.SHA256([]byte("doc")), Meta: json.RawMessage(`{"n":1}`), Latest: at}},
		Refs:    []millpond.Ref{{Name: "latest", Target: "2.0", Layer: "up"}},
		Versions: []millpond.Version{
			{Name: "2.0", Layer: "up", Published: at, Seen: at.Add(time.Hour), Prerelease: true, Yanked: true, YankedWhy: "broken ✗", Licence: "MIT",
				Meta: json.RawMessage(`[1,2]`), Files: []millpond.File{
					{Name: "alpha-2.0.tgz", Platform: "linux", Size: 12, Digests: []millpond.Digest{millpond.SHA256([]byte("a"))}, URL: "https://upstream.example/a",
						Type: "application/gzip", Published: at, Seen: at, Yanked: true, YankedWhy: "why", Vanished: true, Corrupt: true, Meta: json.RawMessage(`"m"`)},
					{Name: "alpha-2.0.whl", Of: "alpha-2.0.tgz", Size: -1, Digests: []millpond.Digest{}},
				}},
			{Name: "1.0", Layer: "up", Partial: true, Files: []millpond.File{}},
			{Name: "0.9", Layer: "up", Files: []millpond.File{
				{Name: "a.whl", URL: "https://upstream.example/a.whl", Digests: []millpond.Digest{}},
				{Name: "a.whl.metadata", Of: "a.whl", URL: "https://upstream.example/a.whl.metadata", Platform: "any", Size: -1, Digests: []millpond.Digest{}},
				{Name: "a.whl.metadata.sig", Of: "a.whl.metadata", URL: "https://upstream.example/a.whl.metadata.sig", Digests: []millpond.Digest{}},
				{Name: "b.whl", URL: "https://upstream.example/b.whl?x", Digests: []millpond.Digest{}},
				{Name: "b.whl.metadata", Of: "b.whl", URL: "https://upstream.example/b.whl.metadata?x", Digests: []millpond.Digest{}},
				{Name: "c.whl", URL: "https://upstream.example/c.whl", Digests: []millpond.Digest{}},
				{Name: "c.whl.metadata", Of: "b.whl", URL: "https://upstream.example/c.whl.metadata", Digests: []millpond.Digest{}},
				{Name: "d.whl", URL: "https://upstream.example/d.whl", Of: "c.whl", Digests: []millpond.Digest{}},
				{Name: "d.whl.metadata", Of: "d.whl", URL: "https://upstream.example/d.whl.metadata", Digests: []millpond.Digest{}},
			}},
		},
	}
}

func TestListingRecordRoundTrip(t *testing.T) {
	want := listingOfAll()
	got, err := decodeListing(encodeListing(want), "up")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestLargeListingRecordIsPacked: it takes a fraction of its text, and is read as it was written.
func TestLargeListingRecordIsPacked(t *testing.T) {
	want := listingOfAll()
	for i := range 5000 {
		name := fmt.Sprintf("alpha-%d.tgz", i)
		v := want.Versions[0]
		v.Name, v.Files = fmt.Sprint(i), slices.Clone(v.Files)
		v.Files[0].Name, v.Files[0].Digests = name, []millpond.Digest{millpond.SHA256([]byte(name))}
		want.Versions = append(want.Versions, v)
	}
	b := encodeListing(want)
	if most := 5003 * 150; len(b) > most || b[0] != packedVersion {
		t.Errorf("the record has %d bytes and is of version %d, want at most %d and version %d", len(b), b[0], most, packedVersion)
	}
	got, err := decodeListing(b, "up")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("the package that comes back differs")
	}
	for _, cut := range []int{1, 2, 5, len(b) / 2, len(b) - 1} {
		if _, err := decodeListing(b[:cut], "up"); err != errRecord {
			t.Errorf("the first %d bytes of the record: got %v, want %v", cut, err, errRecord)
		}
	}
	for i := range want.Versions {
		want.Versions[i].Name, want.Versions[i].Files = "", nil
		want.Versions[i].Licence = strings.Repeat("x", 1000)
	}
	if b = encodeListing(want); b[0] != recordVersion {
		t.Errorf("a record that would shrink out of all proportion is of version %d, want %d", b[0], recordVersion)
	}
}

func TestVersionRecordRoundTrip(t *testing.T) {
	want := listingOfAll().Versions[0]
	got, err := decodeVersion(encodeVersion(&want), "up")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
}

func TestListingRecordOfAnotherRelease(t *testing.T) {
	b := encodeListing(listingOfAll())
	b[0]++
	if _, err := decodeListing(b, "up"); err != errRecord {
		t.Errorf("decode of another version: got %v, want %v", err, errRecord)
	}
}

// TestListingRecordWithoutTails: a record of before names were kept as the ends of addresses is read.
func TestListingRecordWithoutTails(t *testing.T) {
	want := listingOfAll()
	for i := range want.Versions {
		for j := range want.Versions[i].Files {
			want.Versions[i].Files[j].URL += "?x" // so that no name is the end of one
		}
	}
	b := encodeListing(want)
	b[0] = withoutTails
	if got, err := decodeListing(b, "up"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

// FuzzListingRecord shows that no damaged record panics, hangs or allocates without bound, and that what decodes encodes to
// the same record.
func FuzzListingRecord(f *testing.F) {
	whole := encodeListing(listingOfAll())
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	large := listingOfAll()
	large.Blocked = strings.Repeat("quarantined ", 100)
	if packed, ok := packListing(large, 0); ok {
		f.Add(packed)
	}
	f.Add([]byte{recordVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodeListing(b, "up")
		if err != nil {
			return
		}
		again, err := decodeListing(encodeListing(p), "up")
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Errorf("a record that decodes does not survive a second encoding: %v\n%x", err, b)
		}
	})
}
