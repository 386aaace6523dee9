package runtime

import "coracle/bind"

// devices mounts the host's /dev, or with --contain a minimal one.
func (m *mounter) devices() {
	switch {
	case m.without("dev"):
	case m.req.Contain:
		m.minimalDev()
	default:
		m.add(bind.Op{Type: bind.Bind, Source: "/dev", Target: "/dev", Why: "default"})
	}
}

// minimalDev fills a tmpfs on /dev with what programs cannot do without.
func (m *mounter) minimalDev() {
	const why = "--contain"
	m.add(bind.Op{Type: bind.Tmpfs, Target: "/dev", NoExec: true, Why: why})
	for _, node := range [...]string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"} {
		m.add(bind.Op{Type: bind.Bind, Source: node, Target: node, NoRec: true, Optional: true, Why: why})
	}
	if m.facts.TTY != "" {
		// The caller's terminal belongs to the host's devpts, which is not to be seen:
		// ttyname(3) finds it under this name.
		m.add(bind.Op{Type: bind.Bind, Source: m.facts.TTY, Target: "/dev/console", NoRec: true, Optional: true, Why: why})
	}
	if !m.without("devpts") {
		m.add(bind.Op{Type: bind.Devpts, Target: "/dev/pts", NoExec: true, Why: why})
		m.add(bind.Op{Type: bind.Link, Source: "pts/ptmx", Target: "/dev/ptmx", Why: why})
	}
	m.add(bind.Op{Type: bind.Tmpfs, Target: "/dev/shm", NoDev: true, Perm: 0o1777, Why: why})
	if m.req.IPC {
		m.add(bind.Op{Type: bind.Mqueue, Target: "/dev/mqueue", NoDev: true, NoExec: true, Optional: true, Why: "--ipc"})
	} else {
		// Message queues belong to the IPC namespace, which is the host's: mq_open(3) works whatever
		// is mounted here, and this shows what there is.
		m.add(bind.Op{Type: bind.Bind, Source: "/dev/mqueue", Target: "/dev/mqueue", NoDev: true, NoExec: true, NoRec: true, Optional: true, Why: why})
	}
	for _, l := range [...]struct{ target, text string }{
		{"/dev/fd", "/proc/self/fd"},
		{"/dev/stdin", "/proc/self/fd/0"},
		{"/dev/stdout", "/proc/self/fd/1"},
		{"/dev/stderr", "/proc/self/fd/2"},
	} {
		m.add(bind.Op{Type: bind.Link, Source: l.text, Target: l.target, Why: why})
	}
}
