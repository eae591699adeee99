package millpond_test

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"strings"
	"time"

	"millpond/fetch/faulty"
)

// stockDebian lays packages of one file each into the suite stable, whose Release nobody has signed.
func stockDebian(up *faulty.Server, goods []good) (string, map[string]string, error) {
	var packages strings.Builder
	date := longAgo
	for _, g := range goods {
		body, control, err := debPackage(g)
		if err != nil {
			return "", nil, err
		}
		path := fmt.Sprintf("pool/main/%s/%s/%s_%s_all.deb", g.name[:1], g.name, g.name, g.version)
		up.Put("/debian/"+path, tagged(body, "application/vnd.debian.binary-package"))
		fmt.Fprintf(&packages, "%sFilename: %s\nSize: %d\nMD5sum: %x\nSHA256: %s\n\n", control, path, len(body), md5.Sum(body), hexSum(body))
		if g.published.After(date) {
			date = g.published
		}
	}
	index := []byte(packages.String())
	const dir = "/debian/dists/stable/"
	up.Put(dir+"main/binary-amd64/Packages", tagged(index, "text/plain"))
	up.Put(dir+"main/binary-amd64/by-hash/SHA256/"+hexSum(index), tagged(index, "text/plain"))
	release := fmt.Sprintf("Origin: Up\nSuite: stable\nCodename: stable\nDate: %s\nAcquire-By-Hash: yes\nArchitectures: amd64\nComponents: main\nSHA256:\n %s %d main/binary-amd64/Packages\n",
		date.Add(time.Duration(len(goods))*time.Second).UTC().Format(time.RFC1123), hexSum(index), len(index))
	up.Put(dir+"InRelease", tagged([]byte(release), "text/plain"))
	return "/debian/", nil, nil
}

// debPackage is a .deb that installs one file, and the fields of its control file.
func debPackage(g good) (body []byte, control string, err error) {
	control = fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: A Person <person@up.example>\n", g.name, g.version)
	if len(g.needs) > 0 {
		control += "Depends: " + strings.Join(g.needs, ", ") + "\n"
	}
	control += "Description: a package of the scripts\n"
	pad, err := padding(g.size)
	if err != nil {
		return nil, "", err
	}
	head, err := tarred("./control", control)
	if err != nil {
		return nil, "", err
	}
	data, err := tarred("./"+g.name+".txt", g.version+"\n"+pad)
	if err != nil {
		return nil, "", err
	}
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, member := range []struct {
		name string
		body []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", head}, {"data.tar.gz", data}} {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", member.name, longAgo.Unix(), 0, 0, "100644", len(member.body))
		b.Write(member.body)
		if len(member.body)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes(), control, nil
}
