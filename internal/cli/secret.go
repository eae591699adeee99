package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"millpond"

	"golang.org/x/term"
)

// secret asks for one at the terminal, without showing it; else it is the next line of what is piped in.
func (p *Process) secret(what string) (string, error) {
	if f, ok := p.In.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintf(p.Err, "%s: ", what)
		if shown, err := term.GetState(int(f.Fd())); err == nil {
			p.typed.hide(func() { term.Restore(int(f.Fd()), shown) })
			defer p.typed.hide(nil)
		}
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(p.Err)
		return string(text), err
	}
	if p.In == nil {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: "what is missing: the " + what + "; there is nobody to ask", Hint: "pipe it in"}
	}
	lines, ok := p.In.(*bufio.Reader)
	if !ok {
		lines = bufio.NewReader(p.In)
		p.In = lines // the next line is the next secret
	}
	text, err := lines.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: "what is missing: the " + what + "; nothing was piped in"}
	}
	return text, nil
}

// newSecret asks for one twice at the terminal.
func (p *Process) newSecret(what string) (string, error) {
	first, err := p.secret(what)
	if err != nil {
		return "", err
	}
	if f, ok := p.In.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		second, err := p.secret("the same again")
		if err != nil {
			return "", err
		}
		if first != second {
			return "", &millpond.Error{Kind: millpond.Invalid, Why: "the two are not the same"}
		}
	}
	return first, nil
}
