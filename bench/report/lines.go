package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// Write writes the results as lines of JSON: the machine, what was left out, the series.
func (r *Results) Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r.Machine); err != nil {
		return err
	}
	for _, s := range r.Skipped {
		if err := enc.Encode(s); err != nil {
			return err
		}
	}
	for _, s := range r.Series {
		rounded := *s
		rounded.Samples = make([]float64, len(s.Samples))
		for i, v := range s.Samples {
			rounded.Samples[i] = round(v)
		}
		if err := enc.Encode(rounded); err != nil {
			return err
		}
	}
	return nil
}

// round keeps five significant digits: more than any clock is worth here.
func round(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return v
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-4)
	if unit >= 1 {
		return math.Round(v)
	}
	inverse := math.Round(1 / unit)
	return math.Round(v*inverse) / inverse
}

// Read reads what Write has written.
func Read(in io.Reader) (*Results, error) {
	r := &Results{}
	dec := json.NewDecoder(in)
	if err := dec.Decode(&r.Machine); err != nil {
		return nil, fmt.Errorf("read results: the machine: %w", err)
	}
	for line := 2; ; line++ {
		var one struct {
			Skip
			Series
		}
		err := dec.Decode(&one)
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("read results: line %d: %w", line, err)
		case one.What != "":
			r.Skipped = append(r.Skipped, one.Skip)
		case one.Work != "" && one.Peer != "" && len(one.Samples) > 0:
			r.Series = append(r.Series, &one.Series)
		default:
			return nil, fmt.Errorf("read results: line %d is neither a series nor a peer left out", line)
		}
	}
}
