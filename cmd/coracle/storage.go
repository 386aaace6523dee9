//go:build !lean

package main

import (
	"os"

	"coracle/image/oci/storage"
	"coracle/runtime/probe"
)

// storage returns where Podman keeps images of this user.
func (c *cli) storage() ([]storage.Place, error) {
	return storage.Places(storage.User{Env: c.getenv, UID: os.Getuid(), Root: os.Getuid() == 0})
}

// storageMaps returns the ids that files there may belong to.
func (c *cli) storageMaps() storage.Maps {
	caller := probe.Self(c.env)
	ids := probe.SubIDs("", caller, probe.Facts("", caller).User)
	return storage.Maps{UIDs: ids.UIDs, GIDs: ids.GIDs, NewUIDMap: ids.NewUIDMap, NewGIDMap: ids.NewGIDMap}
}

// runHelper does the work of the process that reads files of subordinate ids, if this is one.
func runHelper(argv []string) (bool, error) {
	if !storage.IsHelper(argv) {
		return false, nil
	}
	return true, storage.Help(argv)
}
