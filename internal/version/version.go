// Package version holds quern's version: the one place that a release changes.
package version

// Number is the version of quern and of the plugins that come with it, by
// Semantic Versioning and without a leading v.
const Number = "0.1.0"
