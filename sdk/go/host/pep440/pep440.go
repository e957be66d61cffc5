// Package pep440 converts versions of Python packages to semantic versions.
package pep440

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// pattern is a version in the normal form of PEP 440, or one that differs from it
// in what authors commonly write. It is compiled when it is first used, because it
// would take a noticeable part of each start.
var pattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^v?(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?(\d*))?(?:[-_.]?(post|rev|r)[-_.]?(\d*))?(?:[-_.]?(dev)[-_.]?(\d*))?(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)
})

// phases are the semantic names of PEP 440's pre-releases, in order.
var phases = map[string]string{
	"a": "alpha", "alpha": "alpha", "b": "beta", "beta": "beta", "c": "rc", "rc": "rc", "pre": "rc", "preview": "rc",
}

// Semantic converts a version of a Python package to a semantic version, which
// keeps the order of releases and pre-releases: 1.2rc1 becomes 1.2.0-rc.1 and
// 0.1.0.dev0 becomes 0.1.0-dev.0. A post-release and a local version become build
// metadata, which does not affect the order.
func Semantic(text string) (string, error) {
	m := pattern().FindStringSubmatch(strings.ToLower(strings.TrimSpace(text)))
	if m == nil {
		return "", fmt.Errorf("%q is not a version of a Python package (PEP 440)", text)
	}
	if m[1] != "" && strings.Trim(m[1], "0") != "" {
		return "", fmt.Errorf("version %q has an epoch, which a semantic version cannot have", text)
	}
	numbers := strings.Split(m[2], ".")
	if len(numbers) > 3 {
		return "", fmt.Errorf("version %q has more than three numbers, which a semantic version cannot have", text)
	}
	for len(numbers) < 3 {
		numbers = append(numbers, "0")
	}
	var pre, build []string
	for i, n := range numbers {
		numbers[i] = number(n)
	}
	if m[3] != "" {
		pre = append(pre, phases[m[3]], number(m[4]))
	}
	if m[5] != "" {
		build = append(build, "post", number(m[6]))
	}
	if m[7] != "" {
		pre = append(pre, "dev", number(m[8]))
	}
	if m[9] != "" {
		build = append(build, strings.NewReplacer("-", ".", "_", ".").Replace(m[9]))
	}
	out := strings.Join(numbers, ".")
	if pre != nil {
		out += "-" + strings.Join(pre, ".")
	}
	if build != nil {
		out += "+" + strings.Join(build, ".")
	}
	return out, nil
}

// IsDevelopment reports whether a version of a Python package is under
// development, as 0.1.0.dev0 is.
func IsDevelopment(version string) bool {
	m := pattern().FindStringSubmatch(strings.ToLower(version))
	return m != nil && m[7] != ""
}

// number returns decimal digits without leading zeros.
func number(digits string) string {
	if digits = strings.TrimLeft(digits, "0"); digits == "" {
		return "0"
	}
	return digits
}
