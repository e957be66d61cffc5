package config

// checkReferences reports references to what is not declared.
func (l *loader) checkReferences() {}
