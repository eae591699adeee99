package debian

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// TestCase20Archives: two archives below one address have suites and packages of the same names, and never mix.
func TestCase20Archives(t *testing.T) {
	h, _ := house(t, map[string]string{"archives": "*"})
	var want [2][]byte
	for i, root := range []string{"alice/tools/ubuntu/", "bob/tools/ubuntu/"} {
		a := &archive{Up: h.Up, Root: "/debian/" + root, Suite: "dists/noble", ByHash: true}
		want[i] = deb(t, "hello", "1.0", "amd64", "", i+5)
		a.Set(helloPath, want[i])
		a.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
	}
	for i, root := range []string{"alice/tools/ubuntu/", "bob/tools/ubuntu/"} {
		good(t, h, "/"+root+"dists/noble/InRelease", nil)
		good(t, h, "/"+root+"dists/noble/main/binary-amd64/Packages.gz", nil)
		good(t, h, "/"+root+helloPath, want[i])
	}
}

// TestCase20Private: a private archive is read with the credentials that its upstream is configured with; they go to no other host,
// also where the archive redirects to one, and no client sees them.
func TestCase20Private(t *testing.T) {
	h, a := stocked(t, nil)
	elsewhere := faulty.New(t)
	elsewhere.Put("/store/hello.deb", faulty.Object{Body: a.debs[helloPath]})
	objects := a.Objects(t, formattest.Epoch().AddDate(0, -1, 0))
	for path, o := range objects {
		h.Up.Handle(path, func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "ci" || password != "the word" {
				w.Header().Set("WWW-Authenticate", "Basic")
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			if strings.HasSuffix(path, ".deb") {
				http.Redirect(w, r, elsewhere.URL+"/store/hello.deb", http.StatusFound)
				return
			}
			w.Write(o.Body)
		})
	}
	if r := h.Get(inRelease); r.Status == http.StatusOK {
		t.Fatalf("without credentials: %s", r)
	}
	c := h.Config("r", h.Up)
	c.Upstreams[0].Username, c.Upstreams[0].Password = "ci", "the word"
	c.Upstreams[0].Also, c.Upstreams[0].AllowAddresses = []string{elsewhere.URL}, []string{"127.0.0.0/8"}
	h.Configure(repo.Settings{}, c)
	h.Pass(2 * time.Minute)
	good(t, h, inRelease, nil)
	good(t, h, packages, nil)
	r := good(t, h, "/"+helloPath, a.debs[helloPath])
	if r.Header.Get("Location") != "" || r.Header.Get("Www-Authenticate") != "" {
		t.Errorf("the client is told of the upstream: %v", r.Header)
	}
	asked := elsewhere.Requests("/store/hello.deb")
	if len(asked) == 0 {
		t.Error("the file did not come from where the archive sends to")
	}
	for _, one := range asked {
		if one.Header.Get("Authorization") != "" {
			t.Errorf("another host was given the credentials: %v", one.Header)
		}
	}
}

// TestCase24Architectures: packages for two architectures and for all of them, published in one piece, are installed by apt from the
// index of each: the machine's own, and a foreign one by its name; what must be of one version everywhere is.
func TestCase24Architectures(t *testing.T) {
	t.Parallel()
	h, _ := house(t, nil)
	h.Pass(-48 * time.Hour)
	owner := h.As(formattest.Owner)
	h.Published("the suite", owner.Do("PUT", "/dists/stable/Release", nil, []byte("Architectures: amd64 arm64\n")))
	lib := func(version string) {
		t.Helper()
		for _, arch := range []string{"amd64", "arm64"} { // as dput sends them, made visible by one .changes
			h.Published(arch, owner.Do("PUT", "/incoming/libx_"+version+"_"+arch+".deb", nil, deb(t, "libx", version, arch, "Multi-Arch: same\n", 0)))
		}
		h.Published("all", owner.Do("PUT", "/incoming/x-data_"+version+"_all.deb", nil, deb(t, "x-data", version, "all", "Source: libx\nMulti-Arch: foreign\n", 0)))
		files := []aFile{{"x-data_" + version + "_all.deb", "main", deb(t, "x-data", version, "all", "Source: libx\nMulti-Arch: foreign\n", 0)}}
		for _, arch := range []string{"amd64", "arm64"} {
			files = append(files, aFile{"libx_" + version + "_" + arch + ".deb", "main", deb(t, "libx", version, arch, "Multi-Arch: same\n", 0)})
		}
		h.Published("changes", owner.Do("PUT", "/incoming/libx_"+version+"_multi.changes", nil, changesOf("libx", version, "stable", files...)))
	}
	lib("1.0")
	r := h.Want("of an architecture that the suite does not have", owner.Do("PUT", "/pool/stable/main/x.deb", nil, deb(t, "libx", "1.0", "riscv64", "", 0)), http.StatusBadRequest)
	if !strings.Contains(string(r.Body), "riscv64") {
		t.Errorf("it is not said which: %s", r)
	}
	h.Want("by way of incoming", owner.Do("PUT", "/incoming/liby_1.0_riscv64.deb", nil, deb(t, "liby", "1.0", "riscv64", "", 0)), http.StatusCreated)
	h.Want("by way of incoming", owner.Do("PUT", "/incoming/liby_1.0_riscv64.changes", nil,
		changesOf("liby", "1.0", "stable", aFile{"liby_1.0_riscv64.deb", "main", deb(t, "liby", "1.0", "riscv64", "", 0)})), http.StatusBadRequest)
	if got := h.Get("/dists/stable/main/binary-riscv64/Packages"); got.Status == http.StatusOK {
		t.Errorf("the suite has got an architecture that nobody gave it: %s", got)
	}

	root := newAPT(t, "")
	conf, err := os.ReadFile(root.config)
	if err != nil {
		t.Fatal(err)
	}
	root.write("apt.conf", strings.Replace(string(conf), `{ "amd64"; }`, `{ "amd64"; "arm64"; }`, 1))
	root.write("var/lib/dpkg/arch", "amd64\narm64\n")
	root.write("etc/apt/sources.list.d/pond.sources", string(good(t, h, "/setup.sources?suite=stable", nil).Body))
	root.must("update")
	root.must("install", "libx:amd64", "libx:arm64", "x-data")
	versions := func() string {
		out, err := exec.Command("dpkg-query", "--admindir="+root.dir+"/var/lib/dpkg", "-W", "-f", "${Package}:${Architecture}=${Version} ").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if got, want := versions(), "libx:amd64=1.0 libx:arm64=1.0 x-data:all=1.0 "; got != want {
		t.Errorf("installed are %q, want %q", got, want)
	}
	h.Pass(2 * time.Second)
	lib("1.1")
	root.must("update")
	root.must("upgrade")
	if got, want := versions(), "libx:amd64=1.1 libx:arm64=1.1 x-data:all=1.1 "; got != want {
		t.Errorf("after the upgrade there are %q, want %q", got, want)
	}
}

// TestRetention: the rule latest keeps so many versions in a hosted suite: older ones leave its index and are refused, and come back
// if the rule goes.
func TestRetention(t *testing.T) {
	h, _ := house(t, nil)
	for n := range 4 {
		publishInto(t, h, "hello", fmt.Sprintf("1.%d", n))
		h.Pass(time.Minute)
	}
	c := h.Config("r", h.Up)
	formattest.Rules(t, map[string]any{"latest": 2})(&c)
	h.Configure(repo.Settings{}, c)
	listed := func(want ...string) {
		t.Helper()
		index := string(good(t, h, packages, nil).Body)
		if strings.Count(index, "Package: ") != len(want) {
			t.Errorf("the index lists other than %q:\n%s", want, index)
		}
		for _, version := range want {
			if !strings.Contains(index, "Version: "+version+"\n") {
				t.Errorf("the index lacks %s:\n%s", version, index)
			}
		}
	}
	listed("1.3", "1.2")
	h.Want("an old version", h.Get("/"+poolFile("stable", "main", "hello", "hello_1.0_amd64.deb")), http.StatusForbidden)
	good(t, h, "/"+poolFile("stable", "main", "hello", "hello_1.2_amd64.deb"), nil)
	publishInto(t, h, "hello", "1.4")
	listed("1.4", "1.3")
	h.Configure(repo.Settings{}, h.Config("r", h.Up))
	listed("1.0", "1.1", "1.2", "1.3", "1.4")
}

// TestCase11TwoComponents: one package in two components, under two paths and with different bytes, is two files; so is one path in
// two suites of one archive, as vendors have it that replace files: which bytes are meant says the suite that is current last.
func TestCase11TwoComponents(t *testing.T) {
	h, a := stocked(t, nil)
	free, other := deb(t, "tool", "1.0", "amd64", "", 1), deb(t, "tool", "1.0", "amd64", "", 2)
	a.Set("pool/main/t/tool/tool_1.0_amd64.deb", free)
	b := &archive{}
	b.Set("pool/contrib/t/tool/tool_1.0_amd64.deb", other)
	a.extra = map[string][]byte{"contrib/binary-amd64/Packages": b.files(t)[amd64]}
	h.Up.Put("/debian/pool/contrib/t/tool/tool_1.0_amd64.deb", faulty.Object{Body: other})
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
	good(t, h, packages, nil)
	good(t, h, "/dists/stable/contrib/binary-amd64/Packages", nil)
	for range 2 { // cold, and held
		good(t, h, "/pool/main/t/tool/tool_1.0_amd64.deb", free)
		good(t, h, "/pool/contrib/t/tool/tool_1.0_amd64.deb", other)
	}
}

// TestCase11Million reads an index of very many packages, and finds the files of the first and of the last: a million in the long
// run of test.sh.
func TestCase11Million(t *testing.T) {
	t.Parallel()
	n := 20_000
	if os.Getenv("DEBIANTEST_ROUNDS") != "" {
		n = 1_000_000
	}
	h, a := stocked(t, nil)
	var index bytes.Buffer
	path := func(i int) string { return fmt.Sprintf("pool/main/p/p%07[1]d/p%07[1]d_1_amd64.deb", i) }
	body := []byte("!<arch>\nand so on")
	sum := hexSHA(body)
	for i := range n {
		fmt.Fprintf(&index, "Package: p%07d\nVersion: 1\nArchitecture: amd64\nFilename: %s\nSize: %d\nSHA256: %s\n\n", i, path(i), len(body), sum)
	}
	a.extra = map[string][]byte{amd64: index.Bytes(), amd64 + ".gz": packed(t, index.Bytes())}
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
	good(t, h, packages+".gz", a.extra[amd64+".gz"])
	for _, i := range []int{0, n / 2, n - 1} {
		h.Up.Put("/debian/"+path(i), faulty.Object{Body: body})
		good(t, h, "/"+path(i), body)
	}
	h.Want("what it does not list", h.Get("/"+path(n)), http.StatusNotFound)
}

// TestShapes: what archives have besides: components with a prefix, none at all that would be one, the installer's packages and images,
// names for commands that are not there, packages of debug symbols. All that the Release lists is an index, by path and by hash.
func TestShapes(t *testing.T) {
	h, a := stocked(t, nil)
	ddeb := deb(t, "hello-dbgsym", "1.0", "amd64", "Source: hello\n", 0)
	a.Set("pool/main/h/hello/hello-dbgsym_1.0_amd64.ddeb", ddeb)
	a.extra = map[string][]byte{}
	for _, path := range []string{"updates/main/binary-amd64/Packages", "main/debian-installer/binary-amd64/Packages", "main/cnf/Commands-amd64", "main/dep11/Components-amd64.yml.gz",
		"main/i18n/Translation-de_DE", "Contents-amd64.gz", "main/Contents-udeb-amd64.gz", "main/binary-amd64/Release", "main/binary-amd64/Packages.diff/Index", "a-word-that-nobody-knows"} {
		a.extra[path] = []byte("Package: " + path + "\n")
	}
	image := []byte("an image of the installer")
	for _, suite := range []string{"dists/stable", "dists/nodistro", "dists/jammy/updates"} {
		a.Suite = suite
		a.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
		h.Up.Put("/debian/"+suite+"/main/installer-amd64/current/images/netboot/mini.iso", faulty.Object{Body: image})
		good(t, h, "/"+suite+"/InRelease", nil)
		for path, want := range a.extra {
			good(t, h, "/"+suite+"/"+path, want)
			dir, _ := split("/" + suite + "/" + path)
			good(t, h, dir+"/by-hash/SHA256/"+hexSHA(want), want)
		}
		good(t, h, "/"+suite+"/"+amd64, nil)
		good(t, h, "/pool/main/h/hello/hello-dbgsym_1.0_amd64.ddeb", ddeb)
		good(t, h, "/"+suite+"/main/installer-amd64/current/images/netboot/mini.iso", image)
		h.Want("what is not listed", h.Get("/"+suite+"/main/Contents-armhf"), http.StatusNotFound)
	}
}
