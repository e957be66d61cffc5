package arguments

import (
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"
)

// ArtifactPin is quern artifact pin.
type ArtifactPin struct {
	Environment
	Reason    Flag[string]
	ExpiresIn Flag[time.Duration]
	Artifact  string
}

// Flags implements [Set].
func (a *ArtifactPin) Flags() []cli.Flag {
	return append(a.Environment.flags(),
		declare(&a.Reason, cli.StringFlag{Name: "reason", Usage: "why the artifact is kept"}),
		declare(&a.ExpiresIn, cli.DurationFlag{Name: "expires-in", HideDefault: true, Usage: "end the pin after `DURATION`; by default, it does not end", Validator: notNegative}))
}

// Parse implements [Set].
func (a *ArtifactPin) Parse(given Positional) hcl.Diagnostics {
	if a.Reason.Value == "" {
		return refuse("quern artifact pin needs -reason", "Say why the artifact is kept, for whoever cleans up: -reason=\"the model of the paper\".")
	}
	return given.one(&a.Artifact, "an artifact")
}

// ArtifactUnpin is quern artifact unpin.
type ArtifactUnpin struct {
	// Artifact is a name or a digest.
	Artifact string
}

// Flags implements [Set].
func (a *ArtifactUnpin) Flags() []cli.Flag { return nil }

// Parse implements [Set].
func (a *ArtifactUnpin) Parse(given Positional) hcl.Diagnostics {
	return given.one(&a.Artifact, "an artifact or a digest")
}

// ArtifactPins is quern artifact pins.
type ArtifactPins struct{ Document }

// Flags implements [Set].
func (a *ArtifactPins) Flags() []cli.Flag { return []cli.Flag{a.Document.flag()} }

// Parse implements [Set].
func (a *ArtifactPins) Parse(given Positional) hcl.Diagnostics { return given.none() }
