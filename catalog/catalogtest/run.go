// Package catalogtest is the suite that every catalog passes.
package catalogtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
)

// An Open opens the catalog of a directory and fails the test if it cannot. Opened again after Close, it has what it had.
// The suite closes what it opens.
type Open func(t testing.TB, dir string) catalog.Catalog

// Run runs the suite, each part with catalogs of its own.
func Run(t *testing.T, open Open) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, Open)
	}{
		{"answers", testAnswers},
		{"absences", testAbsences},
		{"holdings", testHoldings},
		{"derivations", testDerivations},
		{"kept", testKept},
		{"lost blobs", testLoseBlob},
		{"uses", testUses},
		{"changes", testChanges},
		{"events", testEvents},
		{"hosted packages", testHostedPackages},
		{"hosted versions", testHostedVersions},
		{"some files of hosted versions", testHostedSome},
		{"hosted refs", testHostedRefs},
		{"hosted, the last of each name", testHostedLast},
		{"hosted sums", testHostedSums},
		{"hosted blobs", testHostedBlobs},
		{"entries", testEntries},
		{"injection", testInjection},
		{"find", testFind},
		{"chain", testChain},
		{"together", testTogether},
		{"reopened", testReopened},
		{"closed", testClosed},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, open) })
	}
}

// fresh opens an empty catalog; it is checked and closed when the test ends.
func fresh(t *testing.T, open Open) catalog.Catalog {
	t.Helper()
	c := open(t, t.TempDir())
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(func() { sound(t, c) })
	return c
}

// sound checks that the catalog finds nothing wrong with itself.
func sound(t testing.TB, c catalog.Catalog) {
	t.Helper()
	// The test's own context has ended when its clean-ups run.
	found, err := c.Check(contextOf(t))
	if err != nil || len(found) > 0 {
		t.Errorf("check: got %q, %v; want nothing", found, err)
	}
}

// must fails the test at once if err is not nil.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same compares two values whole.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, show(got), show(want))
	}
}

func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil || len(b) > 4000 {
		return fmt.Sprintf("%.2000v", v)
	}
	return string(b)
}

// kind checks the kind of an error.
func kind(t testing.TB, what string, err error, want millpond.Kind) {
	t.Helper()
	if !millpond.Is(err, want) {
		t.Errorf("%s: got error %v; want one of kind %q", what, err, want)
	}
}

// at is a time n milliseconds after the suite's beginning of time.
func at(n int) time.Time { return time.UnixMilli(1_700_000_000_000 + int64(n)).UTC() }

// sha is a digest of a name.
func sha(name string) millpond.Digest { return millpond.SHA256([]byte(name)) }

// question asks a layer about a package.
func question(layer, pkg string) catalog.Question {
	return catalog.Question{Layer: layer, Kind: "package", Package: pkg}
}

// document is one with all fields set.
func document(n int) catalog.Document {
	return catalog.Document{
		URL: fmt.Sprintf("https://upstream.example/%d", n), Accept: "application/json", Final: fmt.Sprintf("https://upstream.example/final/%d", n),
		ETag: `W/"é"`, Modified: "Tue, 14 Nov 2023 22:13:20 GMT", Type: "application/json; charset=utf-8",
		Text: sha(fmt.Sprint("text", n)), Blob: sha(fmt.Sprint("blob", n)), Size: int64(1000 + n),
	}
}

// fullAnswer has all fields set.
func fullAnswer(layer, pkg string) *catalog.Answer {
	return &catalog.Answer{
		Question: catalog.Question{Layer: layer, Kind: "version", Package: pkg, Name: "1.0"},
		Record:   []byte("record\x00\xff of " + pkg), Documents: []catalog.Document{document(2), document(0), document(1)},
		Checked: at(1), Fresh: at(2), Changed: at(3), Doubt: at(4),
	}
}

// fullHolding has all fields set.
func fullHolding(layer string, k millpond.Key) *catalog.Holding {
	sum, err := millpond.ParseDigest("md5:d41d8cd98f00b204e9800998ecf8427e")
	if err != nil {
		panic(err) // the digest above is one
	}
	d := sha(layer + k.String())
	return &catalog.Holding{
		Layer: layer, Key: k, Blob: d, SHA256: d, Digests: []millpond.Digest{d, sum}, Size: 100,
		Type: "application/zip", URL: "https://upstream.example/f?x=1", Modified: at(5), Keep: true, Detail: json.RawMessage(`{"wire": 90}`),
	}
}

// put keeps a holding of 100 bytes, the blob named, and returns it.
func put(t testing.TB, c catalog.Catalog, layer, file, blob string, modified time.Time) *catalog.Holding {
	t.Helper()
	h := &catalog.Holding{
		Layer: layer, Key: millpond.Key{Package: "p", File: file}, Size: 100, Modified: modified,
		Blob: sha(blob), SHA256: sha(blob), Digests: []millpond.Digest{sha(blob)},
	}
	must(t, c.PutHolding(t.Context(), h))
	return h
}

// near are names that are easily taken for each other when parts are joined.
var near = []string{"", "a", "b", "a/b", "a b", "a\x00b", "a\x00", "A", "é", "e\u0301", "%", "_", "'", "a'b", "\n", "\xff", "a/", "/b"} // never changed

var errWanted = errors.New("wanted by the test") // never changed
