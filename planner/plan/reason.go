package plan

// Reason explains to a person why an action was chosen.
type Reason struct {
	Code ReasonCode `json:"code"`
	// Subject is the argument, column, or upstream address that the reason is
	// about.
	Subject string `json:"subject,omitempty"`
	Before  string `json:"before,omitempty"`
	After   string `json:"after,omitempty"`
	// Text is the whole reason as a sentence.
	Text string `json:"text"`
}

// IsDrift reports whether the reason is a change outside of quern.
func (r Reason) IsDrift() bool { return r.Code == BecauseDrift || r.Code == BecauseSource }

// ReasonCode identifies a reason for programs. docs/plan.md lists the codes.
type ReasonCode string

const (
	BecauseNew       ReasonCode = "new"       // the state has no instance with that address
	BecauseArgument  ReasonCode = "argument"  // an argument, row expression, block, or the type changed
	BecauseSource    ReasonCode = "source"    // the content of the source changed
	BecauseColumn    ReasonCode = "column"    // a column that is read, or the number of rows, changed
	BecauseBehavior  ReasonCode = "behaviour" // the plugin declares that it gives different results than before
	BecausePlugin    ReasonCode = "plugin"    // reused rows come from another program of the plugin
	BecauseUpstream  ReasonCode = "upstream"  // it waits for that instance, or its model changed
	BecauseChoice    ReasonCode = "choice"    // which artifact it gets depends on a result
	BecauseReplaced  ReasonCode = "replace"   // -replace requests it
	BecauseMissing   ReasonCode = "missing"   // its result is no longer in the store
	BecauseDamaged   ReasonCode = "damaged"   // its result cannot be used
	BecauseFailed    ReasonCode = "failed"    // rows failed and are retried
	BecausePending   ReasonCode = "pending"   // it waits for something outside, and is asked again
	BecauseReused    ReasonCode = "reuse"     // the result is already in the store
	BecauseDrift     ReasonCode = "drift"     // the deployment changed outside of quern
	BecauseDepends   ReasonCode = "depends"   // it happens only if that gate passes
	BecauseCondition ReasonCode = "condition" // of a gate: the condition is known not to be met
	BecauseRemoved   ReasonCode = "removed"   // it is no longer configured
	BecauseDeposed   ReasonCode = "deposed"   // another deployment has replaced it
	BecauseContract  ReasonCode = "contract"  // its contract, or what the contract refers to, changed
	BecauseMoved     ReasonCode = "moved"     // it takes over the deployment of another address
	BecauseImported  ReasonCode = "import"    // it takes over a deployment that exists already
)
