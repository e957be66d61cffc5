package promptfoo

import "fmt"

// errorf makes the errors that end up within sentences of findings.
func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
