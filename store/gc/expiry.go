package gc

import (
	"fmt"
	"time"

	"github.com/quern-dev/quern/store/state"
)

// Expired is an environment that has expired.
type Expired struct {
	Environment string    `json:"environment"`
	Expired     time.Time `json:"expired"`
	// Deleted is set if the environment was deleted or would be.
	Deleted bool `json:"deleted"`
	// Until is when a collection deletes it, if that is in the future.
	Until *time.Time `json:"until,omitempty"`
	// Deployments are those that it still has. They keep it, because without its
	// state, nobody could delete them.
	Deployments []string `json:"deployments,omitempty"`
	// InUse is set if a command is changing it.
	InUse bool `json:"in_use,omitempty"`
}

// expire deletes an environment that expired longer than the grace period ago and has
// no deployments. Its results are then collected like all others: if nothing else
// refers to them. It returns false if the environment stays.
func (c *collection) expire(st *state.State) (deleted bool, err error) {
	if c.opts.Only != nil || !st.Expired(c.opts.Now) {
		return false, nil
	}
	e := Expired{Environment: st.Environment, Expired: *st.Expires, Deployments: st.Deployments(), InUse: c.busy(st.Environment)}
	if until := st.Expires.Add(c.opts.Grace); c.opts.Now.Before(until) {
		e.Until = &until
	}
	e.Deleted = e.Until == nil && len(e.Deployments) == 0 && !e.InUse
	if e.Deleted && !c.opts.DryRun {
		if err := c.store.States().Delete(st); err != nil {
			return false, fmt.Errorf("delete environment %q, which has expired: %w", st.Environment, err)
		}
	}
	c.result.Expired = append(c.result.Expired, e)
	return e.Deleted, nil
}
