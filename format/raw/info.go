package raw

import (
	"net/url"
	"time"

	"millpond/format"
)

// Format is files of any kind under any path.
type Format struct{}

var (
	_ format.Format   = Format{}
	_ format.Fronter  = Format{}
	_ format.Refuser  = Format{}
	_ format.Sniffer  = source{}
	_ format.Retainer = Format{}
)

// Info describes the format.
func (Format) Info() format.Info {
	return format.Info{
		Name:      "raw",
		Title:     "Files",
		PURL:      "generic",
		Moving:    true,
		Deletable: true,
		Bare:      true,
		Fresh:     time.Minute,
		Absent:    time.Minute,
		Options: []format.Option{
			{Name: "overwrite", Default: "allow", Help: `allow: a path may be put anew, and deleted; deny: never. By path: "allow releases/**=deny"`},
			{Name: "history", Default: "10", Help: `how many older contents of a path are kept. By path: "10 logs/**=0"`},
			{Name: "history_days", Help: `days for which older contents of a path are kept. By path: "30 logs/**=7"; nothing is as long as history says`},
			{Name: "keep_days", Help: `days after which what was not put anew is deleted. By path: "test/**=30"; nothing is for ever`},
			{Name: "keep_last", Help: `how many of the directories at a level are kept, those changed last: "builds/*=20"`},
			{Name: "secrets", Default: "refuse", Help: "refuse: private keys and the like are not taken; allow: they are"},
			{Name: "inline", Default: "false", Help: "true: a browser shows HTML, SVG, XML and PDF, without scripts, instead of saving them"},
			{Name: "immutable", Help: `patterns of paths that never change upstream: "releases/**"`},
			{Name: "list", Help: "s3: directories of an upstream are listed as a bucket's are, whose address its URL is; nothing: what is known here"},
			{Name: "prefix", Help: "what stands before all names in an upstream's bucket: releases/"},
			{Name: "sums", Help: `files in which an upstream keeps the digests of others: "releases/**=SHA256SUMS *.iso=.sha256", the second with the name of the file before it`},
			{Name: "allow", Help: `patterns of paths that upstreams are asked for: "*.tar.gz"; nothing is all`},
			{Name: "max_size", Help: "MiB that a file of an upstream may have; larger ones are refused"},
		},
		SetUp: setUp,
	}
}

func setUp(base *url.URL) []format.Snippet {
	at := base.String()
	root := *base
	root.Path = root.Path[:max(0, len(root.Path)-len(lastSegment(root.Path)))]
	bucket := lastSegment(base.Path)
	bucket = bucket[:max(0, len(bucket)-1)]
	return []format.Snippet{
		{Client: "curl", Text: "curl -O " + at + "dir/file.tar.gz", Note: "The address of a directory, with its slash, lists it."},
		{Client: "curl, upload", Text: "curl -T file.tar.gz -u TOKEN-NAME:TOKEN " + at + "dir/"},
		{Client: "aws", Text: "aws --endpoint-url " + root.String() + " s3 cp file.tar.gz s3://" + bucket + "/dir/",
			Note: "With an access key that millpond token add --s3 makes, and any region."},
		{Client: "rclone", Text: "rclone copy dir :s3,provider=Other,endpoint='" + root.String() + "',env_auth=true:" + bucket + "/dir"},
		{Client: "pip, a folder of wheels", Text: "pip install --no-index --find-links " + at + "wheels/ PACKAGE",
			Note: "A folder has no claims: whoever writes to it names packages."},
	}
}

// lastSegment is the last segment of a path that ends in a slash, with the slash.
func lastSegment(path string) string {
	if path == "" {
		return ""
	}
	for i := len(path) - 2; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}
