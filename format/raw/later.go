package raw

import (
	"errors"
	"net/http"
)

var errChunkSum = errors.New("chunk")

const statusChecksum = 460
const typeAPK = "application/vnd.android.package-archive"

func (h handler) serveUploads(http.ResponseWriter, *http.Request) error      { return nil }
func (h handler) serveUpload(http.ResponseWriter, *http.Request, Path) error { return nil }
func (h handler) getZip(http.ResponseWriter, *http.Request, Path) error      { return nil }
func (h handler) getInstall(http.ResponseWriter, *http.Request, Path) error  { return nil }
func (h handler) getVagrant(http.ResponseWriter, *http.Request, Path) error  { return nil }
