package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"coracle/runtime/env"
)

// variables returns what --env-file and --env set, in this order: later ones win.
func (a *actionFlags) variables(s situation) ([]string, error) {
	var vars []string
	for _, name := range a.envFiles {
		b, err := s.readFile(absolute(name, s.cwd))
		if err != nil {
			var pe *fs.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			return nil, fmt.Errorf("--env-file %q: %w", name, err)
		}
		more, err := env.ParseFile(name, b, nil, s.env)
		if err != nil {
			return nil, err
		}
		vars = append(vars, more...)
	}
	for _, v := range a.env {
		more, err := splitEnv(v)
		if err != nil {
			return nil, err
		}
		vars = append(vars, more...)
	}
	return vars, nil
}

// splitEnv splits a value of --env into "K=V" pairs.
//
// With a single = the whole value is one pair, commas and all. With several, commas
// separate the pairs as in a CSV record, so "A=1,2,B=3" sets A to 1 and then has a 2
// without a key: what has no = belongs to the value before it.
func splitEnv(s string) ([]string, error) {
	switch strings.Count(s, "=") {
	case 0:
		return nil, usageErrorf("--env %q: want KEY=VALUE", s)
	case 1:
		return checkPairs(s, []string{s})
	}
	r := csv.NewReader(strings.NewReader(s))
	r.LazyQuotes = true
	fields, err := r.Read()
	if err != nil || strings.ContainsAny(s, "\r\n") {
		fields = strings.Split(s, ",") // csv would take a line's end for the record's
	}
	var pairs []string
	for _, f := range fields {
		if !strings.Contains(f, "=") && len(pairs) > 0 {
			pairs[len(pairs)-1] += "," + f
			continue
		}
		pairs = append(pairs, f)
	}
	return checkPairs(s, pairs)
}

func checkPairs(s string, pairs []string) ([]string, error) {
	for _, p := range pairs {
		if k, _, ok := strings.Cut(p, "="); !ok || k == "" {
			return nil, usageErrorf("--env %q: want KEY=VALUE", s)
		}
	}
	return pairs, nil
}
