package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"coracle/image"
	"coracle/image/sif"
)

func sifCommand() command {
	return command{
		name: "sif", args: "header|list|info|dump …", short: "look at the parts of a SIF file", group: "Images",
		about:    "header shows the file's header, list its objects, info one of them, dump writes one to standard output.",
		examples: []string{`sif list app.sif`, `sif info 1 app.sif`, `sif dump 1 app.sif`},
		min:      1, max: 0,
		build: func() ([]flag, action) {
			return nil, func(*cli, []string) error { return nil } // never without a part
		},
		parts: func() []command {
			return []command{
				sifPart("header", "FILE", "show the header", 0, func(c *cli, f *sif.File, _ *sif.Descriptor) error { return printHeader(c.out, f) }),
				sifPart("list", "FILE", "list the objects", 0, func(c *cli, f *sif.File, _ *sif.Descriptor) error { return printObjects(c.out, f) }),
				sifPart("info", "ID FILE", "show what is known about an object", 1, func(c *cli, _ *sif.File, d *sif.Descriptor) error { return printObject(c.out, d) }),
				sifPart("dump", "ID FILE", "write an object to standard output", 1, func(c *cli, f *sif.File, d *sif.Descriptor) error {
					r, err := f.Section(d)
					if err == nil {
						_, err = io.Copy(c.out, r)
					}
					return err
				}),
			}
		},
	}
}

// sifPart is a command about a file, or with ids 1 about one of its objects.
func sifPart(name, args, short string, ids int, do func(*cli, *sif.File, *sif.Descriptor) error) command {
	return command{
		name: "sif " + name, args: args, short: short,
		examples: []string{"sif " + name + " " + map[int]string{0: "", 1: "1 "}[ids] + "app.sif"},
		min:      1 + ids, max: 1 + ids,
		build: func() ([]flag, action) {
			return nil, func(c *cli, args []string) error {
				path := args[ids]
				err := withSIF(path, func(f *sif.File) error {
					if ids == 0 {
						return do(c, f, nil)
					}
					d, err := object(f, args[0])
					if err != nil {
						return err
					}
					return do(c, f, d)
				})
				if _, usage := err.(*usageError); err != nil && !usage && !os.IsNotExist(err) {
					err = &image.PathError{Path: path, Err: err}
				}
				return err
			}
		},
	}
}

func withSIF(path string, do func(*sif.File) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	s, err := sif.Read(f, fi.Size())
	if err != nil {
		return err
	}
	return do(s)
}

// object returns the object with an id.
func object(f *sif.File, id string) (*sif.Descriptor, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return nil, usageErrorf("sif: %q is no number of an object", id)
	}
	for i := range f.Descriptors {
		if d := &f.Descriptors[i]; d.ID == uint32(n) {
			return d, nil
		}
	}
	return nil, fmt.Errorf("it has no object %d", n)
}

// printHeader and the others print as siftool does: scripts read that.
func printHeader(w io.Writer, f *sif.File) error {
	h := &f.Header
	t := tabwriter.NewWriter(w, 0, 8, 1, ' ', 0)
	row := func(key string, value any) { fmt.Fprintf(t, "%s:\t%s\n", key, oneLine(fmt.Sprint(value))) }
	if launch := strings.TrimSpace(h.Launch); launch != "" {
		row("Launch Script", launch)
	}
	row("Version", h.Version)
	row("Primary Architecture", known(h.Arch))
	row("ID", fmt.Sprintf("%x-%x-%x-%x-%x", h.ID[:4], h.ID[4:6], h.ID[6:8], h.ID[8:10], h.ID[10:]))
	row("Created At", utc(h.Created))
	row("Modified At", utc(h.Modified))
	row("Descriptors Free", h.DescriptorsFree)
	row("Descriptors Total", h.DescriptorsTotal)
	row("Descriptors Offset", h.DescriptorsOffset)
	row("Descriptors Size", h.DescriptorsSize)
	row("Data Offset", h.DataOffset)
	row("Data Size", h.DataSize)
	return t.Flush()
}

func printObjects(w io.Writer, f *sif.File) error {
	const rule = "------------------------------------------------------------------------------"
	if _, err := fmt.Fprintf(w, "%s\n%-5s|%-8s|%-8s|%-26s|%s\n%s\n", rule, "ID", "GROUP", "LINK", "SIF POSITION (start-end)", "TYPE", rule); err != nil {
		return err
	}
	for i := range f.Descriptors {
		d := &f.Descriptors[i]
		kind := d.Type.String()
		if p, ok := d.Partition(); ok {
			kind = fmt.Sprintf("%s (%v/%v/%s)", kind, p.FS, p.Part, known(p.Arch))
		}
		span := fmt.Sprintf("%d-%d", d.Offset, d.Offset+d.Size)
		if _, err := fmt.Fprintf(w, "%-5d|%-8s|%-8s|%-26s|%s\n", d.ID, number(d.Group), number(d.Link), span, kind); err != nil {
			return err
		}
	}
	return nil
}

func printObject(w io.Writer, d *sif.Descriptor) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(key string, value any) { fmt.Fprintf(t, "  %s:\t%s\n", key, oneLine(fmt.Sprint(value))) }
	row("Data Type", d.Type)
	row("ID", d.ID)
	row("Group ID", number(d.Group))
	row("Linked ID", number(d.Link))
	row("Offset", d.Offset)
	row("Size", d.Size)
	row("Created At", utc(d.Created))
	row("Modified At", utc(d.Modified))
	if d.Name != "" {
		row("Name", d.Name)
	}
	if p, ok := d.Partition(); ok {
		row("Filesystem Type", p.FS)
		row("Partition Type", p.Part)
		row("Architecture", known(p.Arch))
	}
	return t.Flush()
}

func utc(seconds int64) string {
	return time.Unix(seconds, 0).UTC().Format("2006-01-02 15:04:05 -0700 MST")
}

// number shows a group, or an object that another belongs to; its high bits mark a group.
func number(n uint32) string {
	if n &= 0x0fffffff; n != 0 {
		return strconv.FormatUint(uint64(n), 10)
	}
	return "NONE"
}

func known(arch string) string {
	if arch == "" {
		return "unknown"
	}
	return arch
}
