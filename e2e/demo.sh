# What `make demo` shows: an ordinary user runs commands in a single-file image.
set -eu

step() {
	echo "\$ $*"
	"$@"
}

echo "as $(id -un) ($(id -u)), in $(pwd):"
step ls -lh debian-zstd.sif
step ./coracle exec debian-zstd.sif python3 -c 'import os; print(*open("/etc/os-release"), "as user", os.getuid(), "in", os.getcwd())'
step ./coracle run debian-zstd.sif some arguments
step ./coracle exec --containall debian-zstd.sif cat /proc/1/comm
status=0
step ./coracle exec debian-zstd.sif perl -e 'exit 42' || status=$?
echo "exit status $status"
test "$status" = 42
step ./coracle exec --dry-run --contain debian-zstd.sif python3 train.py
