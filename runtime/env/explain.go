package env

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Explain turns the failure of execve(2) into an [*ExecError] that says what is wrong
// with the file, or into another command to try: a text file without a "#!" line is run
// by /bin/sh, as execvp(3) does.
func (in Inside) Explain(cmd Command, err error) (Command, error) {
	name := ""
	if len(cmd.Argv) > 0 {
		name = cmd.Argv[0]
	}
	var buf [4096]byte
	head, _ := in.readHead(cmd.Path, buf[:])
	switch {
	case errors.Is(err, unix.ENOEXEC):
		return in.explainFormat(cmd, name, head)
	case errors.Is(err, unix.ENOENT):
		if interpreter, ok := shebang(head); ok {
			return cmd, &ExecError{Name: name, Err: ErrInterpreter, Detail: Text(interpreter).Quoted()}
		}
		if loader := elfLoader(head); loader != "" && in.kind(loader) == missing {
			return cmd, &ExecError{Name: name, Err: ErrInterpreter, Detail: Text(loader).Quoted()}
		}
		if in.kind(cmd.Path) == missing {
			return cmd, &ExecError{Name: name, Err: ErrNoFile}
		}
	case errors.Is(err, unix.EACCES):
		if interpreter, ok := shebang(head); ok {
			if in.kind(interpreter) != missing && !in.executable(interpreter) {
				return cmd, &ExecError{Name: name, Err: ErrNotExecutable, Detail: "its interpreter " + interpreter}
			}
		}
		return cmd, &ExecError{Name: name, Err: ErrNotExecutable, Detail: detail(name, cmd.Path)}
	case errors.Is(err, unix.E2BIG):
		return cmd, &ExecError{Name: name, Err: err, Detail: "arguments and environment together are too long"}
	}
	return cmd, &ExecError{Name: name, Err: err}
}

// explainFormat is for files that the kernel does not know how to execute.
func (in Inside) explainFormat(cmd Command, name string, head []byte) (Command, error) {
	if machine, ok := elfMachine(head); ok {
		if theirs := machineName(machine); theirs != strings.TrimSuffix(runtime.GOARCH, "le") {
			return cmd, &ExecError{Name: name, Err: ErrArch, Detail: theirs + ", this one is " + runtime.GOARCH}
		}
		return cmd, &ExecError{Name: name, Err: ErrFormat, Detail: "a damaged ELF file?"}
	}
	binaryFile := len(head) == 0
	for _, c := range head[:min(len(head), 128)] {
		if c == '\n' {
			break
		}
		binaryFile = binaryFile || c == 0
	}
	switch {
	case binaryFile || cmd.Path == binSh:
		return cmd, &ExecError{Name: name, Err: ErrFormat}
	case !in.executable(binSh):
		return cmd, &ExecError{Name: name, Err: ErrNoShell, Detail: "the file is a script without a #! line"}
	}
	// Not under the script's name: busybox goes by its own.
	cmd.Argv = append([]string{binSh, cmd.Path}, cmd.Argv[1:]...)
	cmd.Path = binSh
	return cmd, nil
}

// elfOrder returns the byte order of an ELF file and whether it is a 64-bit one.
func elfOrder(head []byte) (order binary.ByteOrder, wide, ok bool) {
	if !isELF(head) || len(head) < 52 {
		return nil, false, false
	}
	order = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	wide = head[4] == 2
	return order, wide, !wide || len(head) >= 64
}

// elfMachine returns the machine that an ELF file is for.
func elfMachine(head []byte) (uint16, bool) {
	order, _, ok := elfOrder(head)
	if !ok {
		return 0, false
	}
	return order.Uint16(head[18:]), true
}

// elfLoader returns the dynamic loader that an ELF file names, "" when it names none
// within the first bytes.
//
// Source: System V ABI, "Program Header", PT_INTERP.
func elfLoader(head []byte) string {
	order, wide, ok := elfOrder(head)
	if !ok {
		return ""
	}
	var off uint64
	var size, count int
	if wide {
		off, size, count = order.Uint64(head[32:]), int(order.Uint16(head[54:])), int(order.Uint16(head[56:]))
	} else {
		off, size, count = uint64(order.Uint32(head[28:])), int(order.Uint16(head[42:])), int(order.Uint16(head[44:]))
	}
	for i := range count {
		at := off + uint64(i*size)
		if size < 32 || off > uint64(len(head)) || at+uint64(size) > uint64(len(head)) {
			return ""
		}
		entry := head[at:]
		if order.Uint32(entry) != ptInterp {
			continue
		}
		var start, length uint64
		if wide && size >= 56 {
			start, length = order.Uint64(entry[8:]), order.Uint64(entry[32:])
		} else if !wide {
			start, length = uint64(order.Uint32(entry[4:])), uint64(order.Uint32(entry[16:]))
		}
		if start > uint64(len(head)) || length > uint64(len(head))-start || length < 2 {
			return ""
		}
		return string(head[start : start+length-1])
	}
	return ""
}

// ptInterp is the type of the program header that names the dynamic loader.
const ptInterp = 3

// machines are the values of e_machine that clusters have, in the words of Go's GOARCH.
//
// Source: System V ABI, "ELF Header", e_machine.
var machines = map[uint16]string{
	3: "386", 21: "ppc64", 22: "s390x", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv64", 258: "loong64",
}

// machineName names a machine.
func machineName(machine uint16) string {
	if name, ok := machines[machine]; ok {
		return name
	}
	return fmt.Sprintf("machine %d", machine)
}
