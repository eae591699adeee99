package raw

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"millpond"
)

const (
	typeAPK     = "application/vnd.android.package-archive"
	largestIcon = 1 << 20
	anyDevice   = -1
)

// An app is what a build says of itself.
type app struct {
	Title, ID, Version, Build string
	MinOS                     string // of iOS
	MinSDK                    string // of Android
	Profile, Team             string // who has signed an iOS build, and as what
	Ends                      time.Time
	Devices                   int    // those that may install it; anyDevice if all may; 0 if that is not known
	Icon                      []byte // nil if it has none that can be shown
	IconType                  string

	content *content
}

// isIOS reports whether a path is that of an iOS build.
func isIOS(name string) bool { return strings.EqualFold(path.Ext(name), ".ipa") }

// readApp reads what a build says of itself, its newest content's or that of the one that pick names.
func (h handler) readApp(ctx context.Context, name, pick string) (*app, error) {
	switch ext := strings.ToLower(path.Ext(name)); ext {
	case ".aab":
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "an app bundle is for the store: no device installs it", Hint: "build an .apk of it"}
	case ".ipa", ".apk":
		a, err := h.openArchive(ctx, name, pick)
		if err != nil {
			return nil, err
		}
		defer a.Close()
		z, err := readZip(a, a.Size)
		if err != nil {
			return nil, err
		}
		read := readAPK
		if ext == ".ipa" {
			read = readIPA
		}
		out, err := read(z, name)
		if err != nil {
			return nil, err
		}
		out.Title, out.Version = cmp.Or(out.Title, base(name)), cmp.Or(out.Version, out.Build)
		out.content = a.content
		return out, nil
	}
	return nil, &millpond.Error{Kind: millpond.NotFound, Why: "there is nothing to install at " + name, Hint: "an .ipa or an .apk has an install page"}
}

// readIPA reads what an iOS build says of itself: Payload/<name>.app/Info.plist, and the profile beside it.
func readIPA(z *zip.Reader, name string) (*app, error) {
	text, dir, err := readMember(z, name, "Payload/*.app/Info.plist")
	if err != nil {
		return nil, err
	}
	m, err := readPlist(text)
	if err != nil {
		return nil, errZip(name+": its Info.plist cannot be read", err)
	}
	out := &app{Title: cmp.Or(m.text("CFBundleDisplayName"), m.text("CFBundleName")), ID: m.text("CFBundleIdentifier"),
		Version: m.text("CFBundleShortVersionString"), Build: m.text("CFBundleVersion"), MinOS: m.text("MinimumOSVersion")}
	if out.ID == "" {
		return nil, errZip(name+": its Info.plist names no bundle", nil)
	}
	// What is not there, or cannot be read, is not told: the build installs all the same.
	if profile, _, err := readMember(z, name, dir+"embedded.mobileprovision"); err == nil {
		out.readProfile(profile)
	}
	icons := append(m.list("CFBundleIcons", "CFBundlePrimaryIcon", "CFBundleIconFiles"), m.list("CFBundleIcons~ipad", "CFBundlePrimaryIcon", "CFBundleIconFiles")...)
	icons = append(append(icons, m.list("CFBundleIconFiles")...), m["CFBundleIconFile"])
	out.readIcon(z, func(file string) int {
		rest, ok := strings.CutPrefix(file, dir)
		if !ok || strings.Contains(rest, "/") || path.Ext(rest) != ".png" {
			return 0
		}
		for _, one := range icons {
			if stem, ok := one.(string); ok && stem != "" && strings.HasPrefix(rest, strings.TrimSuffix(stem, ".png")) {
				return 1
			}
		}
		return 0
	})
	return out, nil
}

// readProfile reads who has signed a build, until when, and for which devices: a property list within a signed message.
func (a *app) readProfile(text []byte) {
	start, end := bytes.Index(text, []byte("<?xml")), bytes.LastIndex(text, []byte("</plist>"))
	if start < 0 || end < start {
		return
	}
	m, err := readPlist(text[start : end+len("</plist>")])
	if err != nil {
		return
	}
	a.Profile, a.Team = m.text("Name"), m.text("TeamName")
	a.Ends, _ = m["ExpirationDate"].(time.Time)
	a.Devices = len(m.list("ProvisionedDevices"))
	if all, _ := m["ProvisionsAllDevices"].(bool); all {
		a.Devices = anyDevice
	}
}

// readIcon takes the picture whose rank is highest, and of several the largest. A rank of 0 is none.
func (a *app) readIcon(z *zip.Reader, rank func(file string) int) {
	var icons []*zip.File
	for _, f := range z.File {
		if f.UncompressedSize64 <= largestIcon && rank(f.Name) > 0 && readable(f) == nil {
			icons = append(icons, f)
		}
	}
	slices.SortStableFunc(icons, func(x, y *zip.File) int {
		return cmp.Or(cmp.Compare(rank(y.Name), rank(x.Name)), cmp.Compare(y.UncompressedSize64, x.UncompressedSize64))
	})
	for _, f := range icons[:min(len(icons), 3)] {
		text, err := unpacked(f, largestIcon)
		if err != nil {
			continue
		}
		if text, a.IconType = picture(text); a.IconType != "" {
			a.Icon = text
			return
		}
	}
}

// picture is a picture that every browser shows, and its type; "" if it is none.
func picture(b []byte) ([]byte, string) {
	switch t := http.DetectContentType(b); {
	case t == "image/webp":
		return b, t
	case isApples(b):
		out, err := plainPNG(b)
		if err != nil {
			return nil, ""
		}
		return out, "image/png"
	case t == "image/png":
		return b, t
	}
	return nil, ""
}

// readMember reads the first member of an archive whose name a pattern covers, and tells of its directory; it is small.
func readMember(z *zip.Reader, name, pattern string) (text []byte, dir string, err error) {
	for _, f := range z.File {
		if ok, err := path.Match(pattern, f.Name); f.Name != pattern && (!ok || err != nil) {
			continue
		}
		if err := readable(f); err != nil {
			return nil, "", err
		}
		text, err := unpacked(f, largestPlist)
		return text, f.Name[:strings.LastIndexByte(f.Name, '/')+1], err
	}
	return nil, "", errZip(name+" is no app: it has no "+pattern, nil)
}

// unpacked is a member that is no larger than it may be.
func unpacked(f *zip.File, most int64) ([]byte, error) {
	if f.UncompressedSize64 > uint64(most) {
		return nil, errZip("its "+base(f.Name)+" is larger than it may be", nil)
	}
	in, err := f.Open()
	if err != nil {
		return nil, errZip("its "+base(f.Name)+" cannot be unpacked", err)
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return nil, errZip("its "+base(f.Name)+" cannot be unpacked", err)
	}
	return text, nil
}
