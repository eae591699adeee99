// Package all is the one list of formats. Adding an ecosystem adds its folder and a line here.
package all

import (
	"millpond/format"
	"millpond/format/cargo"
	"millpond/format/debian"
	"millpond/format/golang"
	"millpond/format/maven"
	"millpond/format/npm"
	"millpond/format/oci"
	"millpond/format/pear"
	"millpond/format/pypi"
	"millpond/format/raw"
	"millpond/format/rubygems"
)

// Formats returns every format of this build, in the order in which people see them.
func Formats() []format.Format {
	return []format.Format{
		pypi.Format{},
		npm.Format{},
		golang.Format{},
		oci.Format{},
		debian.Format{},
		raw.Format{},
		maven.Format{},
		pear.Format{},
		cargo.Format{},
		rubygems.Format{},
	}
}
