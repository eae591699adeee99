package fetch

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

// A role asks for access keys in the places where programs on such machines look for them, in their order: the environment,
// the service that takes the identity which a cluster gives to its pods, the one beside a container, and the machine's own.
//
// Three of them live at addresses that no upstream may lead to. Requests to them do not pass the guard, and can be led nowhere:
// the address is this machine's environment's or the one that stands here, redirects are not followed, nor are proxies used.
type role struct {
	region string
	near   http.RoundTripper // of services on this machine or beside it
	far    http.RoundTripper // of the token service, which may be behind a proxy
}

const (
	machineService   = "http://169.254.169.254"
	machineService6  = "http://[fd00:ec2::254]"
	containerService = "http://169.254.170.2"
	roleAnswer       = 1 << 20 // the longest that is read
)

func newRole(s Settings) *role {
	transport := func(proxy func(*http.Request) (*url.URL, error)) *http.Transport {
		return &http.Transport{Proxy: proxy, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, TLSHandshakeTimeout: shakeLimit,
			ResponseHeaderTimeout: 5 * time.Second, MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true}
	}
	proxy := http.ProxyFromEnvironment
	if s.Proxy != nil {
		proxy = http.ProxyURL(s.Proxy)
	}
	return &role{region: s.Region, near: transport(nil), far: transport(proxy)}
}

func (r *role) ask(ctx context.Context) (accessKey, error) {
	if id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"); id != "" && secret != "" {
		return accessKey{id: id, secret: secret, session: os.Getenv("AWS_SESSION_TOKEN")}, nil
	}
	what, ask := "the role of this machine", r.machine
	switch {
	case os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "":
		what, ask = "the role of AWS_ROLE_ARN", r.identity
	case os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "" || os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") != "":
		what, ask = "the role of this container", r.container
	case strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true"):
		return accessKey{}, errors.New("username and password are not set, nor is AWS_ACCESS_KEY_ID, and AWS_EC2_METADATA_DISABLED says that this machine has no role")
	}
	key, err := ask(ctx)
	if err == nil && (key.id == "" || key.secret == "") {
		err = errors.New("the answer has none")
	}
	if err != nil {
		return accessKey{}, fmt.Errorf("the access key of %s: %w", what, err)
	}
	return key, nil
}

// machine asks the service that answers on a machine of the cloud itself, in its second version: a token first, which only who
// can send more than a plain GET is given.
func (r *role) machine(ctx context.Context) (accessKey, error) {
	base := os.Getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT")
	switch {
	case base != "":
	case strings.EqualFold(os.Getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), "IPv6"):
		base = machineService6
	default:
		base = machineService
	}
	base = strings.TrimSuffix(base, "/") + "/latest/"
	token, err := r.get(ctx, r.near, http.MethodPut, base+"api/token", http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {"300"}}, "")
	if err != nil {
		return accessKey{}, err
	}
	head := http.Header{"X-Aws-Ec2-Metadata-Token": {strings.TrimSpace(string(token))}}
	const roles = "meta-data/iam/security-credentials/"
	names, err := r.get(ctx, r.near, http.MethodGet, base+roles, head, "")
	if err != nil {
		return accessKey{}, err
	}
	name, _, _ := strings.Cut(strings.TrimSpace(string(names)), "\n")
	if name = strings.TrimSpace(name); name == "" {
		return accessKey{}, errors.New("the machine has no role")
	}
	body, err := r.get(ctx, r.near, http.MethodGet, base+roles+url.PathEscape(name), head, "")
	if err != nil {
		return accessKey{}, err
	}
	return readKey(body)
}

// container asks the service beside a container.
func (r *role) container(ctx context.Context) (accessKey, error) {
	at, err := containerAddress(os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
	if err != nil {
		return accessKey{}, err
	}
	token := os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")
	if file := os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" { // it is written anew now and then
		b, err := os.ReadFile(file)
		if err != nil {
			return accessKey{}, err
		}
		token = strings.TrimSpace(string(b))
	}
	head := http.Header{"Accept": {"application/json"}}
	if token != "" {
		head.Set("Authorization", token)
	}
	body, err := r.get(ctx, r.near, http.MethodGet, at, head, "")
	if err != nil {
		return accessKey{}, err
	}
	return readKey(body)
}

// containerAddress is where the key of a container is. Without TLS it is on this machine or at the addresses that are made
// for it, for the token goes there.
func containerAddress(relative, full string) (string, error) {
	if relative != "" {
		if !strings.HasPrefix(relative, "/") {
			return "", errors.New("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is no path")
		}
		return containerService + relative, nil
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || u.User != nil {
		return "", errors.New("AWS_CONTAINER_CREDENTIALS_FULL_URI cannot be read")
	}
	a, err := netip.ParseAddr(u.Hostname())
	beside := err == nil && (a.IsLoopback() || a == netip.MustParseAddr("169.254.170.2") || a == netip.MustParseAddr("169.254.170.23") ||
		a == netip.MustParseAddr("fd00:ec2::23")) || u.Hostname() == "localhost"
	if u.Scheme != "https" && (u.Scheme != "http" || !beside) {
		return "", errors.New("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor on this machine")
	}
	return full, nil
}

// identity gives the token that a cluster has put into a file for a key of a role.
func (r *role) identity(ctx context.Context) (accessKey, error) {
	arn := os.Getenv("AWS_ROLE_ARN")
	if arn == "" {
		return accessKey{}, errors.New("AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not")
	}
	token, err := os.ReadFile(os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE")) // it is written anew every hour or so
	if err != nil {
		return accessKey{}, err
	}
	form := url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {arn},
		"RoleSessionName": {firstText(os.Getenv("AWS_ROLE_SESSION_NAME"), "millpond")}, "WebIdentityToken": {strings.TrimSpace(string(token))}}
	region := firstText(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), r.region)
	host := "https://sts." + region + ".amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		host += ".cn"
	}
	at := firstText(os.Getenv("AWS_ENDPOINT_URL_STS"), os.Getenv("AWS_ENDPOINT_URL"), host)
	body, err := r.get(ctx, r.far, http.MethodPost, strings.TrimSuffix(at, "/")+"/", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode())
	if err != nil {
		return accessKey{}, err
	}
	var said struct {
		Key struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string } `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	}
	if xml.Unmarshal(body, &said) != nil {
		return accessKey{}, errors.New("the answer cannot be read")
	}
	return keyUntil(said.Key.AccessKeyId, said.Key.SecretAccessKey, said.Key.SessionToken, said.Key.Expiration)
}

func firstText(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// readKey reads a key as the services of machines and containers give it.
func readKey(body []byte) (accessKey, error) {
	var said struct{ Code, AccessKeyID, SecretAccessKey, Token, Expiration string }
	if json.Unmarshal(body, &said) != nil {
		return accessKey{}, errors.New("the answer cannot be read")
	}
	if said.Code != "" && said.Code != "Success" {
		return accessKey{}, fmt.Errorf("the answer is %.80q", said.Code)
	}
	return keyUntil(said.AccessKeyID, said.SecretAccessKey, said.Token, said.Expiration)
}

func keyUntil(id, secret, session, until string) (accessKey, error) {
	end, err := time.Parse(time.RFC3339, until)
	if until != "" && err != nil {
		return accessKey{}, errors.New("the answer does not say until when its key is good")
	}
	return accessKey{id, secret, session, end}, nil
}

// get sends one request, and once more if nobody answers, and reads the answer. What the answer says is in no error: it may be
// a secret.
func (r *role) get(ctx context.Context, by http.RoundTripper, method, at string, head http.Header, body string) ([]byte, error) {
	for tries := 0; ; tries++ {
		q, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(body))
		if err != nil {
			return nil, errors.New("the address of its service cannot be read")
		}
		q.Header = head.Clone()
		resp, err := by.RoundTrip(q)
		if err == nil && resp.StatusCode >= 500 {
			err = fmt.Errorf("%s answers %d", safe(q.URL), resp.StatusCode)
			resp.Body.Close()
		}
		if err != nil {
			if tries == 0 && ctx.Err() == nil {
				continue
			}
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s answers %d", safe(q.URL), resp.StatusCode)
		}
		return io.ReadAll(io.LimitReader(resp.Body, roleAnswer))
	}
}
