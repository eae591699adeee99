package pear

import (
	"context"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
)

// A machine is a computer on which pear says one thing.
type machine struct {
	said string
	err  error
}

func (m machine) Run(_ context.Context, name string, args ...string) (string, error) {
	if got := name + " " + strings.Join(args, " "); got != "pear list-channels" {
		return "", exec.ErrNotFound
	}
	return m.said, m.err
}
func (machine) Getenv(string) string            { return "" }
func (machine) ReadFile(string) ([]byte, error) { return nil, exec.ErrNotFound }

func TestAdoptsTheChannelsOfTheClient(t *testing.T) {
	const said = `REGISTERED CHANNELS:
====================
CHANNEL               ALIAS   SUMMARY
pear.upstream.example up      An upstream with a
                              summary.of.two lines
pecl.upstream.example pecl    Another
__uri                 __uri   Pseudo-channel for static packages
`
	all, err := adopt(t.Context(), machine{said: said})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range all {
		got = append(got, a.URL+" from "+a.From+a.Note)
	}
	const want = "http://pear.upstream.example/ from pear list-channels\nhttp://pecl.upstream.example/ from pear list-channels"
	if strings.Join(got, "\n") != want {
		t.Errorf("adopted\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if all, err := adopt(t.Context(), machine{err: &millpond.Error{Kind: millpond.NotFound}}); len(all) != 0 || err != nil {
		t.Errorf("without pear: %+v, %v", all, err)
	}
	if all, err := adopt(t.Context(), machine{err: context.DeadlineExceeded}); len(all) != 1 || all[0].URL != "" || all[0].Note == "" || err != nil {
		t.Errorf("pear hangs: %+v, %v; want a note", all, err)
	}
}

func TestSetUpNamesThePond(t *testing.T) {
	snippets := setUp(&url.URL{Scheme: "http", Host: "pond.example:3142", Path: "/"})
	if got := snippets[0].Text; got != "pear config-set http_proxy http://pond.example:3142" {
		t.Errorf("the first line is %q", got)
	}
	var _ format.Machine = machine{}
}
