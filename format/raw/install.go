package raw

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"rsc.io/qr"

	"millpond"
	"millpond/format"
)

// deviceLink is how long a device has to install what a page shows.
const deviceLink = time.Hour

// getInstall answers with the page that installs an app, or with what a device needs of it.
func (h handler) getInstall(w http.ResponseWriter, r *http.Request, p Path) error {
	if p.Member == base(p.Name) {
		c, err := h.find(r.Context(), p.Name, linkedVersion(r))
		if err != nil {
			return err
		}
		return h.serveContent(w, r, c, false)
	}
	a, err := h.readApp(r.Context(), p.Name, linkedVersion(r))
	if err != nil {
		return err
	}
	switch {
	case p.Member == iconName && (a.Icon == nil || a.IconType != "image/png"):
		return &millpond.Error{Kind: millpond.NotFound, Why: p.Name + " has no icon that can be shown"}
	case p.Member == iconName:
		return h.answer(w, r, a.IconType, a.Icon)
	case p.Member != "" && !isIOS(p.Name):
		return &millpond.Error{Kind: millpond.NotFound, Why: p.Name + " is no build for iOS: it has no manifest"}
	}
	at, err := h.device(w, r, p.Name, a)
	if err != nil {
		return err
	}
	if p.Member == manifestName {
		return h.answer(w, r, "application/xml", manifest(at, p.Name, a))
	}
	return h.installPage(w, r, p, a, at)
}

// device is where a device finds what it needs of an app. Devices send no credentials: where not everybody may read, it is a
// link of an hour, of what the app is now; who came by a link goes on by it.
func (h handler) device(w http.ResponseWriter, r *http.Request, name string, a *app) (func(member string) string, error) {
	at := h.repo.Base(r).String() + Path{Kind: Device, Name: name}.String()[1:]
	query := ""
	switch signer, ok := h.repo.(format.Linker); {
	case isLink(r):
		q := r.URL.Query()
		for field := range q {
			if !strings.HasPrefix(field, "mp-") {
				q.Del(field)
			}
		}
		query = "?" + q.Encode()
	case !h.repo.Public() && ok:
		l := format.Link{Method: http.MethodGet, Path: "/-/install/" + name + inside, Package: name, Prefix: true, Expires: h.repo.Now().Add(deviceLink).UTC().Truncate(time.Second)}
		if sum := hexOf(a.content.file.Digests, "sha256"); sum != "" {
			l.Version = "sha256:" + sum
		}
		q, err := signer.SignLink(r.Context(), l)
		if err != nil {
			return nil, err
		}
		query = "?" + q.Encode()
	}
	if query != "" {
		w.Header()["Cache-Control"] = private
		w.Header()["Referrer-Policy"] = noReferrer
	}
	return func(member string) string { return at + escape(member) + query }, nil
}

func (h handler) installPage(w http.ResponseWriter, r *http.Request, p Path, a *app, at func(string) string) error {
	to, note := at(base(p.Name)), ""
	if isIOS(p.Name) {
		to = "itms-services://?action=download-manifest&url=" + url.QueryEscape(at(manifestName))
		switch {
		case h.repo.Base(r).Scheme != "https":
			note = "iOS installs over https only, with a certificate that the device trusts: this pond is reached over plain http."
		case !a.Ends.IsZero() && a.Ends.Before(h.repo.Now()):
			note = "The profile of this build has ended: no device installs it."
		}
	}
	devices, ends := "", ""
	switch {
	case a.Devices == anyDevice:
		devices = "all of the team"
	case a.Devices > 0:
		devices = strconv.Itoa(a.Devices)
	}
	if !a.Ends.IsZero() {
		ends = a.Ends.UTC().Format("2 Jan 2006")
	}
	var b bytes.Buffer
	title := html.EscapeString(a.Title)
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>%s</title></head>\n<body>\n", title)
	if a.Icon != nil {
		fmt.Fprintf(&b, "<p><img width=\"96\" height=\"96\" alt=\"\" src=\"data:%s;base64,%s\"></p>\n", a.IconType, base64.StdEncoding.EncodeToString(a.Icon))
	} else {
		first, _ := utf8.DecodeRuneInString(a.Title)
		fmt.Fprintf(&b, "<p style=\"width:96px;line-height:96px;text-align:center;font-size:64px;background:#ddd\">%s</p>\n", html.EscapeString(strings.ToUpper(string(first))))
	}
	fmt.Fprintf(&b, "<h1>%s</h1>\n<dl>\n", title)
	c := a.content
	for _, row := range [][2]string{{"Version", a.Version}, {"Build", a.Build}, {"Identifier", a.ID}, {"Needs iOS", a.MinOS}, {"Needs Android API level", a.MinSDK},
		{"Signed by", a.Team}, {"Profile", a.Profile}, {"Profile ends", ends}, {"Devices", devices},
		{"Size", fmt.Sprintf("%d bytes", c.file.Size)}, {"SHA-256", hexOf(c.file.Digests, "sha256")}} {
		if row[1] != "" {
			fmt.Fprintf(&b, "<dt>%s</dt><dd>%s</dd>\n", row[0], html.EscapeString(row[1]))
		}
	}
	fmt.Fprintf(&b, "</dl>\n<p><a href=\"%s\">Install</a></p>\n", html.EscapeString(to))
	if note != "" {
		fmt.Fprintf(&b, "<p>%s</p>\n", html.EscapeString(note))
	}
	// What a device's camera reads here leads it to this page; a link that is too long for that is left out.
	if code, err := qr.Encode(at(""), qr.L); err == nil {
		var picture bytes.Buffer
		png.Encode(&picture, drawing(code)) // memory does not fail
		fmt.Fprintf(&b, "<p><img alt=\"QR code of this page\" src=\"data:image/png;base64,%s\"></p>\n", base64.StdEncoding.EncodeToString(picture.Bytes()))
	}
	b.WriteString("</body>\n</html>\n")
	// The page leads out of its sandbox: to the device's own installer.
	w.Header()["Content-Security-Policy"] = []string{"default-src 'none'; img-src data:; style-src 'unsafe-inline'"}
	return h.answer(w, r, "text/html; charset=utf-8", b.Bytes())
}

// drawing draws a code with the white border that cameras want.
func drawing(code *qr.Code) image.Image {
	const border, scale = 4, 4
	side := (code.Size + 2*border) * scale
	m := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for i := range m.Pix {
		if code.Black(i%side/scale-border, i/side/scale-border) {
			m.Pix[i] = 1
		}
	}
	return m
}

// manifest is what iOS reads before it installs an app.
func manifest(at func(string) string, name string, a *app) []byte {
	text := func(s string) string {
		var b bytes.Buffer
		xml.EscapeText(&b, []byte(s)) // memory does not fail
		return b.String()
	}
	var b bytes.Buffer
	b.WriteString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n")
	b.WriteString("<plist version=\"1.0\"><dict><key>items</key><array><dict>\n<key>assets</key><array>\n")
	kinds := [][2]string{{"software-package", base(name)}}
	if a.Icon != nil && a.IconType == "image/png" {
		kinds = append(kinds, [2]string{"display-image", iconName}, [2]string{"full-size-image", iconName})
	}
	for _, one := range kinds {
		fmt.Fprintf(&b, "<dict><key>kind</key><string>%s</string><key>url</key><string>%s</string></dict>\n", one[0], text(at(one[1])))
	}
	fmt.Fprintf(&b, `</array>
<key>metadata</key><dict><key>bundle-identifier</key><string>%s</string><key>bundle-version</key><string>%s</string>
<key>kind</key><string>software</string><key>title</key><string>%s</string></dict>
</dict></array></dict></plist>
`, text(a.ID), text(a.Version), text(a.Title))
	return b.Bytes()
}
