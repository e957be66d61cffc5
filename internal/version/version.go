// Package version contains quern's version. It is the only place that a release
// changes.
package version

// Number is the version of quern and of the plugins that come with it, as a
// semantic version without a leading v.
const Number = "0.1.0"
