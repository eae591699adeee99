package millpond_test

import (
	"bytes"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"millpond/fetch/faulty"
)

// gemsmith builds gems with Ruby's own tools, quick specs and legacy indexes with Ruby's own Marshal, and lines of the compact
// index. It reads what to build as JSON, and works in the folder it runs in.
const gemsmith = `
require 'rubygems'
require 'rubygems/package'
require 'json'
require 'digest'
require 'fileutils'
require 'zlib'
goods = JSON.parse(STDIN.read)
FileUtils.mkdir_p %w[gems quick/Marshal.4.8 info]
infos = Hash.new { |h, k| h[k] = [] }
specs = []
goods.each do |g|
  number, platform = g['version'].split('-', 2)
  FileUtils.mkdir_p 'lib'
  File.write "lib/#{g['name']}.rb", "#{g['name'].tr('-', '_').upcase} = '#{g['version']}'\n# #{'x' * g['size']}\n"
  spec = Gem::Specification.new do |s|
    s.name, s.version, s.summary, s.authors = g['name'], number, 'made for a test', ['Alice']
    s.platform = platform if platform
    s.license = 'MIT'
    s.homepage = 'https://acme.example'
    s.files = ["lib/#{g['name']}.rb"]
    s.date = Time.at(g['published']).utc
    g['needs'].each { |n| s.add_runtime_dependency(*n.split('@', 2)) }
  end
  file = Gem::DefaultUserInteraction.use_ui(Gem::SilentUI.new) { Gem::Package.build spec, true }
  FileUtils.mv file, 'gems/'
  File.binwrite "quick/Marshal.4.8/#{spec.full_name}.gemspec.rz", Gem.deflate(Marshal.dump(spec))
  next if g['yanked']
  deps = spec.runtime_dependencies.sort_by(&:name).map { |d| "#{d.name}:#{d.requirement.as_list.sort.join('&')}" }.join(',')
  sum = Digest::SHA256.file("gems/#{file}").hexdigest
  infos[spec.name] << [g['version'], "#{g['version']} #{deps}|checksum:#{sum},created_at:#{Time.at(g['published']).utc.strftime('%Y-%m-%dT%H:%M:%SZ')}"]
  specs << [spec.name, spec.version, spec.original_platform]
end
versions = "created_at: 2026-01-01T00:00:00Z\n---\n"
infos.each do |name, lines|
  text = "---\n" + lines.map { |l| l[1] + "\n" }.join
  File.write "info/#{name}", text
  versions << "#{name} #{lines.map(&:first).join(',')} #{Digest::MD5.hexdigest(text)}\n"
end
File.write 'versions', versions
`

// stockRubygems lays gems that gem itself has built, with their compact index. What is laid again has the versions of the
// last time; other gems stay.
func stockRubygems(up *faulty.Server, goods []good) (string, map[string]string, error) {
	if _, err := exec.LookPath("ruby"); err != nil {
		return "/", nil, nil // its scripts are skipped
	}
	dir, err := os.MkdirTemp("", "gems")
	if err != nil {
		return "", nil, err
	}
	defer os.RemoveAll(dir)
	if err := smith(dir, goods); err != nil {
		return "", nil, err
	}
	next, err := os.ReadFile(filepath.Join(dir, "versions"))
	if err != nil {
		return "", nil, err
	}
	text := listedGems.add(up, string(next))
	if err := os.WriteFile(filepath.Join(dir, "versions"), []byte(text), 0o644); err != nil {
		return "", nil, err
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		at, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		o := faulty.Object{Body: body, Type: "application/octet-stream", ETag: fmt.Sprintf(`"%x"`, md5.Sum(body))}
		if at == "versions" || strings.HasPrefix(at, "info") {
			o.Type = "text/plain; charset=utf-8"
		}
		up.Put("/"+filepath.ToSlash(at), o)
		return nil
	})
	return "/", nil, err
}

// listedGems are the lines of versions of each upstream, by name.
var listedGems = gemLists{of: map[*faulty.Server]map[string]string{}}

type gemLists struct {
	mu sync.Mutex // guards of
	of map[*faulty.Server]map[string]string
}

// add brings lines in, each in place of what was there of its name, and returns the whole document.
func (l *gemLists) add(up *faulty.Server, lines string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[up] == nil {
		l.of[up] = map[string]string{}
	}
	for line := range strings.Lines(lines) {
		if name, _, ok := strings.Cut(line, " "); ok && name != "created_at:" {
			l.of[up][name] = line
		}
	}
	text := "created_at: 2026-01-01T00:00:00Z\n---\n"
	for _, name := range slices.Sorted(maps.Keys(l.of[up])) {
		text += l.of[up][name]
	}
	return text
}

// smith makes gems in a folder.
func smith(dir string, goods []good) error {
	type order struct {
		Name      string   `json:"name"`
		Version   string   `json:"version"`
		Needs     []string `json:"needs"`
		Published int64    `json:"published"`
		Yanked    bool     `json:"yanked"`
		Size      int64    `json:"size"`
	}
	orders := make([]order, len(goods))
	for i, g := range goods {
		orders[i] = order{g.name, g.version, append([]string{}, g.needs...), g.published.Unix(), g.yanked != "", g.size}
	}
	in, err := json.Marshal(orders)
	if err != nil {
		return err
	}
	cmd := exec.Command("ruby", "-e", gemsmith)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	cmd.Env = append(os.Environ(), "HOME="+dir, "SOURCE_DATE_EPOCH="+fmt.Sprint(longAgo.Unix()), "LANG=C.UTF-8")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build gems: %w\n%s", err, out)
	}
	return nil
}

// builtGem is a gem as gem builds it.
func builtGem(g good) (name string, body []byte, err error) {
	dir, err := os.MkdirTemp("", "gem")
	if err != nil {
		return "", nil, err
	}
	defer os.RemoveAll(dir)
	if err := smith(dir, []good{g}); err != nil {
		return "", nil, err
	}
	name = g.name + "-" + g.version + ".gem"
	body, err = os.ReadFile(filepath.Join(dir, "gems", name))
	return name, body, err
}
