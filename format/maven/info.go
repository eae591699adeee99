package maven

import (
	"net/url"
	"strings"
	"time"

	"millpond/format"
)

// Format is Maven repositories.
type Format struct{}

var (
	_ format.Format   = Format{}
	_ format.Claimer  = Format{}
	_ format.Retainer = Format{}
)

// Info describes the format.
func (Format) Info() format.Info {
	return format.Info{
		Name:       "maven",
		Title:      "Java packages",
		PURL:       "maven",
		OSV:        "Maven",
		HeldListed: true,
		Tombstones: true,
		Fresh:      5 * time.Minute,
		Absent:     time.Minute,
		Options: []format.Option{
			{Name: "checksum", Default: "fail", Help: "fail: refuse a file that is not as the upstream's sum says; warn: keep it, and show its reader the upstream's sum"},
			{Name: "only", Help: "of an upstream: groups that it is asked for and no others, com.acme or com.acme.*, one a line"},
			{Name: "trust_dates", Default: "true", Help: "true: a version is as old as its upstream says that the POM is; false: as long as it has been known here"},
			{Name: "releases", Default: "on", Help: "off: no releases can be published here"},
			{Name: "snapshots", Default: "on", Help: "off: no SNAPSHOTs can be published here"},
			{Name: "keep", Help: "how many builds of each SNAPSHOT are kept, the newest; older ones go when they are older than keep_days too; nothing is all"},
			{Name: "keep_days", Default: "30", Help: "days for which builds of SNAPSHOTs are kept beyond keep"},
			{Name: "additions", Default: "refuse", Help: "allow: files may be added to a release at any time; refuse: only while it is new, and signatures"},
		},
		SetUp:     setUp,
		Upstreams: adopt,
	}
}

func setUp(base *url.URL) []format.Snippet {
	at := strings.TrimSuffix(base.String(), "/")
	maven := format.Snippet{
		Client: "mvn",
		Text:   settingsFor(base, ""),
		Note:   "As ~/.m2/settings.xml. A mirror takes over whether what it mirrors has SNAPSHOTs, so the profile says that this has.",
	}
	if base.Scheme != "https" {
		maven.Note += " Maven refuses plain http for what POMs name, but on this computer: serve the pond over https."
	}
	gradle := format.Snippet{Client: "gradle", Text: initScript(base), Note: "As ~/.gradle/init.d/millpond.gradle."}
	publish := format.Snippet{
		Client: "mvn deploy",
		Text:   "mvn deploy -DaltDeploymentRepository=millpond::default::" + at,
		Note:   "With the login in ~/.m2/settings.xml: <server> <id>millpond</id> <username>TOKEN-NAME</username> <password>TOKEN</password> </server>. For good, <distributionManagement> of the POM.",
	}
	return []format.Snippet{maven, gradle, publish}
}
