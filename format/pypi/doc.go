// Package pypi speaks the Python Package Index's protocols: the Simple Repository API in HTML and JSON (PEP 503, 592, 629,
// 691, 700, 714, 740, 792), core metadata beside the files (PEP 658), provenance, and the JSON API that mirrors and
// dashboards read. The specification lives under "Package index interfaces" in the Python packaging user guide; versions
// are PEP 440, names PEP 503, file names the wheel and sdist specifications.
//
// What is odd about it:
//
//   - One page lists every file of a project, of all versions, and says nothing of versions: they are read from file names.
//     Yanks, upload times and so holds belong to files.
//
//   - The same page exists in HTML and in JSON; the client's Accept decides. The JSON form is the richer one and is what we
//     ask for; both forms we serve are derived from the records, once per stamp.
//
//   - "core-metadata" on a file promises that the file's URL with ".metadata" behind it answers with the METADATA of the
//     wheel. pip fails if that promise is broken, even with the wheel at hand. So the ".metadata" is a file of its own in
//     the records: verified, kept and judged like any other, and taken from the held wheel if its upstream cannot give it.
//
//   - Changes are numbered by serials, which mirrors compare: a page with a lower serial than the kept one is a lagging copy.
//
//   - Clients retry little and badly; pip answers an error of the page by taking a package of that name from another index.
//     That is why the set-up snippets know one index only.
//
//   - Publishing is one form with one file, sent to any of three addresses, which say yes only by 200: uv has no rule for "it
//     is there already", so the same bytes again are 200, and twine takes every 409 for that, so a name that was deleted is
//     400. twine prints the reason phrase and nothing else, so a refusal's words stand there. A version grows file by file.
//
//   - What belongs to a published file is a file beside it: ".metadata" of a wheel, ".provenance", and ".pkg-info" of an sdist,
//     which no page shows.
//
// A page's URL is /simple/<project>/; a file's names its project and the first 16 digits of its digest, so it is found and
// judged without a table, and never changes its bytes.
package pypi
