//go:build !lean

package main

import (
	"fmt"
	"strconv"
	"strings"

	"coracle/squash"
	"coracle/squash/lz4"
)

// options returns the settings of the squashfs writer.
func (w *writerFlags) options() (squash.WriterOptions, error) {
	var o squash.WriterOptions
	if err := mksquashfsArgs(&o, strings.Fields(w.mksquashfs)); err != nil {
		return o, err
	}
	if w.compression != "" {
		var err error
		if o.Compression, err = squash.ParseCompression(w.compression); err != nil {
			return o, usageErrorf("--compression: %v", err)
		}
	}
	if w.blockSize != "" {
		n, err := parseSize(w.blockSize)
		if err != nil {
			return o, usageErrorf("--block-size: %v", err)
		}
		o.BlockSize = int(min(n, 1<<30))
	}
	if bs := o.BlockSize; bs != 0 && (bs < squash.MinBlockSize || bs > squash.MaxBlockSize || bs&(bs-1) != 0) {
		return o, usageErrorf("block size %d: want a power of two from 4K to 1M", bs)
	}
	return o, nil
}

// mksquashfsArgs understands arguments of mksquashfs that say something that our writer
// can do, and those that it does anyway.
func mksquashfsArgs(o *squash.WriterOptions, args []string) error {
	comp, level, hc := "", "", false
	for i := 0; i < len(args); i++ {
		value := func() string {
			if i++; i < len(args) {
				return args[i]
			}
			return ""
		}
		switch arg := args[i]; arg {
		case "-comp":
			comp = value()
		case "-Xcompression-level":
			level = value()
		case "-Xhc": // of lz4, which has no levels there: its highest
			hc = true
		case "-b":
			n, err := parseSize(value())
			if err != nil {
				return usageErrorf("--mksquashfs-args: -b: %v", err)
			}
			o.BlockSize = int(min(n, 1<<30))
		case "-processors":
			n, err := strconv.Atoi(value())
			if err != nil || n < 1 {
				return usageErrorf("--mksquashfs-args: -processors needs a number")
			}
			o.Workers = n
		case "-noD", "-no-compression":
			comp = "none"
		case "-no-fragments":
			o.NoFragments = true
		case "-always-use-fragments":
			o.AlwaysFragments = true
		case "-no-duplicates":
			o.NoDuplicates = true
		case "-no-exports":
			o.NoExport = true
		case "-mem", "-mem-percent":
			value()
		case "-noappend", "-no-progress", "-progress", "-quiet", "-no-recovery", "-exports", "-xattrs":
		default:
			return usageErrorf("--mksquashfs-args: %q is not understood", arg)
		}
	}
	if comp == "" && level != "" {
		comp = "zstd"
	}
	if hc {
		if comp != "lz4" || level != "" {
			return usageErrorf("--mksquashfs-args: -Xhc goes with -comp lz4 alone")
		}
		level = strconv.Itoa(lz4.MaxLevel)
	}
	if comp == "" {
		return nil
	}
	if level != "" {
		comp += ":" + level
	}
	c, err := squash.ParseCompression(comp)
	if err != nil {
		return usageErrorf("--mksquashfs-args: %v", err)
	}
	o.Compression = c
	return nil
}

// parseSize reads a number of bytes: "4096", "128K", "1M", "20G", "1T".
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(strings.TrimSuffix(strings.ToUpper(s), "B"), "KMGTI")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s)[len(digits):], "B"), "I")
	shift, ok := map[string]uint{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[unit]
	if err != nil || !ok || n < 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("%q is no size (as 128K, 20G)", s)
	}
	return n << shift, nil
}
