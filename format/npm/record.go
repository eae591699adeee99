package npm

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"millpond"
)

// A cut is a byte range of a kept document: [from, to).
type cut struct{ from, to int64 }

func (c cut) empty() bool { return c.to <= c.from }

// A packumentMeta is what the record of a package says of its kept document: where its parts lie.
type packumentMeta struct {
	root     cut // the object, without what may stand around it
	versions cut // the value of "versions"; empty if there is none
	last     int64
	time     cut
	tags     cut
	policy   cut   // the value of "policyRestrictions"
	drop     []cut // members of the root, with their commas, that a later one of the same name overrides
	modified string
	holder   bool // only 0.0.1-security is left: the registry took the package down
}

// The record is a JSON array of numbers, then the words: compact, and quick to read.
func (m *packumentMeta) encode() json.RawMessage {
	b := []byte{'['}
	for _, n := range []int64{
		m.root.from, m.root.to, m.versions.from, m.versions.to, m.last, m.time.from, m.time.to, m.tags.from, m.tags.to,
		m.policy.from, m.policy.to,
	} {
		b = append(strconv.AppendInt(b, n, 10), ',')
	}
	b = strconv.AppendBool(b, m.holder)
	b = append(b, ',')
	b = strconv.AppendQuoteToASCII(b, m.modified) // digits and marks: see readTime
	for _, c := range m.drop {
		b = strconv.AppendInt(append(b, ','), c.from, 10)
		b = strconv.AppendInt(append(b, ','), c.to, 10)
	}
	return append(b, ']')
}

// decodePackumentMeta reads what encode wrote; false if it is not that.
func decodePackumentMeta(raw json.RawMessage) (m packumentMeta, ok bool) {
	var all []any
	if json.Unmarshal(raw, &all) != nil || len(all) < 13 || len(all)%2 == 0 {
		return m, false
	}
	to := []*int64{
		&m.root.from, &m.root.to, &m.versions.from, &m.versions.to, &m.last, &m.time.from, &m.time.to, &m.tags.from,
		&m.tags.to, &m.policy.from, &m.policy.to,
	}
	for i, p := range to {
		n, ok := all[i].(float64)
		if !ok {
			return m, false
		}
		*p = int64(n)
	}
	m.holder, _ = all[11].(bool)
	m.modified, _ = all[12].(string)
	for i := 13; i < len(all); i += 2 {
		from, _ := all[i].(float64)
		to, _ := all[i+1].(float64)
		m.drop = append(m.drop, cut{int64(from), int64(to)})
	}
	return m, true
}

// A member is where one version lies in the kept document.
type member struct {
	lead         int64 // bytes between the member before and this one's key: a comma and spaces
	key          int64 // where the key begins
	value        cut
	tarball      cut    // the string dist.tarball, with its quotes; empty if there is none
	attestations cut    // the string dist.attestations.url
	check        uint32 // of the strongest digest that the member declares: see checkOf
}

// checkOf is enough of a digest to see that a record has another one than the document: the pond keeps a version's first
// digests where its upstream gives it others after its bytes were held. It is 0 if there is none.
func checkOf(ds []millpond.Digest) uint32 {
	if len(ds) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(ds[0].Hex()[:8], 16, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// encode writes distances, so that the numbers are short.
func (m *member) encode() json.RawMessage {
	b := make([]byte, 0, 48)
	b = append(b, '[')
	numbers := [9]int64{m.lead, m.key, m.value.from - m.key, m.value.to - m.value.from, int64(m.check)}
	n := 5
	if !m.tarball.empty() {
		numbers[5], numbers[6] = m.tarball.from-m.value.from, m.tarball.to-m.tarball.from
		n = 7
	}
	if !m.attestations.empty() {
		numbers[7], numbers[8] = m.attestations.from-m.value.from, m.attestations.to-m.attestations.from
		n = 9
	}
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, numbers[i], 10)
	}
	return append(b, ']')
}

// decodeMember reads what encode wrote; false if it is not that.
func decodeMember(raw json.RawMessage) (m member, ok bool) {
	if len(raw) < 2 || raw[0] != '[' {
		return m, false
	}
	var numbers [9]int64
	n, digits := 0, 0
	for _, c := range raw[1:] {
		switch {
		case '0' <= c && c <= '9' && n < len(numbers) && digits < 16:
			numbers[n] = numbers[n]*10 + int64(c-'0')
			digits++
		case (c == ',' || c == ']') && digits > 0:
			n, digits = n+1, 0
		default:
			return m, false
		}
	}
	if n < 5 || numbers[4] > math.MaxUint32 {
		return m, false
	}
	m.lead, m.key = numbers[0], numbers[1]
	m.value.from = m.key + numbers[2]
	m.value.to = m.value.from + numbers[3]
	m.check = uint32(numbers[4])
	if numbers[6] > 0 {
		m.tarball.from = m.value.from + numbers[5]
		m.tarball.to = m.tarball.from + numbers[6]
	}
	if numbers[8] > 0 {
		m.attestations.from = m.value.from + numbers[7]
		m.attestations.to = m.attestations.from + numbers[8]
	}
	return m, true
}

// onlySecurityHolder reports whether the registry's placeholder is all that is left.
func onlySecurityHolder(versions []millpond.Version) bool {
	for i := range versions {
		if !strings.HasPrefix(versions[i].Name, "0.0.1-security") {
			return false
		}
	}
	return len(versions) > 0
}
