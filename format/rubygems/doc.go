// Package rubygems speaks to gem and Bundler: the compact index, the legacy indexes, quick specs and gems, in both directions.
//
// A package is a gem's name, and a version is its number with its platform: "1.16.0" or "1.16.0-x86_64-linux". A version has
// two files, the gem and its quick spec.
//
// Clients of this ecosystem fall back, silently, to the oldest index whenever a newer one is not answered well. So what the
// indexes say is one thing told in several ways: a log of the names, of our own, of which all others are made.
package rubygems
