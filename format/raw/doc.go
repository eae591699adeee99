// Package raw teaches millpond files of any kind under any path: what teams keep in buckets, and the read-through of any
// file tree or bucket.
//
// A path is a package. What was put there, one content after another, are its versions: 1, 2, 3 …, each with one file, named
// by the path's last segment. A reader of the path gets the newest. So putting a file anew is a new version, the old one is
// history for nothing, and a directory is no record at all: it is the paths that begin with it, which the catalog walks in
// byte order from any of them on. Opening one file of a directory of 100,000 costs what opening the only one does.
//
// Of an upstream a path has one version, named by what a HEAD says of it: date, entity tag and length. When that changes the
// path has moved to another version (Info.Moving), and the old bytes go when there is no room.
//
// What is odd about it:
//
//   - A name may be a file and a directory at once (a and a/b), as in S3.
//   - Three fronts write the same records: plain HTTP, resumable uploads (tus 1.0.0), and the part of S3 that its tools use.
//     A request is S3's if it is signed as S3's are, or has one of its headers or query parameters.
//   - S3 clients compare entity tags with the MD5 that they compute, so S3's answers have those; plain ones have the sha256.
//     Conditions take either.
//   - The first segment "-" is the pond's own: links, uploads, zip members, install pages, catalogs of boxes.
//   - Private keys are refused: this is no place for secrets.
//
// The specifications are RFC 9110, 9111 and 9530, tus 1.0.0, and AWS Signature Version 4.
package raw
