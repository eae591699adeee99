package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"millpond"
)

const (
	// tokenLife is how long a token is used that does not say how long it is good; tokenEarly is how long before its end no
	// request begins with it.
	tokenLife, tokenEarly = 60 * time.Second, 10 * time.Second
	tokenLimit            = 1 << 20
	mostTokens            = 4096
)

// A bearer is what an upstream knows of tokens: who gives them, and those that it was given, by scope.
type bearer struct {
	mu     sync.Mutex // guards all; never held across I/O
	from   *realm     // of the last challenge; nil before the first
	tokens map[string]*grant
}

// A realm is who gives tokens, as a challenge names it.
type realm struct{ at, service string }

// A grant is a token, or the question for one that is under way.
type grant struct {
	done  chan struct{}
	token string
	until time.Time
	err   error
}

// challengeOf reads the Bearer challenge of an answer (RFC 6750): who gives tokens, and what was wrong with the one that was
// sent; nil if there is none.
func challengeOf(h http.Header) (from *realm, problem string) {
	for _, text := range h.Values("Www-Authenticate") {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			continue
		}
		fields := parameters(rest)
		if fields["realm"] != "" {
			return &realm{fields["realm"], fields["service"]}, fields["error"]
		}
	}
	return nil, ""
}

// parameters reads name="value" pairs with commas between them.
func parameters(text string) map[string]string {
	out := map[string]string{}
	for text = strings.TrimLeft(text, " ,"); text != ""; text = strings.TrimLeft(text, " ,") {
		name, rest, ok := strings.Cut(text, "=")
		if !ok {
			break
		}
		rest = strings.TrimLeft(rest, " ")
		var value strings.Builder
		if quoted, is := strings.CutPrefix(rest, `"`); is {
			i := 0
			for ; i < len(quoted) && quoted[i] != '"'; i++ {
				if quoted[i] == '\\' && i+1 < len(quoted) {
					i++
				}
				value.WriteByte(quoted[i])
			}
			text = quoted[min(i+1, len(quoted)):]
		} else {
			plain, after, _ := strings.Cut(rest, ",")
			value.WriteString(strings.TrimSpace(plain))
			text = after
		}
		out[strings.ToLower(strings.TrimSpace(name))] = value.String()
	}
	return out
}

// bearerFor is the token for a scope that is held, or asked for if the upstream is known to want one; "" if it is not known to.
func (u *Upstream) bearerFor(ctx context.Context, scope string) (string, error) {
	u.bearer.mu.Lock()
	from := u.bearer.from
	u.bearer.mu.Unlock()
	if from == nil {
		return "", nil
	}
	return u.tokenFrom(ctx, *from, scope, "")
}

// tokenFrom is a token for a scope that is not refused, which is one that was refused a moment ago. One question is under
// way for each scope.
func (u *Upstream) tokenFrom(ctx context.Context, from realm, scope, refused string) (string, error) {
	now := u.e.now()
	b := &u.bearer
	b.mu.Lock()
	b.from = &from
	g := b.tokens[scope]
	if g != nil {
		select {
		case <-g.done:
			if g.err != nil || !now.Before(g.until) || g.token == refused {
				g = nil
			}
		default:
		}
	}
	mine := g == nil
	if mine {
		g = &grant{done: make(chan struct{})}
		if b.tokens == nil || len(b.tokens) >= mostTokens {
			b.tokens = map[string]*grant{}
		}
		b.tokens[scope] = g
	}
	b.mu.Unlock()
	if mine {
		g.token, g.until, g.err = u.askToken(ctx, from, scope)
		if g.err != nil {
			b.mu.Lock()
			if b.tokens[scope] == g {
				delete(b.tokens, scope)
			}
			b.mu.Unlock()
		}
		close(g.done)
		return g.token, g.err
	}
	select {
	case <-g.done:
		if g.err != nil && millpond.Is(g.err, millpond.Canceled) && ctx.Err() == nil {
			return u.tokenFrom(ctx, from, scope, refused) // who asked for all has left
		}
		return g.token, g.err
	case <-ctx.Done():
		return "", canceled(ctx)
	}
}

// askToken asks for a token. The upstream's credentials go along only to its own origin, and to those that its settings name.
func (u *Upstream) askToken(ctx context.Context, from realm, scope string) (string, time.Time, error) {
	bad := func(what string) (string, time.Time, error) {
		return "", time.Time{}, &failure{kind: millpond.BadUpstream, what: what}
	}
	to, err := url.Parse(from.at)
	if err != nil || !to.IsAbs() || to.Host == "" {
		return bad("names a token service by an address that cannot be read")
	}
	query := to.Query()
	if from.service != "" {
		query.Set("service", from.service)
	}
	query.Set("scope", scope)
	to.User, to.Fragment, to.RawQuery = nil, "", query.Encode()
	if err := u.may(nil, to); err != nil {
		return bad("wants a token, and " + err.Error())
	}
	named := originOf(to) == u.origin || u.realms[originOf(to)]
	has := u.username != "" || u.password != ""
	a, err := u.send(ctx, question{method: http.MethodGet, header: http.Header{"Accept": {"application/json"}}, login: named && has}, to)
	if err != nil {
		return "", time.Time{}, err
	}
	if isRedirect(a.StatusCode) {
		a.pass.ok(u.e.now())
		a.close()
		return bad("has a token service that redirects")
	}
	if a, err = u.judge(a, false); err != nil {
		f, ok := errors.AsType[*failure](err)
		if ok && f.kind == millpond.NotFound {
			return bad("has a token service that " + f.what)
		}
		if ok && has && !named {
			f.what += " at its token service, to which no credentials are sent: auth_realms does not list " + originOf(to)
		}
		if ok && has && f.kind == millpond.BadUpstream && f.retries == 0 {
			words := "credentials of " + u.settings.Name + " refused"
			u.alarm.Store(&words)
		}
		return "", time.Time{}, err
	}
	defer a.close()
	body, err := io.ReadAll(io.LimitReader(a.body, tokenLimit))
	if err != nil {
		return "", time.Time{}, a.broke(u, err)
	}
	var said struct {
		Token     string `json:"token"`
		Access    string `json:"access_token"`
		ExpiresIn int64  `json:"expires_in"`
	}
	if json.Unmarshal(body, &said) != nil || said.Token == "" && said.Access == "" {
		return bad("has a token service that gave no token")
	}
	token := said.Token
	if token == "" {
		token = said.Access
	}
	if strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return bad("has a token service that gave no token that can be sent")
	}
	life := tokenLife
	if said.ExpiresIn > 0 {
		life = time.Duration(min(said.ExpiresIn, 1<<20)) * time.Second
	}
	return token, u.e.now().Add(max(life-tokenEarly, time.Second)), nil
}

// sendAs sends a request with the token that its scope needs, which is asked for if the upstream says that it wants one.
func (u *Upstream) sendAs(ctx context.Context, q question, to *url.URL) (*answer, error) {
	if q.scope == "" || originOf(to) != u.origin || u.settings.Token != "" {
		return u.send(ctx, q, to)
	}
	var err error
	if q.bearer, err = u.bearerFor(ctx, q.scope); err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		a, err := u.send(ctx, q, to)
		if err != nil || a.StatusCode != http.StatusUnauthorized {
			return a, err
		}
		from, problem := challengeOf(a.Header)
		if from == nil {
			return a, nil
		}
		if tries > 0 && q.bearer != "" {
			// A fresh token that grants too little: registries speak so of what there is not, to those who may not know.
			if problem == "insufficient_scope" {
				a.pass.ok(u.e.now())
				a.close()
				return nil, &failure{kind: millpond.NotFound, what: "does not have it, or does not show it to us (401)", early: true}
			}
			return a, nil
		}
		a.pass.ok(u.e.now())
		a.drain()
		a.close()
		if q.bearer, err = u.tokenFrom(ctx, *from, q.scope, q.bearer); err != nil {
			return nil, err
		}
	}
}
