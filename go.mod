module coracle

go 1.26.0

require (
	github.com/alecthomas/kong v1.17.0
	github.com/klauspost/compress v1.20.3
	github.com/pierrec/lz4/v4 v4.1.33
	github.com/rogpeppe/go-internal v1.16.0
	github.com/sylabs/sif/v2 v2.24.2
	github.com/ulikunitz/xz v0.5.17
	golang.org/x/sys v0.49.0
	mvdan.cc/sh/v3 v3.14.1
)

require github.com/DataDog/zstd v1.5.7
