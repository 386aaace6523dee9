package sif

import "fmt"

// A DataType is the type of a data object.
type DataType uint32

// The types of data objects.
const (
	TypeDeffile       DataType = 0x4001 // a definition file
	TypeEnvVar        DataType = 0x4002
	TypeLabels        DataType = 0x4003 // labels as JSON
	TypePartition     DataType = 0x4004 // a file system
	TypeSignature     DataType = 0x4005
	TypeGenericJSON   DataType = 0x4006
	TypeGeneric       DataType = 0x4007
	TypeCryptoMessage DataType = 0x4008
	TypeSBOM          DataType = 0x4009
	TypeOCIRootIndex  DataType = 0x400a
	TypeOCIBlob       DataType = 0x400b
)

// String returns the name that SIF tools print.
func (t DataType) String() string {
	names := [...]string{
		"Def.FILE", "Env.Vars", "JSON.Labels", "FS", "Signature", "JSON.Generic", "Generic/Raw",
		"Cryptographic Message", "SBOM", "OCI.RootIndex", "OCI.Blob",
	}
	if i := int64(t) - int64(TypeDeffile); i >= 0 && i < int64(len(names)) {
		return names[i]
	}
	return fmt.Sprintf("type %#x", uint32(t))
}

// An FSType is the type of the file system in a partition.
type FSType uint32

// The types of file systems.
const (
	FSSquash          FSType = 1
	FSExt3            FSType = 2
	FSArchive         FSType = 3
	FSRaw             FSType = 4
	FSEncryptedSquash FSType = 5
)

// String returns the name that SIF tools print.
func (t FSType) String() string {
	names := [...]string{"Squashfs", "Ext3", "Archive", "Raw", "Encrypted squashfs"}
	if t >= 1 && int64(t) <= int64(len(names)) {
		return names[t-1]
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// A PartType is what a partition is for.
type PartType uint32

// What partitions are for.
const (
	PartSystem  PartType = 1
	PartPrimary PartType = 2 // the root file system that runs
	PartData    PartType = 3
	PartOverlay PartType = 4
)

// String returns the name that SIF tools print.
func (t PartType) String() string {
	names := [...]string{"System", "*System", "Data", "Overlay"}
	if t >= 1 && int64(t) <= int64(len(names)) {
		return names[t-1]
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// archList has the GOARCH names by their codes.
func archList() [14]string {
	return [...]string{
		"", "386", "amd64", "arm", "arm64", "ppc64", "ppc64le", "mips", "mipsle",
		"mips64", "mips64le", "s390x", "riscv64", "loong64",
	}
}

// archName turns an architecture code, two digits and a zero byte, into its GOARCH name, or "".
func archName(code []byte) string {
	names := archList()
	if code[0] < '0' || code[0] > '9' || code[1] < '0' || code[1] > '9' {
		return ""
	}
	if i := int(code[0]-'0')*10 + int(code[1]-'0'); i < len(names) {
		return names[i]
	}
	return ""
}

// archCode turns a GOARCH name into its code, "00" for one that has none.
func archCode(name string) string {
	for i, n := range archList() {
		if n == name {
			return string([]byte{byte('0' + i/10), byte('0' + i%10)})
		}
	}
	return "00"
}
