package failure

import (
	"errors"
	"fmt"

	"github.com/quern-dev/quern/runner/modelhost"
)

// explainModel describes why a stage was stopped by the model it asks or by a
// budget. The summary is empty for other errors.
func explainModel(address string, err error) (summary, detail string) {
	var (
		budget  *modelhost.BudgetReached
		price   *modelhost.NoPrice
		denied  *modelhost.Denied
		down    *modelhost.Down
		later   *modelhost.Postponed
		ended   *modelhost.BatchEnded
		refused *modelhost.BatchRefused
	)
	switch {
	case errors.As(err, &budget) && budget.Payment > 0:
		return "The budget is not enough",
			fmt.Sprintf("%s was not started: %s. Nothing was paid for it. Raise the budget, and apply again.", address, budget)
	case errors.As(err, &budget):
		return "The budget is used up",
			fmt.Sprintf("%s was stopped: %s. All answers are cached. To continue where the run stopped, raise the budget and apply again. Nothing is paid for twice.", address, budget)
	case errors.As(err, &price):
		return "The budget cannot be enforced", fmt.Sprintf("%s was not started: %s.", address, price)
	case errors.As(err, &later):
		return "The model asks to wait", stopped(address, later, "Apply again after that time.")
	case errors.As(err, &ended):
		return "A batch ended without answers", fmt.Sprintf("%s needs its answers: %s.", address, ended)
	case errors.As(err, &refused):
		return "A batch was refused", fmt.Sprintf("%s needs its answers: %s. All answers received so far are cached.", address, refused)
	case errors.As(err, &denied) && denied.Missing():
		return "Model not found", stopped(address, denied, "Check the model's name and base_url.")
	case errors.As(err, &denied):
		return "The model denied access", stopped(address, denied, "Check the model's name and key.")
	case errors.As(err, &down):
		return "The model does not respond", stopped(address, down, "Apply again when the model is back.")
	}
	return "", ""
}

func stopped(address string, why error, advice string) string {
	return fmt.Sprintf("%s was stopped: %s. All answers received so far are cached. %s", address, why, advice)
}
