// Package cargo teaches millpond Rust crates: the sparse index, the downloads and the web API of a registry.
//
// A crate's identity (Canon) is its name in lower case with "_" for "-". An index path answers the published spelling only, in
// lower case: another one is 404, or lock files would hold names that do not exist. Which spelling an upstream has is found by
// the reader's (format.WithSpelling), and remembered.
//
// What is odd about it:
//
//   - The index of a crate is one line of JSON a version. An upstream's lines go out byte for byte. Only two things are ever
//     put into one, of the same length as what was there or nearly: the boolean of "yanked", and the digits of "cksum".
//   - A version that the rules keep back is shown as yanked: new resolutions avoid it, and a lock file that names it comes as
//     far as the download, whose refusal cargo prints. Without its line cargo would say nothing of use.
//   - On an index path whatever is not there is 404, a blocked name too: 403 there ends the whole resolution, though the crate
//     may be an optional dependency that nobody uses. 401, 429 and 503 stay what they are.
//   - Files are told by the address that the config.json of an upstream gives, which may be of another host.
//   - cargo sends its token bare, and asks with one only after a config.json that says "auth-required", or a 401.
//
// The specification is the registry chapter of the Cargo book.
package cargo
