// Package host is the folder of quern's own side of the protocol: starting
// plugins and calling them. Its packages are not for plugin authors and may
// change in any release.
package host
