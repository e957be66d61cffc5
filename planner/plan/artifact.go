package plan

import (
	"encoding/json"
	"fmt"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/artifact"
)

// ArtifactProto describes an artifact to a plugin: everything except the rows of
// a dataset. at returns the path of a blob on this machine; its errors are
// returned as they are.
func ArtifactProto(a *artifact.Artifact, digest string, at func(blob string) (string, error)) (*pluginv1.Artifact, error) {
	out := &pluginv1.Artifact{Kind: kindToProto(a.Kind), Digest: digest, Format: a.ModelFormat}
	for _, f := range a.Files {
		path, err := at(f.Digest)
		if err != nil {
			return nil, err
		}
		out.Files = append(out.Files, &pluginv1.File{Name: f.Name, Path: path, Digest: f.Digest, Size: f.Size})
	}
	if len(a.Signature) > 0 {
		var s Signature
		if err := json.Unmarshal(a.Signature, &s); err != nil {
			return nil, fmt.Errorf("read the signature of the model: %w", err)
		}
		out.Signature = s.Proto()
	}
	return out, nil
}
