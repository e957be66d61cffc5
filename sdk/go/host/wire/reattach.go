package wire

// ReattachVariable is the environment variable that tells quern which plugins
// are already running. Its value is a JSON object of Reattach values by source
// or local name.
const ReattachVariable = "QUERN_REATTACH_PLUGINS"

// Reattach is where a plugin is running.
type Reattach struct {
	Protocol        string
	ProtocolVersion int
	Pid             int
	Addr            struct{ Network, String string }
}
