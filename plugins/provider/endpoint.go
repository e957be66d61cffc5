package provider

import "net/url"

// Moved is the argument that says where an endpoint is reached, where that is
// not what tells its model from others.
type Moved struct {
	Address string `quern:"address,operational" doc:"Where requests are sent in place of base_url, which goes on to say whose answers these are: for an endpoint that has moved, or that each environment reaches by another address. It is in no key."`
}

// Endpoint is where requests are sent: Address, or else the base URL.
func (m *Moved) Endpoint(base string) string {
	if m.Address != "" {
		return m.Address
	}
	return base
}

// Argument is the one that the endpoint comes from, for messages.
func (m *Moved) Argument() string {
	if m.Address != "" {
		return "address"
	}
	return "base_url"
}

// URL reads an endpoint's address; nil: it is none.
func URL(address string) *url.URL {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil
	}
	return u
}
