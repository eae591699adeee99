package millpond_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var (
	setupSecret = regexp.MustCompile(`setup secret: (\S+)`)
	ticketPage  = regexp.MustCompile(`/-/login\?ticket=([A-Za-z0-9]+)`)
)

// cmdTeam makes people of the pond that runs. "team" alone makes the first one, root, of a new pond: the commands of millpond
// are root's from then on. "team NAME [ROLE REPOSITORY [NAMES]]" makes NAME, whose password is "the password of NAME", with a
// token in $TOKEN_NAME; $TOKEN_ROOT is root's.
func cmdTeam(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 2 || len(args) > 4 {
		ts.Fatalf("usage: team | team NAME [ROLE REPOSITORY [NAMES]]")
	}
	s := sceneOf(ts)
	var made struct{ Secret string }
	if len(args) == 0 {
		said, err := os.ReadFile(s.log)
		ts.Check(err)
		all := setupSecret.FindAllSubmatch(said, -1)
		if all == nil {
			ts.Fatalf("the pond printed no setup secret:\n%s", said)
		}
		ts.Check(s.call("POST", "/-/api/setup", "", map[string]string{"secret": string(all[len(all)-1][1]), "name": "root", "password": passwordOf("root")}, &made))
		ts.Setenv("TOKEN_ROOT", made.Secret)
		ts.Setenv("MILLPOND_TOKEN", made.Secret)
		return
	}
	name, root := args[0], ts.Getenv("TOKEN_ROOT")
	ts.Check(s.call("POST", "/-/api/users", root, map[string]string{"name": name, "password": passwordOf(name)}, nil))
	if len(args) > 2 {
		grant := map[string]string{"subject": "user:" + name, "role": args[1], "repository": args[2], "names": "*"}
		if len(args) > 3 {
			grant["names"] = args[3]
		}
		ts.Check(s.call("POST", "/-/api/grants", root, grant, nil))
	}
	ts.Check(s.call("POST", "/-/api/login", "", map[string]string{"name": name, "password": passwordOf(name)}, &made))
	ts.Setenv("TOKEN_"+strings.ToUpper(name), made.Secret)
}

func passwordOf(name string) string { return "the password of " + name }

// call asks the pond's own API.
func (s *scene) call(method, path, token string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, "http://"+s.listen+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// cmdApprove waits until a client, which runs in the background and writes to FILE, shows the page where to log in, and lets
// it have a token of NAME's: approve FILE NAME.
func cmdApprove(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: approve FILE NAME")
	}
	s := sceneOf(ts)
	var code string
	ts.Check(s.until("be asked to log somebody in", func() bool {
		said, err := os.ReadFile(ts.MkAbs(args[0]))
		page := ticketPage.FindSubmatch(said)
		if err == nil && page != nil {
			code = string(page[1])
		}
		return code != ""
	}))
	token := ts.Getenv("TOKEN_" + strings.ToUpper(args[1]))
	ts.Check(s.call("POST", "/-/api/login/waiting/"+code+"/approve", token, nil, nil))
}

// cmdBuild makes the file that a client publishes: build wheel|sdist|tgz|modzip|gem GOOD…; see parseGood. It is put in the folder
// "dist". The same good is the same bytes each time; "ago" or "size" make others of it.
func cmdBuild(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: build wheel|sdist|tgz|modzip|pear|gem 'PACKAGE@VERSION needs PACKAGE…'…")
	}
	for _, arg := range args[1:] {
		g, err := parseGood(arg)
		ts.Check(err)
		var name string
		var body []byte
		switch args[0] {
		case "wheel":
			name, body, _, err = wheel(g)
		case "sdist":
			name, body, _, err = sdist(g)
		case "tgz":
			_, body, err = pack(g)
			name = strings.ReplaceAll(strings.TrimPrefix(g.name, "@"), "/", "-") + "-" + g.version + ".tgz"
		case "modzip":
			_, body, err = moduleOf(g)
			name = g.name[strings.LastIndex(g.name, "/")+1:] + "-" + g.version + ".zip"
		case "pear":
			name, body, err = pearArchive(g)
		case "gem":
			name, body, err = builtGem(g)
		default:
			ts.Fatalf("what is a %s?", args[0])
		}
		ts.Check(err)
		ts.Check(os.MkdirAll(ts.MkAbs("dist"), 0o755))
		ts.Check(os.WriteFile(filepath.Join(ts.MkAbs("dist"), name), body, 0o644))
	}
}

// cmdSend sends a file to a URL: send METHOD URL FILE ['Header: value']…. The answer is in "got" and "got.head", as that of
// get. With ! it wants a refusal.
func cmdSend(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: send METHOD URL FILE ['Header: value']…")
	}
	body, err := os.ReadFile(ts.MkAbs(args[2]))
	ts.Check(err)
	req, err := http.NewRequest(args[0], args[1], bytes.NewReader(body))
	ts.Check(err)
	for _, header := range args[3:] {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	resp, err := (&http.Client{Timeout: 2 * time.Minute}).Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	ts.Check(err)
	var head bytes.Buffer
	fmt.Fprintln(&head, resp.Status)
	resp.Header.Write(&head)
	ts.Check(os.WriteFile(ts.MkAbs("got"), got, 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("got.head"), head.Bytes(), 0o644))
	if refused := resp.StatusCode >= 400; refused != neg {
		ts.Fatalf("%s %s: %s\n%s", args[0], args[1], resp.Status, got)
	}
}
