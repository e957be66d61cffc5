package wire

import "github.com/quern-dev/quern/sdk/go/pluginv1"

// DefaultRowsOf returns the key of the dataset that row expressions refer to if
// their argument does not set Argument.rows_of: the only required dataset
// argument, or the only one.
func DefaultRowsOf(b *pluginv1.Body) string {
	var required, all []string
	for _, a := range b.GetArguments() {
		if a.Collection != pluginv1.Collection_COLLECTION_UNSPECIFIED || len(a.Accepts) != 1 ||
			a.Accepts[0] != pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET {
			continue
		}
		all = append(all, a.Name)
		if a.Required {
			required = append(required, a.Name)
		}
	}
	switch {
	case len(required) == 1:
		return required[0]
	case len(all) == 1:
		return all[0]
	}
	return ""
}
