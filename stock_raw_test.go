package millpond_test

import (
	"fmt"
	"net/http"

	"millpond"
	"millpond/fetch/faulty"
)

// stockRaw lays PACKAGE@VERSION as the file PACKAGE/VERSION.txt.
func stockRaw(up *faulty.Server, goods []good) (string, map[string]string, error) {
	for _, g := range goods {
		body := fmt.Appendf(nil, "%s %s\n", g.name, g.version)
		up.Put("/files/"+g.name+"/"+g.version+".txt", faulty.Object{Body: body, Type: "text/plain", Modified: g.published,
			ETag: fmt.Sprintf(`"%s"`, millpond.SHA256(body).Short()), Header: http.Header{"X-Checksum-Sha256": {millpond.SHA256(body).Hex()}}})
	}
	return "/files/", nil, nil
}
