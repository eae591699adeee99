package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	output
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints what the shell is to read. It is made of the command line itself, so it knows all of it.
func (c *completionCommand) Run(p *Process, k *kong.Context) error {
	words := map[string][]string{}
	collect(k.Model.Node, "", words)
	var text strings.Builder
	switch c.Shell {
	case "bash":
		bashCompletion(&text, words)
	case "zsh":
		fmt.Fprintln(&text, "#compdef millpond\nautoload -U +X bashcompinit && bashcompinit")
		bashCompletion(&text, words)
	case "fish":
		fishCompletion(&text, words)
	}
	if c.JSON {
		return printJSON(p.Out, map[string]string{"shell": c.Shell, "text": text.String()})
	}
	_, err := io.WriteString(p.Out, text.String())
	return err
}

// collect notes for each command, by its path ("token add"), what can follow it: commands and flags.
func collect(n *kong.Node, path string, words map[string][]string) {
	var next []string
	for _, child := range n.Children {
		if child.Hidden || child.Type != kong.CommandNode {
			continue
		}
		next = append(next, child.Name)
		collect(child, strings.TrimSpace(path+" "+child.Name), words)
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			next = append(next, "--"+f.Name)
		}
	}
	for _, arg := range n.Positional {
		for _, v := range strings.Split(arg.Enum, ",") {
			if v != "" {
				next = append(next, v)
			}
		}
	}
	slices.Sort(next)
	words[path] = slices.Compact(next)
}

// paths are the commands, in order.
func paths(words map[string][]string) []string {
	var all []string
	for path := range words {
		all = append(all, path)
	}
	slices.Sort(all)
	return all
}

// bashCompletion prints a function that finds the command among the words so far, and offers what can follow it, or files
// where nothing that it knows begins so.
func bashCompletion(w io.Writer, words map[string][]string) {
	fmt.Fprint(w, `_millpond() {
  local cur="${COMP_WORDS[COMP_CWORD]}" path="" next="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${path:+$path }${COMP_WORDS[i]}" in
`)
	for _, path := range paths(words) {
		if path != "" {
			fmt.Fprintf(w, "      %q) path=%q ;;\n", path, path)
		}
	}
	fmt.Fprint(w, "    esac\n  done\n  case \"$path\" in\n")
	for _, path := range paths(words) {
		fmt.Fprintf(w, "    %q) next=%q ;;\n", path, strings.Join(words[path], " "))
	}
	fmt.Fprint(w, `  esac
  COMPREPLY=($(compgen -W "$next" -- "$cur"))
  if [[ ${#COMPREPLY[@]} -eq 0 && "$cur" != -* ]]; then
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}
complete -o filenames -F _millpond millpond
`)
}

// fishCompletion prints a line for each word, said of the command that it can follow.
func fishCompletion(w io.Writer, words map[string][]string) {
	fmt.Fprint(w, `function __millpond_at
    set -l path
    for word in (commandline -opc)[2..]
        string match -q -- '-*' $word; or set -a path $word
    end
    test "$path" = "$argv[1]"
    or test -n "$argv[1]" -a "$argv[2]" = leaf; and string match -q -- "$argv[1] *" "$path"
end
`)
	for _, path := range paths(words) {
		leaf := ""
		if !slices.ContainsFunc(paths(words), func(p string) bool { return path != "" && strings.HasPrefix(p, path+" ") }) && path != "" {
			leaf = " leaf"
		}
		for _, word := range words[path] {
			if name, ok := strings.CutPrefix(word, "--"); ok {
				fmt.Fprintf(w, "complete -c millpond -n \"__millpond_at '%s'%s\" -l %s\n", path, leaf, name)
			} else {
				fmt.Fprintf(w, "complete -c millpond -f -n \"__millpond_at '%s'\" -a %s\n", path, word)
			}
		}
	}
}
