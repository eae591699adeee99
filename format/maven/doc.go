// Package maven teaches millpond Maven repositories, for Maven, Gradle, sbt, Ivy and Leiningen alike: the "default" layout,
// where a path is a coordinate and nothing ever lists files.
//
// A package is "group:artifact" and a version a release, or one build of a SNAPSHOT, "1.0-20261121.081759-1". Any file whose
// name begins with artifact and version may exist: Source.File makes its address. Three more kinds of package exist for
// reading upstreams only: "group:artifact:1.0-SNAPSHOT", whose versions are the builds that one maven-metadata.xml names, and
// the directory of a group, which reads as "com:acme" or, if it has one word, as that word.
//
// What is odd about it:
//
//   - One path, …/maven-metadata.xml, says three things: what plugins a group has, what versions an artifact has, and what
//     builds a SNAPSHOT has. A directory may be all three at once. It is derived from records, never stored.
//   - Every file has sums beside it (.md5, .sha1, .sha256, .sha512), which are no files: those of a held file are computed from
//     its bytes. An upstream's sum is what a file is judged by before it is kept.
//   - "1.0-SNAPSHOT" is a name that moves: it means the newest build that has the file asked for.
//   - Files of a version are put one by one, in any order. Until the version is whole they are kept aside, where no reader sees
//     them; then one transaction makes a version of them. Maven and Gradle say that it is whole by putting maven-metadata.xml;
//     from all others it is whole when it has its POM and what the POM says it packages.
//   - No index has dates: a version is as old as its upstream says that its POM is, and a build as its own name says.
//
// The specifications are Maven's repository layout and its repository metadata model 1.1.0, and the version order of Maven's
// resolver.
package maven
