package walk

// lacks says which resources are exhausted.
type lacks struct{ cpu, memory, gpu bool }

func (l lacks) any() bool { return l.cpu || l.memory || l.gpu }

func (l lacks) or(m lacks) lacks {
	return lacks{l.cpu || m.cpu, l.memory || m.memory, l.gpu || m.gpu}
}

// touches reports whether d uses any of the exhausted resources.
func (l lacks) touches(d Demand) bool {
	return l.cpu && d.CPU > 0 || l.memory && d.Memory > 0 || l.gpu && d.GPU > 0
}

// clamp lowers a demand to the limits.
func (w *walker) clamp(d Demand) Demand {
	return Demand{
		CPU:    clamp(d.CPU, w.limits.CPU),
		Memory: clamp(d.Memory, w.limits.Memory),
		GPU:    clamp(d.GPU, w.limits.GPU),
	}
}

func clamp[N int | int64 | float64](want, limit N) N {
	if limit > 0 {
		return min(want, limit)
	}
	return 0
}

// lacking compares a clamped demand, so that a resource without a limit is
// never exhausted.
func (w *walker) lacking(d Demand) lacks {
	const rounding = 1e-9 // cpu shares such as 0.1 do not add up exactly
	return lacks{
		cpu:    d.CPU > w.free.CPU+rounding,
		memory: d.Memory > w.free.Memory,
		gpu:    d.GPU > w.free.GPU,
	}
}
