// Package debian teaches millpond archives of Debian packages, as apt reads them.
//
// apt's failure has a name, "Hash Sum mismatch": a cache handed out an index of one generation beside a Release of another.
// Here a suite is a package and each of its signed Releases is a version, whose files are the indexes that it lists. A new
// Release becomes the newest version when all of its indexes that are held have been fetched by the digests in it; until then
// readers have the one before, whole. So what an upstream does between two requests of a client is seen by nobody.
//
// What is odd about it:
//
//   - Names have two kinds. Source packages have no slash in theirs; suites do: "dists/stable", "ubuntu/dists/noble", and "./"
//     for a suite without dists. Rules judge a suite only if they name it.
//   - The files of packages are listed by no record. A path of the pool is looked up in a table that is derived of each held
//     index, and fetched under its path and its digest: a file that was replaced under its path is another file.
//   - An index has no dates: a file of a package was published when the first kept Release listed it.
//   - apt knows no entity tags, only dates, which must be equal, and prints the status line and never the body.
//   - What is published here is derived into suites of our own, signed by the repository's key, when somebody reads them.
//
// The specifications are deb822(5), deb(5), sources.list(5), apt-secure(8), https://wiki.debian.org/DebianRepository/Format,
// and Debian Policy for versions.
package debian
