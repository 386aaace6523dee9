package report

import "slices"

// A Summary is what samples come to: the median and the quartiles.
type Summary struct {
	Median, Low, High float64
	N                 int
}

// Summarize returns the zero Summary for no samples.
func Summarize(samples []float64) Summary {
	s := slices.Clone(samples)
	slices.Sort(s)
	return Summary{Median: quantile(s, 0.5), Low: quantile(s, 0.25), High: quantile(s, 0.75), N: len(s)}
}

// quantile returns the value below which the fraction q of the sorted values lies, between two of them in proportion;
// 0 for none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// Summary of the samples.
func (s *Series) Summary() Summary { return Summarize(s.Samples) }

// Ratio divides the samples of a by those of b that were taken next to them. What disturbs the machine for a while
// disturbs both of a pair, so this spreads less than the samples do. Samples without a partner, and pairs with 0 below,
// are left out.
func Ratio(a, b *Series) Summary {
	if a == nil || b == nil {
		return Summary{}
	}
	var ratios []float64
	for i := range min(len(a.Samples), len(b.Samples)) {
		if b.Samples[i] != 0 {
			ratios = append(ratios, a.Samples[i]/b.Samples[i])
		}
	}
	return Summarize(ratios)
}
