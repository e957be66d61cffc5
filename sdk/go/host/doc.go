// Package host is the folder of what quern itself needs from this module: the
// side of the protocol that starts plugins and calls them. The packages in it
// are not for authors of plugins, and may change in any release.
package host
