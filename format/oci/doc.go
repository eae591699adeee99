// Package oci teaches millpond container images and every other artifact that travels as they do: the OCI distribution
// specification 1.1, and what docker, containerd and helm add to it.
//
// A tag is a ref, a manifest is a version named by the digest it was pushed by, blobs are files. Manifests are kept and served
// byte for byte, with the media type they came with, and never converted.
//
// What is odd about it:
//
//   - A blob is pushed before the manifest that needs it: a file that belongs to no version, and a link between one image and
//     one digest. It is kept for a day, and for as long as somebody asks for it, until a manifest names it.
//   - A blob may be read because a manifest that may be read names it. So what an upstream's manifests need is noted when
//     they are kept, and a blob is judged as any one of them.
//   - The whole protocol lives below /v2/ at a server's root: /v2/<repository>/<image>/…. The same is answered below
//     /<repository>/v2/, and for a repository that is the root of a host of its own. Addresses are given in the form in which
//     the client asked.
//   - Clients prove themselves at a token service that a challenge names: /-/token gives short tokens which narrow what the
//     caller may do, and never widen it.
//   - A referrer (a signature, an attestation) is found by an edge: a ref "@<subject>/<referrer>", a name that no tag can have.
//
// The specifications are those of the Open Container Initiative for distribution and images.
package oci
