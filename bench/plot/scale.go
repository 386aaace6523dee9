package plot

import "math"

// A scale maps values to pixels: min to from, max to to.
type scale struct {
	Axis
	min, max float64
	from, to float64
}

// newScale includes nothing yet: max is below min.
func newScale(a Axis) scale {
	if a.Base == 0 {
		a.Base = 10
	}
	return scale{Axis: a, min: math.Inf(1), max: math.Inf(-1)}
}

func (s *scale) include(v float64) { s.min, s.max = min(s.min, v), max(s.max, v) }

// widen lets the scale begin and end at ticks: at 0 if linear, else at halves of powers, so that curves fill the area.
func (s *scale) widen() {
	switch {
	case s.max < s.min:
	case s.Log:
		s.min, s.max = floorNice(s.min), ceilNice(s.max)
	default:
		s.min = 0
		step := s.step()
		s.max = max(step, math.Ceil(s.max/step)*step)
	}
}

// floorNice and ceilNice return the next of 1, 2 and 5 times a power of ten.
func floorNice(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{5, 2} {
		if m*unit <= v {
			return m * unit
		}
	}
	return unit
}

func ceilNice(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*unit >= v {
			return m * unit
		}
	}
	return 10 * unit
}

// step is the distance of linear ticks: about five of them.
func (s *scale) step() float64 {
	if s.max == s.min {
		return 1
	}
	return ceilNice((s.max - s.min) / 5 * 0.999)
}

// place returns the pixel of a value.
func (s *scale) place(v float64) float64 {
	part := 0.5 // of a scale with one value
	switch {
	case s.max == s.min:
	case s.Log:
		part = math.Log(v/s.min) / math.Log(s.max/s.min)
	default:
		part = (v - s.min) / (s.max - s.min)
	}
	return s.from + part*(s.to-s.from)
}

// ticks returns the values to be marked.
func (s *scale) ticks() []float64 {
	var list []float64
	if s.max == s.min {
		return []float64{s.min}
	}
	if !s.Log {
		for i := range 20 {
			v := s.min + float64(i)*s.step()
			if v > s.max*1.0001 {
				break
			}
			list = append(list, v)
		}
		return list
	}
	multiples := []float64{1}
	if s.Base == 10 && s.max/s.min < 1000 {
		multiples = []float64{1, 2, 5}
	}
	first := math.Pow(s.Base, math.Floor(math.Log(s.min)/math.Log(s.Base)+1e-9))
	for unit := first; unit <= s.max*1.0001 && len(list) < 40; unit *= s.Base {
		for _, m := range multiples {
			if v := m * unit; v >= s.min*0.9999 && v <= s.max*1.0001 {
				list = append(list, v)
			}
		}
	}
	return list
}
