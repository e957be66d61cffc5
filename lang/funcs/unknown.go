package funcs

import (
	"fmt"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/secret"
)

// elsewhere are the functions of neighbouring tools that have no meaning here,
// and what to do instead.
var elsewhere = func() map[string]string {
	notes := map[string]string{
		"base64gzip":      "What quern stores is compressed already.",
		"bcrypt":          "It gives another result at every call; sha256 does not.",
		"convert":         "Convert with tostring, tonumber, tobool, tolist, toset or tomap.",
		"ephemeralasnull": "No value here is ephemeral.",
		"rsadecrypt":      "Pass secrets in through variables with sensitive = true.",
		"type":            "quern console shows what a value is.",
	}
	for _, name := range []string{"cidrhost", "cidrnetmask", "cidrsubnet", "cidrsubnets"} {
		notes[name] = "Addresses of networks have no part in pipelines."
	}
	return notes
}()

var allNames = sync.OnceValue(Names)

// Unknown says of a function that there is none of that name, and what to do.
func Unknown(name string, at *hcl.Range) *hcl.Diagnostic {
	summary, detail := unknown(name)
	return diag.Errorf(at, summary, "%s", detail)
}

func unknown(name string) (summary, detail string) {
	hint := diag.Suggest(name, allNames())
	switch {
	case elsewhere[name] != "":
		hint = " " + elsewhere[name]
	case hint == "":
		hint = " docs/language.md lists those that there are."
	}
	return "Unknown function", fmt.Sprintf("There is no function named %q.%s", name, hint)
}

// Explain says Unknown where hcl's evaluator says that there is no such
// function: it knows neither the names around nor other tools. It takes out
// details that could reveal sensitive values, as secret.Explain does.
func Explain(diags hcl.Diagnostics) hcl.Diagnostics {
	diags = secret.Explain(diags)
	for i, d := range diags {
		if call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallUnknownDiagExtra](d); ok {
			ours := *d
			ours.Summary, ours.Detail = unknown(call.CalledFunctionNamespace() + call.CalledFunctionName())
			diags[i] = &ours
		}
	}
	return diags
}
