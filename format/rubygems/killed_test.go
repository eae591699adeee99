package rubygems

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"millpond"
	"millpond/blob"
	"millpond/blob/blobtest"
	"millpond/blob/disk"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/fetch"
	"millpond/format/formattest"
	"millpond/repo"
)

// What a victim of TestCase10Killed is told: where its data is, and the number of the write that it dies at: before it, or after
// it if the number is below zero.
const (
	envVictim = "RUBYGEMS_VICTIM"
	envWrite  = "RUBYGEMS_WRITE"
)

type countedBlobs struct {
	*disk.Store
	writes *blobtest.Dying
}

type countedBlob struct {
	*disk.Writer
	writes *blobtest.Dying
}

func (s countedBlobs) Create(ctx context.Context) (w blob.Writer, err error) {
	err = s.writes.Do(func() error { w, err = s.Store.Create(ctx); return err })
	if err != nil {
		return nil, err
	}
	return countedBlob{w.(*disk.Writer), s.writes}, nil
}

func (w countedBlob) Write(b []byte) (n int, err error) {
	err = w.writes.Do(func() error { n, err = w.Writer.Write(b); return err })
	return n, err
}

func (w countedBlob) Commit(ctx context.Context, want ...millpond.Digest) (d millpond.Digest, err error) {
	err = w.writes.Do(func() error { d, err = w.Writer.Commit(ctx, want...); return err })
	return d, err
}

type countedCatalog struct {
	*sql.Catalog
	writes *blobtest.Dying
}

func (c countedCatalog) Update(ctx context.Context, by millpond.Actor, f func(catalog.Tx) error) error {
	return c.writes.Do(func() error { return c.Catalog.Update(ctx, by, f) })
}

func (c countedCatalog) PutAnswer(ctx context.Context, a *catalog.Answer) error {
	return c.writes.Do(func() error { return c.Catalog.PutAnswer(ctx, a) })
}

func (c countedCatalog) PutDerived(ctx context.Context, d *catalog.Derived) error {
	return c.writes.Do(func() error { return c.Catalog.PutDerived(ctx, d) })
}

// everything is what an owner may.
type everything struct{}

func (everything) May(millpond.Verb, string, string) bool { return true }
func (everything) Scope(millpond.Verb, string) string     { return "*" }
func (e everything) Now(catalog.Tx) (repo.Rights, error)  { return e, nil }

// A gemPond is a pond on disk that hosts gems.
type gemPond struct {
	t     testing.TB
	blobs *disk.Store
	pond  *repo.Pond
	close func() error
}

func openGems(ctx context.Context, dir string, count *blobtest.Dying) (*gemPond, error) {
	blobs, err := disk.Open(dir, disk.Options{})
	if err != nil {
		return nil, err
	}
	records, err := sql.Open(ctx, dir, sql.Options{})
	if err != nil {
		return nil, err
	}
	parts := repo.Parts{Blobs: blobs, Catalog: records, Fetch: &fetch.Engine{Blobs: blobs}}
	if count != nil {
		parts.Blobs, parts.Catalog = countedBlobs{blobs, count}, countedCatalog{records, count}
	}
	pond, err := repo.New(ctx, parts)
	if err != nil {
		return nil, err
	}
	return &gemPond{blobs: blobs, pond: pond, close: records.Close}, pond.Configure(ctx, repo.Settings{}, []repo.Config{{Name: "r", Format: Format{}, Public: true}})
}

func (p *gemPond) end() {
	p.t.Helper()
	if err := p.pond.Close(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	if err := p.close(); err != nil {
		p.t.Fatal(err)
	}
	if err := p.blobs.Close(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *gemPond) ask(method, path string, header http.Header, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	for k, v := range header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	caller := repo.Caller{Actor: millpond.Actor{Name: "owner"}, Rights: everything{}}
	Format{}.Handler(p.pond.Repository("r").For(caller)).ServeHTTP(w, r)
	return w
}

func killedGem(version string) []byte { return gemBytes("alpha", formattest.Release{Version: version}) }

// victim pushes a gem, and another, yanks the first, and lets a client follow; it says what was acknowledged, and dies on the way.
func victim(dir string) error {
	at, err := strconv.ParseInt(os.Getenv(envWrite), 10, 64)
	if err != nil {
		return err
	}
	count := &blobtest.Dying{At: at}
	count.Sleep()
	p, err := openGems(context.Background(), dir, count)
	if err != nil {
		return err
	}
	count.Wake()
	first, second := killedVersions(at)
	for _, one := range []struct {
		what         string
		method, path string
		body         []byte
	}{
		{"pushed " + first, "POST", "/api/v1/gems", killedGem(first)},
		{"followed", "GET", "/versions", nil},
		{"pushed " + second, "POST", "/api/v1/gems", killedGem(second)},
		{"yanked " + first, "DELETE", "/api/v1/gems/yank", []byte(url.Values{"gem_name": {"alpha"}, "version": {first}}.Encode())},
		{"followed", "GET", "/versions", nil},
	} {
		fmt.Println("begins", one.what)
		if got := p.ask(one.method, one.path, nil, one.body); got.Code != http.StatusOK {
			return fmt.Errorf("%s: %d %s", one.what, got.Code, got.Body)
		}
		fmt.Println("did", one.what)
	}
	fmt.Println("writes", count.Done())
	return nil
}

// killedVersions are those that a victim pushes: no other one's.
func killedVersions(at int64) (first, second string) {
	n := max(at, -at)*4 + map[bool]int64{true: 2}[at < 0]
	return fmt.Sprintf("1.%d", n), fmt.Sprintf("1.%d", n+1)
}

// TestCase10Killed: a pond dies before, and after, every write of pushes and a yank. What was acknowledged is in every index after
// the next start, and its files are served; of what was not there is all or nothing, and the same push again makes it whole.
func TestCase10Killed(t *testing.T) {
	if dir := os.Getenv(envVictim); dir != "" {
		if err := victim(dir); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	there, yanked := map[string]bool{}, map[string]bool{} // versions that must be there, and those that are yanked
	kills, stride := 0, int64(3)
	if os.Getenv("MILLPONDTEST_LONG") != "" {
		stride = 1
	}
	for n, over := int64(1), false; !over; n += stride {
		for _, at := range []int64{n, -n} {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCase10Killed$")
			cmd.Env = append(os.Environ(), envVictim+"="+dir, envWrite+"="+strconv.FormatInt(at, 10))
			out, err := cmd.Output()
			begun, did := said(string(out), "begins "), said(string(out), "did ")
			switch over = strings.Contains(string(out), "writes "); {
			case err == nil && !over || err != nil && cmd.ProcessState.ExitCode() != -1:
				t.Fatalf("at %d: the victim ended by itself: %v: %s", at, err, out)
			case err != nil:
				kills++
			}
			p, err := openGems(t.Context(), dir, nil)
			if err != nil {
				t.Fatalf("after the kill at %d: %v", at, err)
			}
			p.t = t
			first, second := killedVersions(at)
			versions, info := p.indexes()
			for _, v := range []string{first, second} {
				push, yank := "pushed "+v, "yanked "+v
				listed := strings.Contains(info, "\n"+v+" ")
				switch {
				case slices.Contains(did, yank):
					yanked[v], there[v] = true, true
				case slices.Contains(begun, yank):
					yanked[v], there[v] = !listed, true
				case slices.Contains(did, push):
					there[v] = true
				default:
					there[v] = listed
				}
				if !there[v] {
					if got := p.ask("GET", "/gems/alpha-"+v+".gem", nil, nil); got.Code != http.StatusNotFound {
						t.Errorf("at %d: %s is in no index, and its gem is answered with %d", at, v, got.Code)
					}
				}
				// The client that was told nothing sends it again.
				if got := p.ask("POST", "/api/v1/gems", nil, killedGem(v)); got.Code != http.StatusOK && !(yanked[v] && got.Code == http.StatusConflict) {
					t.Errorf("at %d: %s again: %d %s", at, v, got.Code, got.Body)
				}
				there[v] = true
			}
			before := versions
			if versions, info = p.indexes(); !strings.HasPrefix(versions, before) {
				t.Errorf("at %d: versions does not go on from where it was", at)
			}
			p.wants(fmt.Sprintf("at %d", at), versions, info, []string{first, second}, yanked)
			if over || t.Failed() { // in the end all of them
				var all []string
				for v := range there {
					all = append(all, v)
				}
				p.wants("in the end", versions, info, all, yanked)
			}
			p.end()
			if t.Failed() {
				t.Fatalf("stopped after the kill at %d: begun %q, done %q", at, begun, did)
			}
		}
	}
	if kills < 10 {
		t.Errorf("%d kills: a push writes too seldom for this to show anything", kills)
	}
	t.Logf("%d kills, at every %d. write", kills, stride)
}

// said are the lines of a victim that begin with a word, without it.
func said(out, word string) (lines []string) {
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), word); ok {
			lines = append(lines, rest)
		}
	}
	return lines
}

// indexes are versions and the info of alpha, of which the first tells the md5.
func (p *gemPond) indexes() (versions, info string) {
	p.t.Helper()
	got := p.ask("GET", "/info/alpha", nil, nil)
	if got.Code != http.StatusOK && got.Code != http.StatusNotFound {
		p.t.Fatalf("info: %d %s", got.Code, got.Body)
	}
	if got.Code == http.StatusOK {
		info = got.Body.String()
	}
	if got = p.ask("GET", "/versions", nil, nil); got.Code != http.StatusOK {
		p.t.Fatalf("versions: %d %s", got.Code, got.Body)
	}
	versions = got.Body.String()
	last := ""
	for line := range strings.Lines(versions) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "alpha" {
			last = fields[2]
		}
	}
	if info != "" && last != sum5([]byte(info)) {
		p.t.Errorf("versions names the md5 %s, and the info has %s: %q", last, sum5([]byte(info)), info)
	}
	return versions, info
}

// wants compares what is there with what must be: yanked versions are in no index, and the files of all are served.
func (p *gemPond) wants(what, versions, info string, all []string, yanked map[string]bool) {
	p.t.Helper()
	for _, v := range all {
		if listed := strings.Contains(info, "\n"+v+" "); listed == yanked[v] {
			p.t.Errorf("%s: %s is listed %t, yanked %t", what, v, listed, yanked[v])
		}
		if got := p.ask("GET", "/gems/alpha-"+v+".gem", nil, nil); got.Code != http.StatusOK || !bytes.Equal(got.Body.Bytes(), killedGem(v)) {
			p.t.Errorf("%s: the gem of %s: %d, %d bytes", what, v, got.Code, got.Body.Len())
		}
		if got := p.ask("GET", "/quick/Marshal.4.8/alpha-"+v+".gemspec.rz", nil, nil); got.Code != http.StatusOK {
			p.t.Errorf("%s: the quick spec of %s: %d", what, v, got.Code)
		}
	}
}
