package plan

// Reason says why an action was chosen, for a person.
type Reason struct {
	Code ReasonCode `json:"code"`
	// Subject: the argument, column or upstream address it is about.
	Subject string `json:"subject,omitempty"`
	Before  string `json:"before,omitempty"`
	After   string `json:"after,omitempty"`
	// Text is the whole reason in words.
	Text string `json:"text"`
}

// IsDrift says whether the reason is that something changed outside of quern.
func (r Reason) IsDrift() bool { return r.Code == BecauseDrift || r.Code == BecauseSource }

// ReasonCode is the reason for programs. docs/plan.md lists them.
type ReasonCode string

const (
	BecauseNew       ReasonCode = "new"       // nothing of that address is in the state
	BecauseArgument  ReasonCode = "argument"  // an argument, row expression, block or the type differs
	BecauseSource    ReasonCode = "source"    // the source holds something else
	BecauseColumn    ReasonCode = "column"    // a column that is read, or the number of rows, differs
	BecauseBehaviour ReasonCode = "behaviour" // the plugin says that it gives other results than before
	BecausePlugin    ReasonCode = "plugin"    // rows are reused that another program of the plugin made
	BecauseUpstream  ReasonCode = "upstream"  // it waits for that, or was given another model
	BecauseChoice    ReasonCode = "choice"    // which artifact it is given depends on a result
	BecauseReplaced  ReasonCode = "replace"   // -replace asked for it
	BecauseMissing   ReasonCode = "missing"   // its result is no longer in the store
	BecauseDamaged   ReasonCode = "damaged"   // its result can't be used
	BecauseFailed    ReasonCode = "failed"    // rows failed and are tried again
	BecauseReused    ReasonCode = "reuse"     // another made the result
	BecauseDrift     ReasonCode = "drift"     // what was deployed is not what stands there
	BecauseDepends   ReasonCode = "depends"   // it is carried out only if that gate holds
	BecauseCondition ReasonCode = "condition" // of a gate: it is known not to hold
	BecauseRemoved   ReasonCode = "removed"   // it is no longer configured
	BecauseMoved     ReasonCode = "moved"     // it takes over what stands under another address
)
