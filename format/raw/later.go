package raw

import (
	"errors"
	"net/http"
)

var errChunkSum = errors.New("chunk")

const statusChecksum = 460
const typeAPK = "application/vnd.android.package-archive"

func isS3(*http.Request) bool                                                { return false }
func isLink(*http.Request) bool                                              { return false }
func (h handler) checkLink(*http.Request, Path) error                        { return nil }
func linkedVersion(*http.Request) string                                     { return "" }
func linkedMost(*http.Request) int64                                         { return 0 }
func (h handler) postLink(http.ResponseWriter, *http.Request) error          { return nil }
func (h handler) serveUploads(http.ResponseWriter, *http.Request) error      { return nil }
func (h handler) serveUpload(http.ResponseWriter, *http.Request, Path) error { return nil }
func (h handler) getZip(http.ResponseWriter, *http.Request, Path) error      { return nil }
func (h handler) getInstall(http.ResponseWriter, *http.Request, Path) error  { return nil }
func (h handler) getVagrant(http.ResponseWriter, *http.Request, Path) error  { return nil }
func (h handler) serveS3(http.ResponseWriter, *http.Request) error           { return nil }
func (h handler) failS3(http.ResponseWriter, *http.Request, error)           {}
