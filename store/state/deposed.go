package state

// Depose returns the instance under which a state keeps its deployment, at another
// address, when another deployment has replaced it.
func (i *Instance) Depose(address string) *Instance {
	return &Instance{
		Address: address, Kind: i.Kind, Type: i.Type, Plugin: i.Plugin, Deployment: i.Deployment,
		Inputs: i.Inputs, DependsOn: i.DependsOn, Run: i.Run, Updated: i.Updated,
	}
}
