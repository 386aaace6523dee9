// Package runtime plans and carries out the launch of a container.
//
// [Request] (what is asked for), [Facts] (what the host is like) and [Root] (what the
// image is) are plain data; New makes a [Plan] of them without touching anything.
// Launch and Enter carry a plan out.
package runtime

import (
	"coracle/bind"
	"coracle/bind/gpu"
	"coracle/runtime/cgroup"
	"coracle/userns"
)

// An Action is one of the ways to start something in a container.
type Action string

// The actions, named as the commands that ask for them.
const (
	Exec  Action = "exec"
	Run   Action = "run"
	Shell Action = "shell"
	Test  Action = "test"
	Start Action = "start" // an instance's start script
)

// A Request is what the user asks for: flags, environment keys and configuration resolved
// to plain data. The zero value of every field means "not asked for".
type Request struct {
	Program string // the name we go by: "coracle", "apptainer" or "singularity"
	Action  Action
	Image   string   // the image as the user named it
	Args    []string // Exec: command and arguments. Run, Test: arguments. Shell: unused
	Cwd     string   // the caller's working directory, absolute, as $PWD names it when $PWD is right
	Env     []string // the caller's whole environment, "K=V"

	Binds    []bind.Spec // --bind, --mount and their environment keys, in order
	Home     bind.Spec   // --home; zero: the user's own
	NoHome   bool
	NoMount  []string  // names and absolute paths of --no-mount
	Workdir  string    // absolute; "" none
	Scratch  []string  // targets of --scratch
	Pwd      string    // --cwd, --pwd: the directory to start in
	Contain  bool      // minimal /dev, empty home and temporary directories
	NoShare  bool      // an image server of its own
	Underlay bool      // never overlayfs for missing mount points
	TmpDir   string    // where image files are extracted if they are, absolute; "": wherever there is room
	Unsquash bool      // extract image files, whether there is FUSE or not
	Overlays []Overlay // --overlay, in order: the last one lies on top

	Writable       bool // what is written goes into the image itself, a directory
	WritableTmpfs  bool
	TmpfsSize      int64  // bytes of --writable-tmpfs=SIZE; 0: half of the memory that the job may use
	TmpfsPercent   int    // the same as a share of that memory; 0: not given so
	TmpfsImplied   bool   // nobody asked for it by name: where it cannot be, the container is read-only
	ScratchOverlay string // directory in which a writable layer is made for as long as the container runs; "" none

	Compat bool // already spread over the other fields; kept for the record

	PID      bool // own pid namespace
	NoInit   bool // the payload itself is PID 1
	IPC      bool
	UTS      bool
	Hostname string // implies UTS
	Net      bool
	DNS      []string // addresses of name servers, in place of the host's resolv.conf
	Network  string   // "none" is what an ordinary user can have; "" with Net means none

	CleanEnv bool
	NoMPIEnv bool
	NoEnv    []string // names of --no-env
	SetEnv   []string // "K=V" of --env-file, then of --env: later ones win
	NoEval   bool
	App      string
	ShellBin string // shell only: --shell
	NoUmask  bool

	SiteBinds []bind.Spec // of configuration files; what is not there is left out
	NV, ROCm  bool        // the host's drivers
	Devices   []string    // whole CDI names of devices
	CDIDirs   []string    // where their specifications are, absolute; nil: where they always are
	GPUIfAny  bool        // nobody asked for them by name
	Limits    cgroup.Limits

	Instance string // the name of the instance to start; "" none

	Fakeroot     bool  // root inside
	IgnoreSubUID bool  // Fakeroot: as if the user had no subordinate ids
	Drop         []int // Fakeroot: the numbers of capabilities that it goes without

	DryRun  bool
	Quiet   bool // no warnings
	Timing  bool // print how long each part of the launch takes
	Verbose int
}

// A RootKind says how an image becomes a root directory.
type RootKind string

// The kinds of root.
const (
	Squashfs RootKind = "squashfs"  // a squashfs file system inside a file, served by an image server
	Sandbox  RootKind = "directory" // a directory that is bound
	Ext      RootKind = "ext"       // an ext3 or ext4 file system inside a file, served by the host's fuse2fs under an image server
)

// A Root is the image: where its file system is and how to look into it.
type Root struct {
	Kind   RootKind
	Path   string // absolute path of the file or directory, symlinks resolved; with Descriptor: a name for people
	Offset int64  // of a file: where the file system starts in the file, in bytes
	Size   int64  // of a file: how long the file system is, in bytes
	Arch   string // GOARCH name that the image says it is for; "" unknown
	Detail string // for people: "squashfs zstd, 37 019 files"

	Device, Inode uint64    // of a file: identity of the file that was looked at
	Length        int64     // of a file: length of the whole file, in bytes
	ModTime       int64     // of a file: its modification time, in ns since 1970
	Tree          bind.Tree `json:"-"`

	Descriptor int `json:"-"` // of a file: of the open file, where it has no name; 0: it is at Path
}

// served tells whether an image server has to provide the root.
func (r *Root) served() bool { return r.Kind == Squashfs || r.Kind == Ext }

// Facts are what the planner knows of the host and of the caller. Package probe reads them.
type Facts struct {
	UID, GID  int
	Groups    []int
	User      string // login name; "" when the user database has none
	Gecos     string
	HomeDir   string // the user database's home, or $HOME where that says so; "" none
	LoginSh   string
	GroupName string         // of GID; "" unknown
	GroupTags map[int]string // names of Groups, as far as known

	Host     bind.Tree `json:"-"` // the host's tree
	Arch     string    // GOARCH name of this machine
	Release  string    // kernel release, uname -r
	Fuse     error     `json:"-"` // nil: /dev/fuse can be opened; else why not
	Room     []Place   // directories that image files may be extracted in, in order; looked at where FUSE is missing or not wanted
	UserNS   error     `json:"-"` // nil: user namespaces look permitted; else which switch forbids them
	Overlay  bool      // overlayfs can be expected in user namespaces
	Umask    int
	Scope    string         // what launches must have in common to share an image server; "": nothing to be sure of
	Memory   int64          // bytes of memory that the job may use, where the request depends on it; 0 unknown
	Scratch  Place          // where Request.ScratchOverlay is
	Sandbox  Place          // the image, for Request.Writable
	Overlays []OverlayFacts // what Request.Overlays are, in the same order
	SubIDs   SubIDs         // for Request.Fakeroot; zero unless that is asked for
	ExtMount string         // path of fuse2fs; "" none
	GPUs     []gpu.Found    // the drivers that the request asks for
	NoGPUs   []string       // names of those of which there is nothing
	Group    cgroup.Place   // the caller's, where the request has limits
	TTY      string         // the terminal of standard input, output or error, as the host names it: /dev/pts/3; "" none
}

// SubIDs are the caller's subordinate ids and what it takes to map them.
type SubIDs struct {
	UIDs, GIDs           []userns.SubRange
	Free                 int    // the first id that nobody has been given
	NewUIDMap, NewGIDMap string // paths of the helpers that may write id maps; "" none
	NoNewPrivs           bool   // no_new_privs is set: the helpers have no rights
}
