package fusewire

// NotifyInvalInode stands in place of the error in a message that nobody has asked for, with Unique 0: an [InvalInode] follows.
const NotifyInvalInode = 2

// An InvalInode has the kernel forget the attributes of a node, and what it keeps of its contents, or of its listing, from an offset on.
type InvalInode struct {
	Node   uint64
	Offset int64 // negative: the attributes alone
	Len    int64 // 0: to the end
}
