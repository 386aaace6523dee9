# What `make demo` shows: an ordinary user makes an image file of a container image of three layers, and
# runs commands in it.
set -eu

step() {
	echo "\$ $*"
	"$@"
}

echo "as $(id -un) ($(id -u)), in $(pwd):"
step ./coracle build app.sif oci:app.oci:2
step ls -lh app.sif
step ./coracle run app.sif
step ./coracle run app.sif all on this "node, too"
step ./coracle exec app.sif python3 -c 'import os; print(*open("/etc/os-release"), "as user", os.getuid(), "in", os.getcwd())'
step ./coracle exec app.sif sh -c 'test ! -e /opt/app/notes && test ! -e /usr/share/perl5 && ls /var/lib/dpkg'
step ./coracle inspect app.sif
step ./coracle exec --containall app.sif cat /proc/1/comm
status=0
step ./coracle exec app.sif sh -c 'exit 42' || status=$?
echo "exit status $status"
test "$status" = 42
step ./coracle exec --dry-run --contain app.sif python3 train.py
