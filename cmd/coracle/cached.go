//go:build !lean

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"coracle/image"
	"coracle/image/cache"
	"coracle/image/oci"
	"coracle/image/output"
)

// cachedImage returns the path of the image file of ref, which it makes if need be. An
// unchanged tag costs one request.
func (c *cli) cachedImage(ref string, s *sourceFlags) (string, error) {
	if s.disableCache {
		return "", usageErrorf("with --disable-cache, no file of %s is kept", ref)
	}
	m, err := c.newMaker(s, &writerFlags{})
	if err != nil {
		return "", err
	}
	defer m.show.stop()
	if m.cache == nil {
		return "", cache.ErrNoDir
	}
	ctx, cause := interruptible()
	path, err := m.cached(ctx, ref)
	return path, cause(full(err))
}

func (m *maker) cached(ctx context.Context, ref string) (string, error) {
	if oci.IsFile(ref) {
		src, err := oci.FindFile(ctx, ref, &m.oci)
		if err != nil {
			return "", err
		}
		defer src.Close()
		return m.cache.Image(ctx, cache.Key{Source: src.Name, Digest: src.Digest}, func(f *output.File) error {
			_, err := m.copy(ctx, f, src, filepath.Dir(f.Name()))
			return err
		})
	}
	src, err := oci.Find(ctx, ref, &m.oci)
	if err != nil {
		return "", err
	}
	defer src.Close()
	key := cache.Key{Source: src.Name, Digest: src.Digest, Platform: src.Platform().String(), Settings: m.settings()}
	var made made
	path, err := m.cache.Image(ctx, key, func(f *output.File) error {
		var err error
		made, err = m.convert(ctx, f, src, filepath.Dir(f.Name()))
		return err
	})
	m.keep(path, made.Kept)
	return path, err
}

// writeImage writes the image of ref into f, and keeps nothing.
func (c *cli) writeImage(f *os.File, ref string, s *sourceFlags) error {
	m, err := c.newMaker(s, &writerFlags{})
	if err != nil {
		return err
	}
	defer m.show.stop()
	ctx, cause := interruptible()
	_, err = m.fill(ctx, f, ref, s.temp(c))
	return cause(full(err))
}

// settings tells what changes the bytes of an image, beside its source.
func (m *maker) settings() string {
	if m.build.Time == nil {
		return ""
	}
	return "time " + strconv.FormatInt(*m.build.Time, 10)
}

// printCached prints where the image file of ref is, or writes it where the flags say.
func (c *cli) printCached(ref string, f *cacheFlags) error {
	s := &f.source
	if f.into != "" {
		fd, err := strconv.ParseUint(f.into, 10, 16)
		if err != nil {
			return usageErrorf("--into %q is no descriptor", f.into)
		}
		return c.writeImage(os.NewFile(uintptr(fd), ref), ref, s)
	}
	path, err := c.cachedImage(ref, s)
	if err == nil {
		_, err = fmt.Fprintln(c.out, path)
	}
	return err
}

// listCache shows what the cache keeps.
func (c *cli) listCache(f *cacheFlags) error {
	list, _, err := c.chosen(f, nil)
	if err != nil {
		return err
	}
	if f.json {
		if list == nil {
			list = []cache.Entry{}
		}
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(list)
	}
	var total int64
	for _, e := range list {
		total += e.Size
		fmt.Fprintf(c.out, "%-5s  %8s  %9s  %s\n", e.Kind, mib(e.Size), age(time.Since(e.Used)), oneLine(e.Name))
	}
	fmt.Fprintf(c.out, "%d entries, %s\n", len(list), mib(total))
	return nil
}

// chosen lists the entries that the flags and names choose.
func (c *cli) chosen(f *cacheFlags, names []string) ([]cache.Entry, string, error) {
	filter := cache.Filter{Kind: f.kinds, Names: names}
	switch f.kinds {
	case "", cache.KindImage, cache.KindBlob, cache.KindLayer:
	default:
		return nil, "", usageErrorf("--type %q is none of image, blob, layer", f.kinds)
	}
	if f.days != "" {
		n, err := strconv.Atoi(f.days)
		if err != nil || n < 0 || n > 36500 {
			return nil, "", usageErrorf("--days %q is no number of days", f.days)
		}
		filter.Older = time.Duration(n) * 24 * time.Hour
	}
	dir, err := cache.Dir(c.getenv)
	if err != nil {
		return nil, "", err
	}
	all, err := cache.List(dir)
	var list []cache.Entry
	for _, e := range all {
		if filter.Matches(e, time.Now()) {
			list = append(list, e)
		}
	}
	return list, dir, err
}

// cleanCache removes what the flags and names choose.
func (c *cli) cleanCache(f *cacheFlags, names []string) error {
	list, dir, err := c.chosen(f, names)
	if err != nil {
		return err
	}
	if len(names) > 0 && len(list) == 0 {
		c.warn("the cache has nothing of that name: " + c.program + " cache list shows what there is")
	}
	var total int64
	for _, e := range list {
		total += e.Size
		if f.dryRun {
			fmt.Fprintf(c.out, "would remove %-5s  %8s  %s\n", e.Kind, mib(e.Size), oneLine(e.Name))
			continue
		}
		if err := cache.Remove(e); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if f.dryRun {
		return nil
	}
	cache.Sweep(dir, time.Now())
	if !c.global.quiet && !c.global.silent {
		fmt.Fprintf(c.err, "removed %d entries, %s\n", len(list), mib(total))
	}
	return nil
}

func mib(n int64) string {
	if n < 10<<20 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return image.Thousands(n>>20) + " MiB"
}

func age(d time.Duration) string {
	switch {
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
