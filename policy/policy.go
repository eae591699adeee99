// Package policy judges packages by the rules of a repository: which versions and files its readers may see. It is pure: it
// reads no clock, no network and no store; facts that it lacks it names, and its caller fetches them.
package policy

// A Policy is the rules of one repository, in order. A nil Policy lets everything pass.
type Policy struct{}
