package raw

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"millpond"
)

const typeAPK = "application/vnd.android.package-archive"

// An app is what a build says of itself.
type app struct {
	Title, ID, Version, Build string
	MinOS                     string // of iOS
	MinSDK                    string // of Android
}

// readIPA reads what an iOS build says of itself: Payload/<name>.app/Info.plist.
func (h handler) readIPA(ctx context.Context, name string) (*app, error) {
	text, err := h.readMember(ctx, name, "Payload/*.app/Info.plist")
	if err != nil {
		return nil, err
	}
	m, err := readPlist(text)
	if err != nil {
		return nil, errZip(name+": its Info.plist cannot be read", err)
	}
	out := &app{Title: m["CFBundleDisplayName"], ID: m["CFBundleIdentifier"], Version: m["CFBundleShortVersionString"], Build: m["CFBundleVersion"], MinOS: m["MinimumOSVersion"]}
	if out.Title == "" {
		out.Title = m["CFBundleName"]
	}
	if out.Version == "" {
		out.Version = out.Build
	}
	if out.ID == "" {
		return nil, errZip(name+": its Info.plist names no bundle", nil)
	}
	return out, nil
}

// readMember reads the first member of an archive whose name a pattern covers; it is small.
func (h handler) readMember(ctx context.Context, name, pattern string) ([]byte, error) {
	a, err := h.openArchive(ctx, name)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	z, err := readZip(a, a.Size)
	if err != nil {
		return nil, err
	}
	for _, f := range z.File {
		if ok, err := path.Match(pattern, f.Name); !ok || err != nil {
			continue
		}
		if err := readable(f); err != nil {
			return nil, err
		}
		if f.UncompressedSize64 > largestPlist {
			return nil, errZip("its "+base(f.Name)+" is larger than 4 MiB", nil)
		}
		in, err := f.Open()
		if err != nil {
			return nil, errZip("its "+base(f.Name)+" cannot be unpacked", err)
		}
		defer in.Close()
		text, err := io.ReadAll(io.LimitReader(in, largestPlist))
		if err != nil {
			return nil, errZip("its "+base(f.Name)+" cannot be unpacked", err)
		}
		return text, nil
	}
	return nil, errZip(name+" is no app: it has no "+pattern, nil)
}

// getInstall answers with the page that installs an app, or with what iOS reads of it.
func (h handler) getInstall(w http.ResponseWriter, r *http.Request, p Path) error {
	switch ext := strings.ToLower(path.Ext(p.Name)); {
	case ext == ".ipa":
		a, err := h.readIPA(r.Context(), p.Name)
		if err != nil {
			return err
		}
		if p.Kind == Plist {
			return h.getPlist(w, r, p, a)
		}
		if p.Kind == Install {
			return h.installPage(w, r, p, a)
		}
	case ext == ".apk" && p.Kind == Install:
		a, err := h.readAPK(r.Context(), p.Name)
		if err != nil {
			return err
		}
		return h.installPage(w, r, p, a)
	case ext == ".aab":
		return &millpond.Error{Kind: millpond.Invalid, Why: "an app bundle is for the store: no device installs it", Hint: "build an .apk of it"}
	}
	return &millpond.Error{Kind: millpond.NotFound, Why: "there is nothing to install at " + p.Name, Hint: "an .ipa or an .apk has an install page"}
}

// address is that of a file for a device, which sends no credentials: a link of an hour, where not everybody may read.
func (h handler) address(r *http.Request, own, name string) (string, error) {
	if h.repo.Public() {
		return h.repo.Base(r).String() + own + escape(name), nil
	}
	if own != "" {
		return "", &millpond.Error{Kind: millpond.Unsupported, Why: "devices send no credentials, and " + h.repo.Name() + " is not read by everybody",
			Hint: "put builds that are to be installed into a repository with read: [anonymous]"}
	}
	u, _, err := h.link(r, linkWish{Path: name})
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

func (h handler) installPage(w http.ResponseWriter, r *http.Request, p Path, a *app) error {
	c, err := h.find(r.Context(), p.Name, "")
	if err != nil {
		return err
	}
	file, err := h.address(r, "", p.Name)
	if err != nil {
		return err
	}
	to, note := file, ""
	if strings.ToLower(path.Ext(p.Name)) == ".ipa" {
		manifest, err := h.address(r, "-/install/", p.Name)
		if err != nil {
			return err
		}
		to = "itms-services://?action=download-manifest&url=" + url.QueryEscape(manifest+inside+"manifest.plist")
		if h.repo.Base(r).Scheme != "https" {
			note = "iOS installs over https only, with a certificate that the device trusts: this pond is reached over plain http."
		}
	}
	var b bytes.Buffer
	title := html.EscapeString(a.Title)
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>%s</title></head>\n<body>\n<h1>%s</h1>\n<dl>\n", title, title)
	for _, row := range [][2]string{{"Version", a.Version}, {"Build", a.Build}, {"Identifier", a.ID}, {"Needs iOS", a.MinOS}, {"Needs Android API level", a.MinSDK},
		{"Size", fmt.Sprintf("%d bytes", c.file.Size)}, {"SHA-256", hexOf(c.file.Digests, "sha256")}} {
		if row[1] != "" {
			fmt.Fprintf(&b, "<dt>%s</dt><dd>%s</dd>\n", row[0], html.EscapeString(row[1]))
		}
	}
	fmt.Fprintf(&b, "</dl>\n<p><a href=\"%s\">Install</a></p>\n", html.EscapeString(to))
	if note != "" {
		fmt.Fprintf(&b, "<p>%s</p>\n", html.EscapeString(note))
	}
	b.WriteString("</body>\n</html>\n")
	// The page leads out of its sandbox: to the device's own installer.
	w.Header()["Content-Security-Policy"] = []string{"default-src 'none'"}
	return h.answer(w, r, "text/html; charset=utf-8", b.Bytes())
}

// getPlist answers with what iOS reads before it installs an app.
func (h handler) getPlist(w http.ResponseWriter, r *http.Request, p Path, a *app) error {
	file, err := h.address(r, "", p.Name)
	if err != nil {
		return err
	}
	text := func(s string) string {
		var b bytes.Buffer
		xml.EscapeText(&b, []byte(s)) // memory does not fail
		return b.String()
	}
	var b bytes.Buffer
	b.WriteString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n")
	fmt.Fprintf(&b, `<plist version="1.0"><dict><key>items</key><array><dict>
<key>assets</key><array><dict><key>kind</key><string>software-package</string><key>url</key><string>%s</string></dict></array>
<key>metadata</key><dict><key>bundle-identifier</key><string>%s</string><key>bundle-version</key><string>%s</string>
<key>kind</key><string>software</string><key>title</key><string>%s</string></dict>
</dict></array></dict></plist>
`, text(file), text(a.ID), text(a.Version), text(a.Title))
	return h.answer(w, r, "application/xml", b.Bytes())
}
