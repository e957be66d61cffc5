package funcs

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/secret"
)

// elsewhere are functions of similar tools that quern does not have,
// with what to do instead.
var elsewhere = func() map[string]string {
	notes := map[string]string{
		"base64gzip":      "quern already compresses what it stores.",
		"bcrypt":          "It returns a different result on every call. Use sha256 instead.",
		"convert":         "Convert with tostring, tonumber, tobool, tolist, toset, or tomap.",
		"ephemeralasnull": "quern has no ephemeral values.",
		"rsadecrypt":      "Pass secrets in through variables with sensitive = true.",
		"type":            "Run quern console to inspect a value.",
	}
	for _, name := range []string{"cidrhost", "cidrnetmask", "cidrsubnet", "cidrsubnets"} {
		notes[name] = "quern has no functions for network addresses."
	}
	return notes
}()

var allNames = sync.OnceValue(Names)

// Unknown reports that a function does not exist, and what to do.
func Unknown(name string, at *hcl.Range) *hcl.Diagnostic {
	return diag.Errorf(at, unknownFunction, "%s", unknown(name))
}

const unknownFunction = "Unknown function"

// unknown says what to do about a function that does not exist.
func unknown(name string) string {
	if strings.Contains(name, "::") {
		return fmt.Sprintf("%s() is a function of a plugin. Only the expressions of modules and the conditions of tests can call these, but not plugin blocks, the values of variables, their validations, or mocks.", name)
	}
	hint := diag.Suggest(name, allNames())
	switch {
	case elsewhere[name] != "":
		hint = " " + elsewhere[name]
	case hint == "":
		hint = " For a list of functions, see docs/language.md."
	}
	return fmt.Sprintf("The function %q does not exist.%s", name, hint)
}

// Missing is the error of a call of a function of a plugin that does not exist.
type Missing struct{ Detail string }

func (e *Missing) Error() string { return e.Detail }

// Explain reports Unknown in place of hcl's error about an unknown
// function, which knows neither similar names nor other tools. It removes
// details that could reveal sensitive values, as secret.Explain does.
func Explain(diags hcl.Diagnostics) hcl.Diagnostics {
	diags = secret.Explain(diags)
	for i, d := range diags {
		if call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallUnknownDiagExtra](d); ok {
			ours := *d
			ours.Summary, ours.Detail = unknownFunction, unknown(call.CalledFunctionNamespace()+call.CalledFunctionName())
			diags[i] = &ours
		}
		if call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d); ok {
			if missing := (*Missing)(nil); errors.As(call.FunctionCallError(), &missing) {
				ours := *d
				ours.Summary, ours.Detail = unknownFunction, missing.Detail
				diags[i] = &ours
			}
		}
	}
	return diags
}
