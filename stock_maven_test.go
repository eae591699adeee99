package millpond_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"

	"millpond/fetch/faulty"
)

// stockMaven lays packages as a Maven repository serves them: group:artifact@version, needs group:artifact:version. A package
// called …-parent has no jar.
func stockMaven(up *faulty.Server, goods []good) (string, map[string]string, error) {
	names, by := group(goods)
	for _, name := range names {
		g, artifact, _ := strings.Cut(name, ":")
		dir := "/" + strings.ReplaceAll(g, ".", "/") + "/" + artifact + "/"
		versions := ""
		for _, one := range by[name] {
			stem := dir + one.version + "/" + artifact + "-" + one.version
			packaging := "jar"
			if strings.HasSuffix(artifact, "-parent") {
				packaging = "pom"
			} else {
				pad, err := padding(one.size)
				if err != nil {
					return "", nil, err
				}
				jar, err := zipped("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n\n", artifact+".properties", "version="+one.version+"\n", "data.txt", pad)
				if err != nil {
					return "", nil, err
				}
				layMaven(up, stem+".jar", one, jar)
			}
			needs := ""
			for _, need := range one.needs {
				part := strings.Split(need, ":")
				if len(part) != 3 {
					return "", nil, fmt.Errorf("%q is not group:artifact:version", need)
				}
				needs += fmt.Sprintf("<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>", part[0], part[1], part[2])
			}
			layMaven(up, stem+".pom", one, fmt.Appendf(nil, "<project><modelVersion>4.0.0</modelVersion><groupId>%s</groupId><artifactId>%s</artifactId>"+
				"<version>%s</version><packaging>%s</packaging><dependencies>%s</dependencies></project>\n", g, artifact, one.version, packaging, needs))
			versions += "<version>" + one.version + "</version>"
		}
		layMaven(up, dir+"maven-metadata.xml", by[name][0], fmt.Appendf(nil, "<metadata><groupId>%s</groupId><artifactId>%s</artifactId>"+
			"<versioning><versions>%s</versions><lastUpdated>20200102030405</lastUpdated></versioning></metadata>\n", g, artifact, versions))
	}
	return "/", nil, nil
}

// layMaven lays a file and its sum.
func layMaven(up *faulty.Server, path string, g good, body []byte) {
	o := tagged(body, "application/octet-stream")
	o.Modified = g.published
	up.Put(path, o)
	sum := sha1.Sum(body)
	up.Put(path+".sha1", tagged([]byte(hex.EncodeToString(sum[:])), "text/plain"))
}
