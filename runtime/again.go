package runtime

import (
	"errors"

	"coracle/runtime/stage"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// A NoIDsError says why there are no subordinate ids, and what helps.
type NoIDsError struct {
	Why  string
	Cure string // "" unknown
}

func (e *NoIDsError) Error() string { return e.Why }

// An Again is a command line that is carried out once more, as root of a user namespace.
type Again struct {
	Argv, Env []string
}

// Remap executes this program again with another command line and environment, as root of a user namespace that has the
// caller's subordinate ids. Facts.SubIDs has to be filled in. It must be called on the process's first thread and returns only on
// failure; the error is a [*NoIDsError] when there are no such ids.
func Remap(program string, facts *Facts, argv, env []string) error {
	if facts.UserNS != nil {
		return errors.Join(ErrNoUserNS, facts.UserNS)
	}
	if why, cure := facts.SubIDs.missing(facts); why != "" {
		return &NoIDsError{why, cure}
	}
	who := identify(&Request{Fakeroot: true}, facts)
	p := Plan{Program: program, UIDs: who.uids, GIDs: who.gids, Fakeroot: who.way, Again: &Again{argv, env},
		Helpers: [2]string{facts.SubIDs.NewUIDMap, facts.SubIDs.NewGIDMap}}
	h := p.header()
	h.Role, h.Flags = userns.Enter, h.Flags|userns.NewUser
	fd, err := stage.File(&h, &p)
	if err != nil {
		return err
	}
	return stage.Become(fd, false, "as root")
}

// again is Remap's second half, in the namespace.
func again(p *Plan, o userns.Outcome) error {
	if err := o.Err(); err != nil {
		return err
	}
	if o.Small {
		return &NoIDsError{Why: o.Step}
	}
	err := userns.Exec("/proc/self/exe", p.Again.Argv, p.Again.Env, userns.Recorded())
	if err == unix.ENOENT {
		return errors.New("execute /proc/self/exe again: is /proc mounted?")
	}
	return err
}
