package fetch

import (
	"net/http"
	"net/url"
	"time"
)

// Settings describe one upstream. The zero value of every field but Name and URL is a good default.
type Settings struct {
	Name string
	URL  *url.URL // its path ends in "/"

	// At most one of these: Basic, Bearer, or what the user's netrc says of the host. They go to URL's origin only.
	Username, Password string
	Token              string
	Netrc              bool
	Header             http.Header // further headers, to URL's origin only

	// Region is that of a bucket whose requests are signed with AWS Signature Version 4: Username is the id of the access key
	// then, Password its secret, and Session the token of a key that is lent for a time, if it is one. Without them the key is
	// the environment's, or that of the role of this container or machine, and is asked for anew before it ends.
	Region, Session string

	// Also are origins ("https://files.example") that documents and redirects of this upstream may point at. "*", the
	// default where it is empty, means every https origin with a public address.
	Also []string
	// Realms are origins of token services that the user name and the password may go to besides URL's own.
	Realms []string
	// AllowAddresses are address prefixes (CIDR) that hosts other than URL's own may resolve to, though they are not public.
	AllowAddresses []string

	CA       []byte   // PEM; these roots only, instead of the system's
	Proxy    *url.URL // egress proxy; nil follows the environment
	Insecure bool     // do not verify TLS certificates: said in the log at start

	Connections int           // at once; 0 is 64
	Rate        float64       // requests a second; 0 is no limit
	Contact     string        // added to the User-Agent
	Idle        time.Duration // longest silence in a body; 0 is 30 s
	MinRate     int64         // slowest body, in bytes a second over a minute; 0 is 1 KiB
	FirstByte   time.Duration // longest wait for the header; 0 is 10 s
}
