// Package pear is PEAR and PECL channels: read through, asked as a proxy or by path, and hosted.
//
// A channel is a host name, and the first half of a package's name: "pear.acme.example/hello_world". Its client asks for
// absolute addresses of the channel, so it is set up with the pond as its http_proxy and nothing else; the same files answer
// below "/<repository>/<channel>/". A channel by itself is a name too: it has the documents that belong to no package.
//
// What a list says of releases is derived from the records, so that what the rules keep back stands in no list. Documents of
// one release are files, immutable like its archive.
package pear
