package pear

import (
	"context"
	"net/url"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// Format is PEAR channels.
type Format struct{}

var (
	_ format.Format    = Format{}
	_ format.Publisher = Format{}
	_ format.Verifier  = source{}
	_ format.Sniffer   = source{}
)

// Info describes the format.
func (Format) Info() format.Info {
	return format.Info{
		Name:       "pear",
		Title:      "PEAR and PECL channels",
		PURL:       "pear",
		Proxy:      true,
		Tombstones: true,
		Fresh:      15 * time.Minute,
		Absent:     time.Minute,
		Options: []format.Option{
			{Name: "channel", Help: "the channels that are hosted here, by host name: pear.acme.example"},
			{Name: "alias", Help: "the short name that a hosted channel suggests; the first label of its name that is not pear, if nothing is said"},
			{Name: "summary", Help: "what a hosted channel says of itself"},
			{Name: "upstream_channel", Help: "of an upstream: the channel that it is, if that is not the host of its URL"},
		},
		SetUp:     setUp,
		Upstreams: adopt,
	}
}

func setUp(base *url.URL) []format.Snippet {
	at, proxy := base.String(), (&url.URL{Scheme: base.Scheme, Host: base.Host}).String()
	return []format.Snippet{
		{
			Client: "pear", Text: "pear config-set http_proxy " + proxy,
			Note: "With the address of the repository's own listener, which its setting listen gives it. The client goes on asking for its channels by their names; the pond answers for those it serves, and for no other host.",
		},
		{Client: "pecl", Text: "pecl config-set http_proxy " + proxy},
		{
			Client: "publish", Text: "curl -T Hello-1.0.0.tgz -u TOKEN-NAME:TOKEN " + at + "CHANNEL/get/Hello-1.0.0.tgz",
			Note: "Or: millpond publish Hello-1.0.0.tgz. The archive is what pear package makes; its package.xml names the channel.",
		},
	}
}

// adopt asks the client which channels it knows.
func adopt(ctx context.Context, m format.Machine) ([]format.Adopted, error) {
	const command = "pear list-channels"
	out, err := m.Run(ctx, "pear", "list-channels")
	if millpond.Is(err, millpond.NotFound) {
		return nil, nil
	}
	if err != nil {
		return []format.Adopted{{From: command, Note: "it failed: " + err.Error()}}, nil
	}
	var all []format.Adopted
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 2 || line[0] == ' ' || !strings.Contains(fields[0], ".") || !isChannel(strings.ToLower(fields[0])) {
			continue // a heading, or the channel of files that belong to none
		}
		all = append(all, format.Adopted{URL: "http://" + strings.ToLower(fields[0]) + "/", From: command})
	}
	return all, nil
}
