package plan

// Pins are what names that can move outside refer to, by plugin and name:
// "huggingface.co/org/name@main" to a commit, for example.
type Pins map[string]map[string]string

// Set sets what a name of a plugin refers to.
func (p Pins) Set(plugin, name, value string) {
	if p[plugin] == nil {
		p[plugin] = map[string]string{}
	}
	p[plugin][name] = value
}
