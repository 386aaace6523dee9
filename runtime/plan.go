package runtime

import (
	"fmt"
	"strconv"
	"strings"

	"coracle/bind"
	"coracle/runtime/cgroup"
	"coracle/runtime/env"
)

// An IDRange maps Count ids from Inside on to ids from Outside on.
type IDRange struct {
	Inside, Outside, Count int
}

// A Plan is everything that a launch does, decided. It is plain data: it travels to the stage
// that carries it out, and --dry-run prints it.
type Plan struct {
	Program string // the name we go by
	Action  Action
	Join    bool   // join the image server's user namespace; else create one
	Share   string `json:",omitempty"` // launches with the same key share an image server; "": private
	Private string `json:",omitempty"` // why it is private
	Running int    `json:",omitempty"` // how many containers share it now, as far as somebody has asked ([Plan.Ask])
	UIDs    []IDRange
	GIDs    []IDRange
	User    string `json:",omitempty"`

	Fakeroot    Fakeroot  `json:",omitempty"` // how the user is root inside; "": not at all
	FakerootWhy string    `json:",omitempty"` // why in this way
	Drop        []int     `json:",omitempty"` // numbers of capabilities that root inside goes without
	Helpers     [2]string // FakerootIDs: paths of newuidmap and newgidmap

	Instance string `json:",omitempty"` // the name of the instance that is started, or visited
	Visit    bool   `json:",omitempty"` // the command runs in the namespaces of a running instance
	Of       string `json:",omitempty"` // Visit: the image of the instance, for people

	Again *Again `json:",omitempty"` // nothing is launched: a command line of ours is carried out as root inside

	PID      bool   `json:",omitempty"`
	Init     bool   `json:",omitempty"` // appinit is PID 1
	IPC      bool   `json:",omitempty"`
	UTS      bool   `json:",omitempty"`
	Net      bool   `json:",omitempty"`
	Hostname string `json:",omitempty"`

	Limits cgroup.Limits `json:",omitzero"` // of its own
	Group  cgroup.Place  `json:",omitzero"` // where they can be had

	Root     Root
	Writable bool    `json:",omitempty"` // the root, a Sandbox, is written to
	Images   []Root  // further images, for bind.Image operations; number 1 is Images[0]
	ExtMount string  `json:",omitempty"` // path of the program that mounts ext file systems, where there are some
	Extract  Extract `json:",omitzero"`  // where the image files are extracted; zero: they are mounted
	Layers   []Layer `json:",omitempty"` // what lies over the root, topmost first
	Upper    Upper   // what is written to
	Underlay bool    // provide missing mount points by binds; else overlayfs, and binds where that fails
	Layout   bind.Layout

	Dir           []string // directories to start in: the first that can be entered
	Home          string   `json:",omitempty"` // the home directory inside
	Umask         int      // -1: the caller's
	Env           env.Spec
	Command       *env.Command `json:",omitempty"` // what Env comes down to in Dir[0]; nil: only the container can tell
	Quiet         bool         `json:",omitempty"` // no warnings
	Timing        bool         `json:",omitempty"` // print how long each part of the launch takes
	WarningPrefix string       // how a warning begins
	NotePrefix    string       // how a remark begins
	ServerLog     string       `json:",omitempty"` // where an image server reports damage; "": the system log
	Warnings      []string
}

// mapText returns ranges in the form of /proc/PID/uid_map.
func mapText(ranges []IDRange) string {
	var b strings.Builder
	for _, r := range ranges {
		fmt.Fprintf(&b, "%d %d %d\n", r.Inside, r.Outside, r.Count)
	}
	return b.String()
}

func (r IDRange) String() string {
	if r.Count == 1 {
		return strconv.Itoa(r.Outside) + " → " + strconv.Itoa(r.Inside)
	}
	return fmt.Sprintf("%d–%d → %d–%d", r.Outside, r.Outside+r.Count-1, r.Inside, r.Inside+r.Count-1)
}
