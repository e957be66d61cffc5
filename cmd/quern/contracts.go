package main

import (
	"github.com/quern-dev/quern/internal/english"

	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/store"
)

// printContracts prints what the checks of an instance's contracts found, of its
// latest result.
func printContracts(ui *terminal, s *store.Store, inst inspect.Entry) error {
	contracts, title := inst.Contracts, "contract met"
	if inst.Rejected != nil {
		contracts, title = inst.Rejected.Contracts, "contract violated, so the latest result was rejected"
	}
	checks, err := inspect.Checks(s, contracts)
	if err != nil {
		return err
	}
	for _, c := range checks {
		ui.printf("\n  %s\n    %s\n", artifactTitle(c.Port, c.Violations), title)
		var rows [][]string
		for _, r := range c.Rules {
			rows = append(rows, []string{"   ", r.Rule, english.Number(r.Rows), english.Number(r.Violations)})
		}
		if len(rows) == 0 {
			continue
		}
		if err := ui.table([]string{"   ", "RULE", "ROWS", "VIOLATIONS"}, rows); err != nil {
			return err
		}
	}
	return nil
}
