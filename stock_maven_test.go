package millpond_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"millpond/fetch/faulty"
)

// stockMaven lays packages as a Maven repository serves them: group:artifact@version, needs group:artifact:version. A package
// called …-parent has no jar. "tree:FOLDER" are the files of a folder that is laid out as a repository is, with sums.
func stockMaven(up *faulty.Server, goods []good) (string, map[string]string, error) {
	names, by := group(goods)
	for _, name := range names {
		g, artifact, _ := strings.Cut(name, ":")
		if g == "tree" {
			if err := layTree(up, artifact); err != nil {
				return "", nil, err
			}
			continue
		}
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
		last := slices.MaxFunc(by[name], func(a, b good) int { return a.published.Compare(b.published) }).published
		layMaven(up, dir+"maven-metadata.xml", by[name][0], fmt.Appendf(nil, "<metadata><groupId>%s</groupId><artifactId>%s</artifactId>"+
			"<versioning><versions>%s</versions><lastUpdated>%s</lastUpdated></versioning></metadata>\n", g, artifact, versions, last.UTC().Format("20060102150405")))
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

// mavenTree is where a distribution keeps the artifacts of its packages.
const mavenTree = "/usr/share/maven-repo"

// layTree lays the files below a folder, which are read when they are asked for.
func layTree(up *faulty.Server, folder string) error {
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			return nil // a link that leads nowhere, or to a folder
		}
		at := filepath.ToSlash(strings.TrimPrefix(path, folder))
		up.Put(at, faulty.Object{At: lateFile(path), Size: info.Size(), Type: "application/octet-stream", Modified: longAgo})
		up.Handle(at+".sha1", func(w http.ResponseWriter, _ *http.Request) {
			body, err := os.ReadFile(path)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprintf(w, "%x", sha1.Sum(body))
		})
		return nil
	})
}

// A lateFile is a file that is opened when it is read.
type lateFile string

func (f lateFile) ReadAt(b []byte, off int64) (int, error) {
	file, err := os.Open(string(f))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return file.ReadAt(b, off)
}
