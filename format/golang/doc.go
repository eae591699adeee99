// Package golang teaches millpond Go modules: the GOPROXY protocol and the checksum database behind it.
//
// A module version is three files, .info, .mod and .zip, named by the request alone, so nothing lists them: Source.File
// makes the address of a file from its name, and each of the three has a download of its own. `@v/list` names tagged
// versions barely (Partial); the .info of one says when it was made. `@latest` and every query that is not a canonical
// version (a branch, a hash) are refs.
//
// What is odd about it:
//
//   - Upper-case letters travel as "!a". Case never folds: git.example/A and git.example/a are two modules.
//   - The go command asks the next proxy of its list after 404 and 410 only. So nothing but a real absence is ever
//     answered 404, above all not what a rule forbids: the next entry may be "direct", and names would leak. And whatever
//     does not parse is 404, since 400 ends the walk as 403 does, and a newer client may know a spelling that we do not.
//   - Bytes are judged by h1, a hash of a zip's tree, which a checksum database tells: a log of hashes that nobody can
//     rewrite unnoticed. Its files are kept here as those of a package "sumdb/<name>", and are relayed to clients.
//   - The go command publishes nothing. A module is hosted by putting its zip to upload, which says by the names of its
//     entries what it is; its .mod and .info are made of it. A version never changes: it is the same if its h1 is.
//   - The .mod of a version that the rules keep back is served all the same: `go mod tidy` reads the go.mod of versions
//     that it then does not use.
//   - Private modules have no mirror. An upstream with the option vcs is a git server, and its files are made by the go
//     command, which alone knows how versions are read out of tags: gitsource.go says what to make, vcs.go confines it.
//
// The specifications are `go help goproxy` with https://go.dev/ref/mod, and the packages of golang.org/x/mod.
package golang
