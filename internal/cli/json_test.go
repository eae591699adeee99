package cli

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestEveryCommandSpeaksJSON: each command takes --json, but those that have nothing to say to a program.
func TestEveryCommandSpeaksJSON(t *testing.T) {
	parser, err := kong.New(&commands{}, kong.Vars{"pond": defaultURL, "clients": "pip"}, kong.ExplicitGroups([]kong.Group{{Key: "pond"}, {Key: "you"}, {Key: "packages"}, {Key: "team"}}))
	if err != nil {
		t.Fatal(err)
	}
	words := map[string][]string{}
	collect(parser.Model.Node, "", words)
	silent := map[string]string{"serve": "it runs until it is stopped, and logs in JSON", "help": "it is for people", "dashboard": "it is JSON"}
	checked := 0
	for _, path := range slices.Sorted(maps.Keys(words)) {
		group := slices.ContainsFunc(slices.Collect(maps.Keys(words)), func(other string) bool { return strings.HasPrefix(other, path+" ") })
		if path == "" || group && !slices.Contains(words[path], "--json") {
			continue // its commands are checked
		}
		checked++
		if why, ok := silent[path]; ok == slices.Contains(words[path], "--json") {
			t.Errorf("millpond %s takes %q; want --json, unless %q", path, words[path], why)
		}
	}
	if checked < 40 {
		t.Errorf("only %d commands were looked at: %v", checked, slices.Sorted(maps.Keys(words)))
	}
}

func TestFilesInJSON(t *testing.T) {
	quiet(t)
	t.Chdir(t.TempDir())
	run := func(into any, args ...string) {
		t.Helper()
		out, errs := newScreen(), newScreen()
		if code := Main(t.Context(), Process{Args: args, Out: out, Err: errs, Machine: bench{"https://upstream.example/simple/"}}); code != 0 {
			t.Fatalf("millpond %s = %d\n%s%s", strings.Join(args, " "), code, out, errs)
		}
		if err := json.Unmarshal([]byte(out.String()), into); err != nil {
			t.Fatalf("millpond %s: %v in %s", strings.Join(args, " "), err, out)
		}
	}
	var printed, written initReport
	run(&printed, "init", "--json", "--output", "-")
	if _, err := os.Stat("millpond.yaml"); err == nil || printed.File != "" || !strings.Contains(printed.Text, "https://upstream.example/simple/") {
		t.Errorf("init that only prints: %+v; want the text, and no file", printed)
	}
	run(&written, "init", "--json")
	text, err := os.ReadFile("millpond.yaml")
	if err != nil || written.File != "millpond.yaml" || written.Text != string(text) || written.Text != printed.Text {
		t.Errorf("init: %+v, and the file %q, %v; want the same", written, text, err)
	}
	var shell struct{ Shell, Text string }
	run(&shell, "completion", "bash", "--json")
	if shell.Shell != "bash" || !strings.Contains(shell.Text, "complete ") {
		t.Errorf("completion: %+v", shell)
	}
}
