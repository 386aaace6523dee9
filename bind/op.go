package bind

// A Type says what an [Op] does.
type Type string

// The operations, in the words that --dry-run prints.
const (
	Bind   Type = "bind"    // a host path onto a target
	Image  Type = "image"   // a directory or file inside a second image onto a target
	Tmpfs  Type = "tmpfs"   // a new memory file system
	Proc   Type = "proc"    // a new procfs of the container's pid namespace
	Devpts Type = "devpts"  // a new instance of the pseudo-terminal file system
	Mqueue Type = "mqueue"  // POSIX message queues of the container's ipc namespace
	Data   Type = "file"    // a generated file, bound onto a target
	Mkdir  Type = "mkdir"   // a directory inside a tmpfs that an earlier operation mounted
	Mkfile Type = "mkfile"  // an empty file inside such a tmpfs, to bind something onto
	Link   Type = "symlink" // a symlink inside such a tmpfs
)

// An Op is one step of building the container's tree. Steps run in order.
type Op struct {
	Type     Type
	Source   string `json:",omitempty"` // Bind: absolute host path, resolved as the caller sees it. Link: the link's text
	Target   string // absolute path in the container, free of symlinks
	Image    int    `json:",omitempty"` // Image: which of the launch's images, 1 and up (0 is the root); Source is the path inside it
	ReadOnly bool   `json:",omitempty"`
	NoRec    bool   `json:",omitempty"` // Bind: leave the submounts out. Zero: recursive
	NoDev    bool   `json:",omitempty"`
	NoExec   bool   `json:",omitempty"`
	Suid     bool   `json:",omitempty"` // honour setuid bits below it. Zero: nosuid
	Optional bool   `json:",omitempty"` // a failure of this step is skipped in silence
	Perm     uint32 `json:",omitempty"` // Tmpfs, Mkdir, Mkfile, Data: permission bits. Zero: 0755 for directories, 0644 for files
	Size     int64  `json:",omitempty"` // Tmpfs: bytes. Zero: the kernel's default, half of the memory
	Content  []byte `json:",omitempty"` // Data: the file's bytes
	Why      string // the reason it is there: a flag ("--bind"), a key, "home", "default"
}

// A Point is a mount point that the image lacks and that a read-only layer
// over the image (overlay), or a patchwork of binds (underlay), provides.
type Point struct {
	Path string // absolute, free of symlinks
	Kind Kind   // Directory or File
	Perm uint32 // permission bits; for a directory that the image has, the image's own
}

// A Layout is the tree of a container: the points to add to the image's root
// and the operations upon it.
type Layout struct {
	Points   []Point // sorted by path; parents stand before children, parents that the image has are left out
	Ops      []Op
	Parents  []Point  // directories of the image that Points stand in, "/" included, with the image's permission bits; sorted
	Make     []Point  // what to make on the host before the first operation (host paths, parents first); what is there already is fine
	Warnings []string // whole sentences without a final period
}
