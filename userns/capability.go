package userns

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// capabilityNames lists the capabilities by number.
//
// Source: linux/capability.h.
func capabilityNames() []string {
	return []string{
		"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
		"net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot",
		"sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease",
		"audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read",
		"perfmon", "bpf", "checkpoint_restore",
	}
}

// Capability returns the number of a capability: CAP_CHOWN, cap_chown and chown are one.
func Capability(name string) (number int, ok bool) {
	number = slices.Index(capabilityNames(), strings.TrimPrefix(strings.ToLower(name), "cap_"))
	return number, number >= 0
}

// CapabilityName is the name of a capability by its number, as CAP_CHOWN.
func CapabilityName(number int) string { return "CAP_" + strings.ToUpper(capabilityNames()[number]) }

// Capabilities lists the numbers of all capabilities that have names.
func Capabilities() []int {
	list := make([]int, len(capabilityNames()))
	for i := range list {
		list[i] = i
	}
	return list
}

// LimitCapabilities takes capabilities from whatever this process executes: no file and no user id gives them back.
// Those that the kernel does not know are gone already.
func LimitCapabilities(drop []int) error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&head, &sets[0]); err != nil {
		return err
	}
	for _, n := range drop {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0); err != nil && err != unix.EINVAL {
			return err
		}
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_LOWER, uintptr(n), 0, 0); err != nil && err != unix.EINVAL {
			return err
		}
		sets[n/32].Inheritable &^= 1 << (n % 32)
	}
	return unix.Capset(&head, &sets[0])
}
