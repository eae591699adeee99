package npm

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

func TestCase04WrongAndCutTarballs(t *testing.T) {
	h := formattest.New(t, ecosystem)
	putPackage(h.Up, "x", release("1.0.0", 9), release("1.1.0", 8))
	h.Good("packument", h.Get("/x"), nil)
	kept := h.Kept()
	wrong := root + "x/-/x-1.0.0.tgz"
	h.Up.Order(wrong, "always lie")
	h.Want("other bytes than the integrity says", h.Get("/x/-/x-1.0.0.tgz"), http.StatusServiceUnavailable)
	if n := h.Kept(); n != kept {
		t.Errorf("%d blobs are kept, want the %d of before", n, kept)
	}
	if !slices.Contains(h.Events(), "corrupt") {
		t.Errorf("events are %q, want corrupt among them", h.Events())
	}
	body := tarball("x", release("1.1.0", 8))
	for _, at := range []int{0, 1, len(body) / 2, len(body) - 1} {
		h := formattest.New(t, ecosystem)
		putPackage(h.Up, "x", release("1.1.0", 8))
		cut := root + "x/-/x-1.1.0.tgz"
		h.Up.Put(cut, faulty.Object{Body: body, ETag: `"one"`, Chunked: true})
		h.Up.Order(cut, fmt.Sprintf("cut %d", at))
		h.Good(fmt.Sprintf("chunked, and cut after %d bytes", at), h.Get("/x/-/x-1.1.0.tgz"), body)
		h.Up.Want(t, cut, 2)
	}
}

func TestCase12ThirtyVersionsAtOnce(t *testing.T) {
	p := newPress(t)
	var all sync.WaitGroup
	for i := range 30 {
		j := newJob("@acme/many", fmt.Sprintf("1.0.%d", i))
		all.Go(func() { p.put(201, "pub-token", j) })
	}
	all.Wait()
	doc := p.doc("@acme%2fmany")
	if n := len(doc["versions"].(map[string]any)); n != 30 {
		t.Errorf("%d versions are listed, want 30", n)
	}
	for i := range 30 {
		version := fmt.Sprintf("1.0.%d", i)
		if got := p.want(200, "", "GET", "@acme/many/-/many-"+version+".tgz", nil); got != string(tarball("@acme/many", releaseOf(version))) {
			t.Errorf("the tarball of %s is another one: %d bytes", version, len(got))
		}
	}
	p.want(400, "ada-token", "PUT", "-/package/@acme%2fmany/dist-tags/1.x", []byte(`"1.0.0"`))
	p.want(201, "ada-token", "PUT", "-/package/@acme%2fmany/dist-tags/__proto__", []byte(`"1.0.0"`))
	if got := at(p.doc("@acme%2fmany"), "dist-tags", "__proto__"); got != `"1.0.0"` {
		t.Errorf("the tag __proto__ is %s, want a tag like any other", got)
	}
}

// An application of 770 packages, fewer without --long: the upstream is asked for each packument once, in the full form, whatever form the clients
// want; and with it dead for five hours all is the same.
func TestCase14AnApplication(t *testing.T) {
	packages := 150
	if os.Getenv("MILLPONDTEST_LONG") != "" {
		packages = 770
	}
	h := formattest.New(t, ecosystem)
	name := func(i int) string { return fmt.Sprintf("p%03d", i) }
	for i := range packages {
		putPackage(h.Up, name(i), release("1.0.0", 9))
	}
	install := func(what string) map[string]string {
		tree := map[string]string{}
		var mu sync.Mutex // guards tree
		next := make(chan int)
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for i := range next {
					form := []http.Header{full, short}[i%2]
					doc := h.Good(what, h.Do("GET", "/r/"+name(i), form), nil)
					h.Good(what, h.Get("/"+name(i)+"/-/"+name(i)+"-1.0.0.tgz"), tarball(name(i), release("1.0.0", 9)))
					mu.Lock()
					tree[name(i)] = string(doc.Body)
					mu.Unlock()
				}
			})
		}
		for i := range packages {
			next <- i
		}
		close(next)
		clients.Wait()
		return tree
	}
	first := install("cold")
	for i := range packages {
		asked := h.Up.Requests(root + name(i))
		if len(asked) != 1 || asked[0].Header.Get("Accept") != "application/json" {
			t.Errorf("%s: the upstream was asked %d times, %+v; want once, for the full form", name(i), len(asked), asked)
		}
	}
	h.Up.Refuse()
	h.Pass(5 * time.Hour)
	again := install("the upstream dead for five hours")
	for name, was := range first {
		if again[name] != was {
			t.Fatalf("%s, the upstream dead for five hours: got %q, was %q", name, again[name], was)
		}
	}
}

// The other parts of the case: TestCase07PublishIsRefused, TestSplitHoldsNoTarball (memory), TestPublishAndRead (attachments
// first and last, the answer lost), TestUnpackRefusesWhatDoesHarm, TestCase07And21PublishedNumbersStayTaken, and the kill at
// every write, formattest's failedWrites.
func TestCase21RacingEditsLoseNothing(t *testing.T) {
	p := newPress(t)
	for i := range 8 {
		p.put(201, "pub-token", newJob("@acme/new", fmt.Sprintf("1.0.%d", i)))
	}
	// Each changes one thing of what it was given, and asks again when it was too late, as npm's users do.
	again := func(method string, path func(rev string) string, change func(doc map[string]any)) {
		for range 100 {
			doc := p.doc("@acme%2fnew?write=true")
			change(doc)
			status, text := p.ask("ada-token", method, path(doc["_rev"].(string)), mustJSON(doc))
			if status == 200 || status == 201 {
				return
			}
			if status != 409 {
				t.Errorf("got %d %s, want 200 or 409", status, text)
			}
		}
		t.Error("a hundred times too late")
	}
	versions := func(doc map[string]any) map[string]any { return doc["versions"].(map[string]any) }
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() { // deprecates
			again("PUT", func(string) string { return "@acme%2fnew" }, func(doc map[string]any) {
				versions(doc)[fmt.Sprintf("1.0.%d", i)].(map[string]any)["deprecated"] = fmt.Sprintf("words %d", i)
			})
		})
		all.Go(func() { p.put(201, "pub-token", newJob("@acme/new", fmt.Sprintf("2.0.%d", i))) })
	}
	for i := 6; i < 8; i++ {
		all.Go(func() { // unpublishes
			again("PUT", func(rev string) string { return "@acme%2fnew/-rev/" + rev }, func(doc map[string]any) {
				delete(versions(doc), fmt.Sprintf("1.0.%d", i))
			})
		})
	}
	all.Wait()
	doc := p.doc("@acme%2fnew")
	var got []string
	for v := range versions(doc) {
		got = append(got, v)
	}
	slices.SortFunc(got, compareVersions)
	if want := "1.0.0 1.0.1 1.0.2 1.0.3 1.0.4 1.0.5 2.0.0 2.0.1 2.0.2 2.0.3"; strings.Join(got, " ") != want {
		t.Errorf("after all: got %s, want %s", got, want)
	}
	if got := at(doc, "dist-tags", "latest"); !strings.HasPrefix(got, `"2.0.`) {
		t.Errorf("after all: latest is %s, want one of those that were published with it meanwhile", got)
	}
	for i := range 4 {
		if got := at(doc, "versions", fmt.Sprintf("1.0.%d", i), "deprecated"); got != fmt.Sprintf("%q", fmt.Sprintf("words %d", i)) {
			t.Errorf("1.0.%d: deprecated is %s", i, got)
		}
	}
}

// A client that edits what it was shown, while a rule hides a version, deletes nothing.
func TestCase21EditWhileAVersionIsHidden(t *testing.T) {
	p := newPress(t, func(c *repo.Config) {
		formattest.Rules(t, map[string]any{"block": []any{"@acme/new@1.1.0"}})(c)
	})
	p.put(201, "pub-token", newJob("@acme/new", "1.0.0"))
	p.put(201, "pub-token", newJob("@acme/new", "1.1.0"))
	shown := p.doc("@acme%2fnew")
	if got := at(shown, "versions", "1.1.0"); got != "" {
		t.Fatalf("1.1.0 is shown: %s", got)
	}
	editing := p.doc("@acme%2fnew?write=true")
	shown["_rev"] = editing["_rev"]
	shown["versions"].(map[string]any)["1.0.0"].(map[string]any)["deprecated"] = "old"
	p.want(200, "ada-token", "PUT", "@acme%2fnew", mustJSON(shown))
	hosting, err := p.as("ada-token").Hosted(t.Context(), "@acme/new")
	if err != nil || len(hosting.Versions) != 2 {
		t.Fatalf("hosted: %+v, %v, want both versions", hosting, err)
	}
	if v := hosting.Version("1.0.0"); v == nil || !bytes.Contains(v.Meta, []byte(`"old"`)) {
		t.Errorf("1.0.0 is %+v, want it deprecated", v)
	}
}
