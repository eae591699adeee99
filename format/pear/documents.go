package pear

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"millpond"
)

// category is where hosted packages are: a package.xml names none.
const category = "Default"

// recordOf is the first layer's record of a package.
func recordOf(parts []millpond.Part) record {
	var rec record
	for _, part := range parts {
		if len(part.Meta) > 0 && json.Unmarshal(part.Meta, &rec) == nil && rec.Name != "" {
			return rec
		}
	}
	return rec
}

// releaseOf is a version's record. What cannot be read says nothing.
func releaseOf(v *millpond.Version) release {
	var rel release
	if json.Unmarshal(v.Meta, &rel) != nil || rel.Stability == "" {
		rel.Stability = "stable"
		if v.Prerelease {
			rel.Stability = "beta"
		}
	}
	return rel
}

// writeReleases writes allreleases.xml, newest first, or allreleases2.xml, which knows the oldest PHP that will do. A release
// that was withdrawn is in neither.
func writeReleases(out io.Writer, p *millpond.Package, second bool) error {
	channel, name, _ := strings.Cut(p.Name, "/")
	if rec := recordOf(p.Parts); rec.Name != "" {
		name = rec.Name
	}
	b := bufio.NewWriter(out)
	fmt.Fprintf(b, "%s<a>\n <p>%s</p>\n <c>%s</c>\n", xmlHead, esc(name), esc(channel))
	for i := range p.Versions {
		v := &p.Versions[i]
		if v.Yanked {
			continue
		}
		rel := releaseOf(v)
		fmt.Fprintf(b, " <r><v>%s</v><s>%s</s>", esc(v.Name), esc(rel.Stability))
		if second && rel.MinPHP != "" {
			fmt.Fprintf(b, "<m>%s</m>", esc(rel.MinPHP))
		}
		for _, f := range rel.Fits {
			fmt.Fprintf(b, "<co><c>%s</c><p>%s</p><min>%s</min><max>%s</max>", esc(f.Channel), esc(f.Package), esc(f.Min), esc(f.Max))
			for _, x := range f.Exclude {
				fmt.Fprintf(b, "<x>%s</x>", esc(x))
			}
			b.WriteString("</co>")
		}
		b.WriteString("</r>\n")
	}
	b.WriteString("</a>\n")
	return b.Flush()
}

// newest is the version that a stability means now.
func newest(p *millpond.Package, stability string) (string, error) {
	for i := range p.Versions {
		v := &p.Versions[i]
		if !v.Yanked && (stability == "latest" || releaseOf(v).Stability == stability) {
			return v.Name, nil
		}
	}
	return "", &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: p.Name}, Why: fmt.Sprintf("%s has no release that is %s", p.Name, stability)}
}

const xlink = ` xmlns:xlink="http://www.w3.org/1999/xlink"`

// packageDoc is info.xml, maintainers.xml or maintainers2.xml of a hosted package.
func packageDoc(p Path, rec record) []byte {
	var b bytes.Buffer
	lower := strings.ToLower(rec.Name)
	b.WriteString(xmlHead)
	if p.File == "info.xml" {
		fmt.Fprintf(&b, "<p%s>\n", xlink)
		writeInfo(&b, p.Channel, lower, rec)
		b.WriteString("</p>\n")
		return b.Bytes()
	}
	fmt.Fprintf(&b, "<m>\n <p>%s</p>\n <c>%s</c>\n", esc(rec.Name), esc(p.Channel))
	for _, one := range rec.People {
		fmt.Fprintf(&b, " <m><h>%s</h><a>1</a>", esc(one.Handle))
		if p.File == "maintainers2.xml" {
			fmt.Fprintf(&b, "<r>%s</r>", esc(one.Role))
		}
		b.WriteString("</m>\n")
	}
	b.WriteString("</m>\n")
	return b.Bytes()
}

func writeInfo(b *bytes.Buffer, channel, lower string, rec record) {
	fmt.Fprintf(b, " <n>%s</n>\n <c>%s</c>\n <ca xlink:href=\"/rest/c/%s\">%s</ca>\n <l>%s</l>\n <s>%s</s>\n <d>%s</d>\n <r xlink:href=\"/rest/r/%s\"/>\n",
		esc(rec.Name), esc(channel), category, category, esc(rec.Licence), esc(rec.Summary), esc(rec.Description), esc(lower))
}

// hostedDoc is a document of a hosted channel.
func (h handler) hostedDoc(r *http.Request, p Path) ([]byte, error) {
	if p.Kind == Channel {
		return readdress(h.channelXML(p.Channel), "<baseurl", p.Channel, h.reached(r, p.Channel)), nil
	}
	var packages []record
	for one, err := range h.repo.Records(r.Context(), p.Channel+"/") {
		if err != nil {
			return nil, err
		}
		var rec record
		if json.Unmarshal(one.Meta, &rec) == nil && rec.Hosted {
			packages = append(packages, rec)
		}
	}
	slices.SortFunc(packages, func(a, b record) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	var b bytes.Buffer
	b.WriteString(xmlHead)
	none := &millpond.Error{Kind: millpond.NotFound, Why: p.Channel + " has no " + p.File}
	switch p.File {
	case "p/packages.xml":
		fmt.Fprintf(&b, "<a>\n <c>%s</c>\n", esc(p.Channel))
		for _, rec := range packages {
			fmt.Fprintf(&b, " <p>%s</p>\n", esc(rec.Name))
		}
		b.WriteString("</a>\n")
	case "c/categories.xml":
		fmt.Fprintf(&b, "<a%s>\n <ch>%s</ch>\n <c xlink:href=\"/rest/c/%s/info.xml\">%s</c>\n</a>\n", xlink, esc(p.Channel), category, category)
	case "c/" + category + "/info.xml":
		fmt.Fprintf(&b, "<c>\n <n>%s</n>\n <c>%s</c>\n <a>%s</a>\n <d>%s</d>\n</c>\n", category, esc(p.Channel), category, "All packages.")
	case "c/" + category + "/packages.xml":
		fmt.Fprintf(&b, "<l%s>\n", xlink)
		for _, rec := range packages {
			fmt.Fprintf(&b, " <p xlink:href=\"/rest/p/%s\">%s</p>\n", esc(strings.ToLower(rec.Name)), esc(rec.Name))
		}
		b.WriteString("</l>\n")
	case "c/" + category + "/packagesinfo.xml":
		return h.packagesInfo(r, p, packages)
	case "m/allmaintainers.xml":
		fmt.Fprintf(&b, "<m%s>\n", xlink)
		for _, one := range people(packages) {
			fmt.Fprintf(&b, " <h xlink:href=\"/rest/m/%s\">%s</h>\n", esc(one.Handle), esc(one.Handle))
		}
		b.WriteString("</m>\n")
	default:
		handle := strings.TrimSuffix(strings.TrimPrefix(p.File, "m/"), "/info.xml")
		all := people(packages)
		i := slices.IndexFunc(all, func(one person) bool { return one.Handle == handle })
		if i < 0 {
			return nil, none
		}
		fmt.Fprintf(&b, "<m>\n <h>%s</h>\n <n>%s</n>\n</m>\n", esc(all[i].Handle), esc(all[i].Name))
	}
	return b.Bytes(), nil
}

// people are those whom packages name, each once.
func people(packages []record) []person {
	var all []person
	for _, rec := range packages {
		all = append(all, rec.People...)
	}
	slices.SortStableFunc(all, func(a, b person) int { return strings.Compare(a.Handle, b.Handle) })
	return slices.CompactFunc(all, func(a, b person) bool { return a.Handle == b.Handle })
}

// channelXML says what a hosted channel is and where its documents are.
func (h handler) channelXML(channel string) []byte {
	alias := h.repo.Option("alias")
	if alias == "" {
		for label := range strings.SplitSeq(channel, ".") {
			if alias = label; label != "pear" {
				break
			}
		}
	}
	summary := h.repo.Option("summary")
	if summary == "" {
		summary = "Packages of " + channel
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s<channel version=\"1.0\">\n <name>%s</name>\n <suggestedalias>%s</suggestedalias>\n <summary>%s</summary>\n <servers>\n  <primary>\n   <rest>\n",
		xmlHead, esc(channel), esc(alias), esc(summary))
	for _, level := range []string{"REST1.0", "REST1.1", "REST1.3"} {
		fmt.Fprintf(&b, "    <baseurl type=\"%s\">http://%s/rest/</baseurl>\n", level, esc(channel))
	}
	b.WriteString("   </rest>\n  </primary>\n </servers>\n</channel>\n")
	return b.Bytes()
}

// packagesInfo tells of every package and its releases, as the reader may see them.
func (h handler) packagesInfo(r *http.Request, p Path, packages []record) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s<f%s>\n", xmlHead, xlink)
	for _, rec := range packages {
		lower := strings.ToLower(rec.Name)
		v, err := h.repo.Package(r.Context(), p.Channel+"/"+lower)
		switch {
		case millpond.Is(err, millpond.NotFound), millpond.Is(err, millpond.Gone), millpond.Is(err, millpond.Blocked):
			continue
		case err != nil:
			return nil, err
		}
		b.WriteString("<pi>\n<p>\n")
		writeInfo(&b, p.Channel, lower, rec)
		b.WriteString("</p>\n<a>\n")
		var deps bytes.Buffer
		for i := range v.Versions {
			if one := &v.Versions[i]; !one.Yanked {
				rel := releaseOf(one)
				fmt.Fprintf(&b, " <r><v>%s</v><s>%s</s></r>\n", esc(one.Name), esc(rel.Stability))
				if rel.Needs != nil {
					fmt.Fprintf(&deps, "<deps><v>%s</v><d>%s</d></deps>\n", esc(one.Name), esc(rel.Needs.Serial))
				}
			}
		}
		b.WriteString("</a>\n")
		b.Write(deps.Bytes())
		b.WriteString("</pi>\n")
	}
	b.WriteString("</f>\n")
	return b.Bytes(), nil
}
