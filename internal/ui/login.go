package ui

import (
	_ "embed" // the page
	"html/template"
	"io"
)

// FormPolicy is the Content-Security-Policy of pages with forms: as ContentPolicy, and forms go to the pond itself.
const FormPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// A Login is the page where a person logs in, or lets a client that waits have a token.
type Login struct {
	Version   string
	Root      string // path of the pond's root: "/"
	Name      string // who is logged in; "" if nobody is
	Typed     string // the name that was typed before
	Ticket    string // of the client that waits; "" if none does
	Next      string // page to go to afterwards
	Again     bool   // who is logged in shall prove anew who they are
	Passwords bool
	Providers []string // issuers
	Waiting   *Waiting
	Alarm     string
	Hint      string
	Done      string // what was done
}

// A Waiting is a client that waits for a token.
type Waiting struct{ Code, Client, Format, Since string }

//go:embed login.html
var loginSource string

var login = template.Must(template.New("login").Parse(loginSource))

// DrawLogin writes the page.
func DrawLogin(w io.Writer, p *Login) error { return login.Execute(w, p) }
