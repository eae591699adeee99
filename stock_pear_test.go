package millpond_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strings"

	"millpond/fetch/faulty"
)

// stockPEAR lays packages as a channel serves them. A package is called CHANNEL/Name; what it needs is Name@VERSION of the same
// channel, VERSION being the oldest that will do. A version with a letter b is a beta.
func stockPEAR(up *faulty.Server, goods []good) (string, map[string]string, error) {
	names, by := group(goods)
	channel, all := "", ""
	put := func(path, kind, body string) {
		o := tagged([]byte(body), kind)
		o.Modified = longAgo
		up.Put(path, o)
	}
	for _, full := range names {
		var name string
		channel, name, _ = strings.Cut(full, "/")
		lower := strings.ToLower(name)
		list, list2 := "", ""
		for i := len(by[full]) - 1; i >= 0; i-- {
			g := by[full][i]
			file, body, err := pearArchive(g)
			if err != nil {
				return "", nil, err
			}
			list += fmt.Sprintf("<r><v>%s</v><s>%s</s></r>\n", g.version, stabilityOf(g))
			list2 += fmt.Sprintf("<r><v>%s</v><s>%s</s><m>5.2.0</m></r>\n", g.version, stabilityOf(g))
			at := "/rest/r/" + lower + "/"
			put(at+g.version+".xml", "text/xml", fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8" ?>
<r xmlns:xlink="http://www.w3.org/1999/xlink"><p xlink:href="/rest/p/%[1]s">%[2]s</p><c>%[3]s</c><v>%[4]s</v><st>%[5]s</st><l>MIT</l><m>ada</m>
<s>Says hello</s><d>It says hello.</d><da>%[6]s</da><n>none</n><f>%[7]d</f><g>https://%[3]s/get/%[2]s-%[4]s</g><x xlink:href="package.%[4]s.xml"/></r>
`, lower, name, channel, g.version, stabilityOf(g), g.published.Format("2006-01-02 15:04:05"), len(body)))
			put(at+"deps."+g.version+".txt", "text/plain", pearDeps(g))
			xml, _ := pearXML(g)
			put(at+"package."+g.version+".xml", "text/xml", xml)
			up.Put("/get/"+file, tagged(body, "application/octet-stream"))
		}
		const head = `<?xml version="1.0" encoding="UTF-8" ?>` + "\n<a><p>%s</p><c>%s</c>\n%s</a>\n"
		put("/rest/r/"+lower+"/allreleases.xml", "text/xml", fmt.Sprintf(head, name, channel, list))
		put("/rest/r/"+lower+"/allreleases2.xml", "text/xml", fmt.Sprintf(head, name, channel, list2))
		put("/rest/p/"+lower+"/info.xml", "text/xml", fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8" ?>
<p xmlns:xlink="http://www.w3.org/1999/xlink"><n>%s</n><c>%s</c><ca xlink:href="/rest/c/Tools">Tools</ca><l>MIT</l><s>Says hello</s><d>It says hello.</d><r xlink:href="/rest/r/%s"/></p>
`, name, channel, lower))
		all += "<p>" + name + "</p>"
	}
	put("/rest/p/packages.xml", "text/xml", `<?xml version="1.0" encoding="UTF-8" ?>`+"\n<a><c>"+channel+"</c>"+all+"</a>\n")
	// Over https, as channels are today: only one who stands between can read it over http.
	rest := fmt.Sprintf("https://%s/rest/", channel)
	put("/channel.xml", "text/xml", fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8" ?>
<channel version="1.0"><name>%s</name><suggestedalias>up</suggestedalias><summary>The upstream</summary><servers><primary><rest>
<baseurl type="REST1.0">%[2]s</baseurl><baseurl type="REST1.1">%[2]s</baseurl><baseurl type="REST1.3">%[2]s</baseurl>
</rest></primary></servers></channel>
`, channel, rest))
	return "/", map[string]string{"UP_CHANNEL": channel}, nil
}

func stabilityOf(g good) string {
	if strings.Contains(g.version, "b") {
		return "beta"
	}
	return "stable"
}

// pearXML is a package.xml, and the one file that it lists.
func pearXML(g good) (xml, body string) {
	channel, name, _ := strings.Cut(g.name, "/")
	body = fmt.Sprintf("<?php\nfunction %s_version() { return '%s'; }\n", strings.ToLower(name), g.version)
	needs := ""
	for _, need := range g.needs {
		n, v, _ := strings.Cut(need, "@")
		needs += fmt.Sprintf("<package><name>%s</name><channel>%s</channel><min>%s</min></package>", n, channel, v)
	}
	sum := md5.Sum([]byte(body))
	date := g.published.Format("2006-01-02")
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<package packagerversion="1.10.13" version="2.0">
 <name>%[1]s</name><channel>%[2]s</channel>
 <summary>Says hello</summary><description>It says hello.</description>
 <lead><name>Ada</name><user>ada</user><email>ada@acme.example</email><active>yes</active></lead>
 <date>%[3]s</date>
 <version><release>%[4]s</release><api>1.0.0</api></version>
 <stability><release>%[5]s</release><api>stable</api></stability>
 <license>MIT</license><notes>none</notes>
 <contents><dir name="/"><file name="%[1]s.php" role="php" md5sum="%[6]s"/></dir></contents>
 <dependencies><required><php><min>5.2.0</min></php><pearinstaller><min>1.4.0</min></pearinstaller>%[7]s</required></dependencies>
 <phprelease/>
</package>
`, name, channel, date, g.version, stabilityOf(g), hex.EncodeToString(sum[:]), needs), body
}

func pearArchive(g good) (name string, body []byte, err error) {
	xml, php := pearXML(g)
	_, base, _ := strings.Cut(g.name, "/")
	at := base + "-" + g.version
	body, err = tarred("package.xml", xml, at+"/"+base+".php", php)
	return at + ".tgz", body, err
}

// pearDeps are the same needs as PHP serialises them.
func pearDeps(g good) string {
	channel, _, _ := strings.Cut(g.name, "/")
	s := func(text string) string { return fmt.Sprintf(`s:%d:"%s";`, len(text), text) }
	least := func(v string) string { return "a:1:{" + s("min") + s(v) + "}" }
	fields, needs := 2, ""
	if n := len(g.needs); n > 0 {
		fields = 3
		needs = s("package") + fmt.Sprintf("a:%d:{", n)
		for i, need := range g.needs {
			name, v, _ := strings.Cut(need, "@")
			needs += fmt.Sprintf("i:%d;a:3:{%s%s%s%s%s%s}", i, s("name"), s(name), s("channel"), s(channel), s("min"), s(v))
		}
		needs += "}"
	}
	return fmt.Sprintf("a:1:{%sa:%d:{%s%s%s%s%s}}", s("required"), fields, s("php"), least("5.2.0"), s("pearinstaller"), least("1.4.0"), needs)
}
