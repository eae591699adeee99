package millpond_test

import (
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdGitHost serves the repositories below a folder as a git server that wants the name pond and a password, at $GIT_HOST:
// githost FOLDER PASSWORD. To whoever asks with go-get=1 it says that git.acme.example/team/x is a repository.
func cmdGitHost(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: githost FOLDER PASSWORD")
	}
	at, err := exec.Command("git", "--exec-path").Output()
	ts.Check(err)
	root := ts.MkAbs(args[0])
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(at)), "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"}}
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, _ := r.BasicAuth()
		switch {
		case name != "pond" || password != args[1]:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Query().Get("go-get") == "1":
			fmt.Fprintf(w, "<html><head><meta name=\"go-import\" content=%q></head></html>", "git.acme.example/team/x git https://git.acme.example/team/x.git")
		default:
			backend.ServeHTTP(w, r)
		}
	}))
	ts.Defer(host.Close)
	ts.Setenv("GIT_HOST", host.URL)
}
