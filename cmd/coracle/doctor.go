package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"coracle/runtime/probe"
)

func doctorCommand() command {
	return command{
		name: "doctor", short: "say whether images can run here, and what cures it if not", group: "This host",
		about: "A tick, a warning (!) or a cross a line; exit status 1 when images cannot run.",
		examples: []string{
			`doctor`,
			`doctor --json`,
			`doctor --apparmor-profile | sudo tee /etc/apparmor.d/coracle`,
		},
		build: func() ([]flag, action) {
			var asJSON, profile bool
			flags := []flag{
				{name: "json", short: 'j', on: &asJSON, keys: []string{}, group: "Output", help: "as JSON, for monitoring"},
				{name: "apparmor-profile", on: &profile, keys: []string{}, help: "print the AppArmor profile that lets this program work (Ubuntu 24.04)"},
			}
			return flags, func(c *cli, _ []string) error {
				if profile {
					return c.apparmorProfile()
				}
				return c.doctor(asJSON)
			}
		},
	}
}

func (c *cli) doctor(asJSON bool) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("path of this program: %w", err)
	}
	host := probe.Read("", probe.Self(c.env), program)
	trial := probe.Try(program)
	host.Trial = &trial
	findings := host.Findings()
	if asJSON {
		err = c.doctorJSON(findings)
	} else {
		err = c.doctorText(findings)
	}
	if err == nil && !canRun(findings) {
		err = &exitError{1}
	}
	return err
}

// apparmorProfile prints the profile for this program.
func (c *cli) apparmorProfile() error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("path of this program: %w", err)
	}
	_, err = fmt.Fprint(c.out, apparmorText(program))
	return err
}

// apparmorText is a profile that allows a program what every program may do elsewhere: user namespaces. It confines
// nothing, payloads included.
//
// Source: Ubuntu's /etc/apparmor.d/bwrap-userns-restrict and its neighbours; apparmor.d(5).
func apparmorText(program string) string {
	// What a pattern would take for its own is escaped.
	path := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`, "{", `\{`, "}", `\}`, "^", `\^`, "@", `\@`).Replace(program)
	return fmt.Sprintf(`# Lets %[2]s make user namespaces where others may not
# (kernel.apparmor_restrict_unprivileged_userns). Into force: apparmor_parser -r /etc/apparmor.d/coracle
abi <abi/4.0>,
include <tunables/global>

profile coracle "%[1]s" flags=(unconfined) {
  userns,

  include if exists <local/coracle>
}
`, path, oneLine(program))
}

func canRun(findings []probe.Finding) bool {
	for _, f := range findings {
		if f.State == probe.Failure {
			return false
		}
	}
	return true
}

func (c *cli) doctorText(findings []probe.Finding) error {
	p := c.printer(c.out)
	for _, f := range findings {
		fmt.Fprintf(p.w, "%s %s\n", c.mark(f.State), oneLine(f.Fact))
		if f.Cure != "" {
			fmt.Fprintf(p.w, "    %s\n", oneLine(f.Cure))
		}
	}
	if !canRun(findings) {
		fmt.Fprintln(p.w, "Images cannot run here.")
	}
	return p.w.Flush()
}

// mark is the sign of a state, in colour where that is wanted.
func (c *cli) mark(s probe.State) string {
	sign, colour := "✓", "32"
	switch s {
	case probe.Warning:
		sign, colour = "!", "33"
	case probe.Failure:
		sign, colour = "✗", "31"
	}
	if !c.colour {
		return sign
	}
	return "\x1b[" + colour + "m" + sign + "\x1b[0m"
}

func (c *cli) doctorJSON(findings []probe.Finding) error {
	doc := struct {
		CanRun   bool            `json:"can_run"`
		Version  string          `json:"version"`
		Findings []probe.Finding `json:"findings"`
	}{canRun(findings), version, findings}
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}
