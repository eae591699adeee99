// Package npm teaches millpond the protocol of npm registries, which npm, pnpm, yarn and bun speak.
//
// A registry has one large document per package, the packument: every version's manifest, the dist-tags, the time of each
// publish. It comes in two forms, full and abbreviated, and can have 40 MB. The pond always fetches the full one and keeps
// it. Reading it (index.go) is one walk over its tokens that records where each version's member lies; the records hold
// byte ranges (record.go) and nothing of the manifests. Both forms are then written from those ranges (packument.go): the
// full one is a splice, in which everything but addresses, moved tags and hidden versions is the upstream's own text; the
// abbreviated one is a filter over each member. Neither decodes a document, and memory stays flat.
//
// What a team publishes is kept as rows (hosted.go): the manifest of each version, without dist, which is made of the file's
// record. A packument of them is put together when it is shown and goes through the same writers. A publish is one JSON
// document with the tarball in it in base64; body.go takes the tarball out as it arrives, packed.go looks into it, and
// publish.go lets all parts of it agree before anything is visible. What npm calls unpublish, deprecate and owner are changed
// copies of the whole packument (edit.go), so each must name the revision that it was made of.
//
// There is no specification but the registry's behaviour and its clients' code. What is odd about it:
//
//   - A name may hold a slash (@scope/name), written as / or %2f, and its case matters.
//   - dist.tarball says where a file is. Clients follow it to the letter, so it must name the pond.
//   - 404 is the end for every client, and a cut answer is the end for npm: an ill upstream must be a 503.
//   - npm sends the hash that it expects with each request for a file (pacote-integrity).
//   - policyRestrictions, a member of the packument, lets a registry say why a version is not to be had.
//   - A package taken down for malware is replaced by one version, 0.0.1-security.
package npm
