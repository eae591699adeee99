package maven

import (
	"fmt"
	"io"
	"strings"
)

// A pom is what the house reads of a POM.
type pom struct {
	Group, Artifact, Version string // its own, else its parent's; with ${…} in it where it says so
	Packaging                string // "jar" if it does not say
	Name                     string
	Licence                  string // the names of all, with ", " between
}

// readPOM reads one, or says why it is none.
func readPOM(r io.Reader) (*pom, error) {
	p := &pom{}
	parentGroup, parentVersion, root := "", "", ""
	var licences []string
	err := walk(r, func(path, text string) {
		switch path {
		case "project/parent/groupId":
			parentGroup = text
		case "project/parent/version":
			parentVersion = text
		case "project/groupId":
			p.Group = text
		case "project/artifactId":
			p.Artifact = text
		case "project/version":
			p.Version = text
		case "project/packaging":
			p.Packaging = text
		case "project/name":
			p.Name = text
		case "project/licenses/license/name":
			if text != "" {
				licences = append(licences, text)
			}
		}
		root = path
	})
	if err == nil && root != "project" {
		err = fmt.Errorf("its root is <%.40s>, not <project>", root)
	}
	if err != nil {
		return nil, err
	}
	if p.Group == "" {
		p.Group = parentGroup
	}
	if p.Version == "" {
		p.Version = parentVersion
	}
	if p.Packaging == "" {
		p.Packaging = "jar"
	}
	p.Licence = strings.Join(licences, ", ")
	return p, nil
}

// agrees reports in words what of a POM is not as the path says; "" if all is, or holds ${…}.
func (p *pom) agrees(group, artifact, base string) string {
	for _, one := range [3][3]string{{"groupId", p.Group, group}, {"artifactId", p.Artifact, artifact}, {"version", p.Version, base}} {
		if said := one[1]; said != one[2] && !strings.Contains(said, "${") {
			if b, ok := buildOf(said); ok && one[0] == "version" && b.base == base {
				continue // it names the build itself
			}
			return fmt.Sprintf("the POM says %s %q, and the path %q", one[0], said, one[2])
		}
	}
	return ""
}

// mainFile reports whether a file of a version is what its packaging makes. rest is its name behind artifact and version.
func mainFile(packaging, rest string) bool {
	switch packaging {
	case "pom":
		return rest == ".pom"
	case "jar", "maven-plugin", "ejb", "bundle", "eclipse-plugin", "test-jar", "maven-archetype", "hk2-jar", "takari-jar", "quarkus":
		return rest == ".jar"
	case "war", "ear", "rar", "aar", "zip", "klib", "hpi", "jpi", "nar", "apk", "swc", "swf":
		return rest == "."+packaging
	}
	return rest != ".pom" && rest != ".module" // what others make has names of their own
}
