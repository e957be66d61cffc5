package promptfoo

import "fmt"

// errorf returns an error that is meant for use within a sentence of a finding.
func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
