package squash

import (
	"strconv"
	"strings"
)

// ParseMksquashfsArgs takes over what options of mksquashfs say about the
// image: -comp, -Xcompression-level, -Xhc, -b, -processors, -mkfs-time,
// -no-fragments, -always-use-fragments, -no-duplicates, -no-exports,
// -no-compression. Those about how mksquashfs works (-no-progress, -mem …) do
// nothing. The error wraps [ErrFormat]; it names an option that is not known.
//
// Source: mksquashfs(1) of squashfs-tools 4.5.1.
func (o *WriterOptions) ParseMksquashfsArgs(args []string) error {
	for len(args) > 0 {
		used, err := o.mksquashfsArg(args)
		if err != nil {
			return err
		}
		args = args[used:]
	}
	_, err := o.Compression.encoding()
	return err
}

// mksquashfsArg takes over one option and returns the number of its words.
func (o *WriterOptions) mksquashfsArg(args []string) (used int, err error) {
	switch args[0] {
	case "-no-fragments":
		o.NoFragments = true
	case "-always-use-fragments":
		o.AlwaysFragments = true
	case "-no-duplicates":
		o.NoDuplicates = true
	case "-no-exports":
		o.NoExport = true
	case "-exports":
		o.NoExport = false
	case "-no-compression":
		o.Compression = Compression{None: true}
	case "-Xhc":
		o.Compression.Level = 9
	case "-no-progress", "-progress", "-quiet", "-noappend", "-no-recovery", "-info", "-reproducible":
	case "-mem", "-read-queue", "-write-queue", "-fragment-queue":
		return 2, nil
	default:
		return o.mksquashfsValue(args)
	}
	return 1, nil
}

// mksquashfsValue takes over an option that has a value.
func (o *WriterOptions) mksquashfsValue(args []string) (used int, err error) {
	name := args[0]
	var into *int
	switch name {
	case "-comp", "-b", "-mkfs-time", "-fstime":
	case "-Xcompression-level":
		into = &o.Compression.Level
	case "-processors":
		into = &o.Workers
	default:
		return 0, unfit("mksquashfs option %q", name)
	}
	if len(args) < 2 {
		return 0, unfit("mksquashfs option %q without a value", name)
	}
	value := args[1]
	switch {
	case into != nil:
		*into, err = strconv.Atoi(value)
	case name == "-comp":
		var c Compression
		c, err = ParseCompression(value)
		o.Compression.Compressor, o.Compression.None = c.Compressor, c.None
	case name == "-b":
		o.BlockSize, err = ParseBlockSize(value)
	default:
		o.MTime, err = strconv.ParseInt(value, 10, 64)
	}
	if err != nil {
		return 0, unfit("mksquashfs option %s %q", name, value)
	}
	return 2, nil
}

// ParseBlockSize reads a block size: "131072", "128K" or "1M". The error wraps
// [ErrFormat].
func ParseBlockSize(s string) (int, error) {
	digits, shift := s, 0
	for suffix, n := range map[string]int{"K": 10, "M": 20} {
		if d, ok := strings.CutSuffix(strings.ToUpper(s), suffix); ok {
			digits, shift = d, n
		}
	}
	n, err := strconv.ParseUint(digits, 10, 21)
	if err != nil || checkBlockSize(int(n)<<shift) != nil {
		return 0, unfit("block size %q", s)
	}
	return int(n) << shift, nil
}
