package raw

import (
	"net/http"
	"strings"

	"millpond"
)

// tag is the strong entity tag of a content: its sha256, or what S3's clients compute themselves.
func (h handler) tag(c *content, body *millpond.Content) string {
	if h.s3 {
		if t := c.s3Tag(); t != "" {
			return t
		}
	}
	if sum := hexOf(c.file.Digests, "sha256"); sum != "" {
		return `"` + sum + `"`
	}
	if body != nil && body.Digest.Algorithm() == "sha256" && !body.Growing {
		return `"` + body.Digest.Hex() + `"`
	}
	return ""
}

// s3Tag is the MD5, or of an object that was put in parts the MD5 of theirs; "" if it is not known.
func (c *content) s3Tag() string {
	if c.record.Parts != "" {
		return `"` + c.record.Parts + `"`
	}
	if sum := hexOf(c.file.Digests, "md5"); sum != "" {
		return `"` + sum + `"`
	}
	return ""
}

// tags are all entity tags by which a client may know a content.
func (c *content) tags() []string {
	if c == nil {
		return nil
	}
	var out []string
	for _, algorithm := range [...]string{"sha256", "md5"} {
		if sum := hexOf(c.file.Digests, algorithm); sum != "" {
			out = append(out, `"`+sum+`"`)
		}
	}
	if c.record.Parts != "" {
		out = append(out, `"`+c.record.Parts+`"`)
	}
	return out
}

// anyTag reports whether a condition names one of the tags; "*" is any. S3's clients send tags without quotes too.
func anyTag(condition string, tags []string) bool {
	for one := range strings.SplitSeq(condition, ",") {
		one = strings.TrimSpace(one)
		if one == "*" && len(tags) > 0 {
			return true
		}
		one = `"` + strings.Trim(strings.TrimPrefix(one, "W/"), `"`) + `"`
		for _, t := range tags {
			if t == one {
				return true
			}
		}
	}
	return false
}

// A condition is what must be so for a write to happen.
type condition struct {
	match     string // If-Match
	noneMatch string // If-None-Match
}

func conditionOf(h http.Header) condition {
	return condition{strings.Join(h.Values("If-Match"), ","), strings.Join(h.Values("If-None-Match"), ",")}
}

// check is nil if the condition holds of the newest content; nil is none.
func (c condition) check(now *content) error {
	if c.match != "" && !anyTag(c.match, now.tags()) {
		if now == nil {
			return errPrecondition("there is no such file")
		}
		return errPrecondition("the file has other bytes now")
	}
	if c.noneMatch != "" && now != nil && anyTag(c.noneMatch, now.tags()) {
		return errPrecondition("the file is there already")
	}
	return nil
}

func errPrecondition(why string) error {
	return &millpond.Error{Kind: millpond.Precondition, Why: why, Hint: "look at it again before writing"}
}
