package main

import (
	"encoding/csv"
	"fmt"
	"strings"

	"coracle/bind"
)

// parseBind parses one value of --bind: specifications SRC[:DST[:OPTS]], separated by commas.
func parseBind(s, cwd string) ([]bind.Spec, error) {
	var specs []bind.Spec
	for one := range strings.SplitSeq(s, ",") {
		f := strings.Split(one, ":")
		if f[0] == "" || len(f) > 3 {
			return nil, usageErrorf("--bind %q: want SRC[:DST[:OPTS]]", one)
		}
		spec := bind.Spec{Source: absolute(f[0], cwd), Why: "--bind"}
		spec.Target = spec.Source
		if len(f) > 1 && f[1] != "" {
			spec.Target = f[1]
		}
		spec.ReadOnly = len(f) > 2 && f[2] == "ro"
		specs = append(specs, spec)
	}
	return specs, nil
}

// parseMount parses one value of --mount: lines of fields separated by commas.
func parseMount(s, cwd string) ([]bind.Spec, error) {
	rows, err := csv.NewReader(strings.NewReader(s)).ReadAll()
	if err != nil {
		return nil, usageErrorf("--mount %q: %v", s, err)
	}
	var specs []bind.Spec
	for _, row := range rows {
		spec := bind.Spec{Why: "--mount"}
		for _, field := range row {
			k, v, _ := strings.Cut(field, "=")
			switch k {
			case "src", "source":
				spec.Source = absolute(v, cwd)
			case "dst", "destination", "target":
				spec.Target = v
			case "ro", "readonly":
				spec.ReadOnly = v != "false"
			}
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// parseHome parses the value of --home: SRC[:DST].
func parseHome(s, cwd string) (bind.Spec, error) {
	src, dst, _ := strings.Cut(s, ":")
	spec := bind.Spec{Source: absolute(src, cwd), Target: dst, Why: "--home"}
	if dst == "" {
		spec.Target = spec.Source
	}
	return spec, nil
}

// parseEnvFile returns the variables that a file sets, "K=V".
func parseEnvFile(name string, b []byte, env []string) ([]string, error) {
	var out []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		k, v, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("--env-file %q: %q has no =", name, line)
		}
		out = append(out, k+"="+v)
	}
	return out, nil
}
