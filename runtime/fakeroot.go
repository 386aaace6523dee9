package runtime

import (
	"fmt"
	"strconv"
	"strings"

	"coracle/userns"
)

// A Fakeroot is a way to be root inside a container.
type Fakeroot string

// The ways, the better one first.
const (
	// FakerootIDs: inside there are the ids 1 to 65536, too, as far as the user's subordinate ids go. Owners can be
	// changed, other users can be had, setuid programs of the image work.
	FakerootIDs Fakeroot = "ids"
	// FakerootFilter: inside there is root alone. A seccomp filter lets chown, mknod of devices, setuid and their kin
	// succeed without effect.
	FakerootFilter Fakeroot = "filter"
)

const (
	subIDs    = 65536 // how many subordinate ids are mapped at most, from 1 on
	maxRanges = 64    // lines of an id map: what a header has room for
)

// An identity is who the caller is inside, and how.
type identity struct {
	way        Fakeroot
	why        string
	uids, gids []IDRange
	warning    string // "" none
}

// identify decides who the caller is inside.
func identify(req *Request, facts *Facts) identity {
	if !req.Fakeroot {
		return identity{uids: []IDRange{{facts.UID, facts.UID, 1}}, gids: []IDRange{{facts.GID, facts.GID, 1}}}
	}
	sub := &facts.SubIDs
	missing, cure := sub.missing(facts)
	if req.IgnoreSubUID || missing != "" {
		who := identity{
			way: FakerootFilter, why: "--fakeroot --ignore-subuid",
			uids: fillRanges(facts.UID, nil), gids: fillRanges(facts.GID, nil),
		}
		if !req.IgnoreSubUID {
			who.why = "--fakeroot; " + missing
			who.warning = missing + ": " + onlyRoot + "; " + cure
		}
		return who
	}
	return identity{
		way: FakerootIDs, why: "--fakeroot; by " + sub.NewUIDMap + " and " + sub.NewGIDMap,
		uids: fillRanges(facts.UID, sub.UIDs), gids: fillRanges(facts.GID, sub.GIDs),
	}
}

// onlyRoot is what a user is told who has no ids but the own one.
const onlyRoot = "root is the only user inside, and chown, mknod and setuid only seem to work"

// missing says what stands in the way of mapping subordinate ids, and what to do about it; "" nothing.
func (s *SubIDs) missing(facts *Facts) (what, cure string) {
	user := facts.User
	if user == "" {
		user = strconv.Itoa(facts.UID)
	}
	var files, flags []string
	block := fmt.Sprintf("%d-%d", s.Free, s.Free+subIDs-1)
	if len(s.UIDs) == 0 {
		files, flags = append(files, "/etc/subuid"), append(flags, "--add-subuids "+block)
	}
	if len(s.GIDs) == 0 {
		files, flags = append(files, "/etc/subgid"), append(flags, "--add-subgids "+block)
	}
	switch {
	case len(files) > 0:
		return fmt.Sprintf("no subordinate ids for %s in %s", user, strings.Join(files, " and ")),
			fmt.Sprintf("ask the administrator for the line %s:%d:%d in %s, or to run: usermod %s %s",
				user, s.Free, subIDs, strings.Join(files, " and "), strings.Join(flags, " "), user)
	case s.NewUIDMap == "" || s.NewGIDMap == "":
		return "newuidmap and newgidmap are not there, or not setuid",
			"ask the administrator to install the package uidmap (Debian, Ubuntu) or shadow-utils (Red Hat, SUSE)"
	case s.NoNewPrivs:
		return "no_new_privs is set, under which newuidmap and newgidmap have no rights",
			"start the command where nothing around it sets that"
	}
	return "", ""
}

// fillRanges maps 0 to the caller's own id and the ids from 1 on to the ranges, one after the other. A range
// that overlaps with what is mapped already is left out: the kernel would take none of it.
func fillRanges(own int, ranges []userns.SubRange) []IDRange {
	list := []IDRange{{0, own, 1}}
	next := 1
	for _, r := range ranges {
		n := min(r.Count, subIDs+1-next)
		if n == 0 || len(list) == maxRanges {
			break
		}
		if !overlaps(list, r.First, n) {
			list = append(list, IDRange{next, r.First, n})
			next += n
		}
	}
	return list
}

func overlaps(list []IDRange, first, count int) bool {
	for _, r := range list {
		if first < r.Outside+r.Count && r.Outside < first+count {
			return true
		}
	}
	return false
}

// reach is how many ids are mapped inside, from 0 on.
func reach(ranges []IDRange) int {
	last := ranges[len(ranges)-1]
	return last.Inside + last.Count
}

// rootEnv is the caller's environment with root's name in it.
func rootEnv(env []string) []string {
	out := make([]string, len(env))
	for i, kv := range env {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "USER", "LOGNAME":
			kv = name + "=root"
		}
		out[i] = kv
	}
	return out
}

// settle changes the plan where the host's helpers did not do what was planned: why is what they said.
func (p *Plan) settle(why string) (warning string) {
	p.Fakeroot = FakerootFilter
	return why + ": " + onlyRoot
}
